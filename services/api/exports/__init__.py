"""What of an experiment is handed to others: an arm's model with its card, and the rows that it was trained on."""
