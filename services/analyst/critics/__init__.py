"""The critic's card: what an experiment's own labels say about who gave them. Pure, but for `reading`."""
