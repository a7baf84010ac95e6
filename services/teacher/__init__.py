"""The teacher service: prompts and their splits, demonstrations and references."""
