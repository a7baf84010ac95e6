"""Arms judged against each other: ratings from all pairs together, and who beats whom how often."""
