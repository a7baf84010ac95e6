"""Settings and checkpoints that are chosen on the dev prompts: the choice, its stages, and what reports say of it."""
