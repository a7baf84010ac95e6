"""Sampling from checkpoints and scoring with them, through an engine."""
