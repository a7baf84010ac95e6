"""The spec: what a user writes, checked and resolved."""
