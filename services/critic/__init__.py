"""The critic service: preference labels for training, judgements for evaluation."""
