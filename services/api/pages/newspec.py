"""What the form for a new experiment starts from: the smallest experiment that says something, in a simulated world."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """A model that the preset needs. `quality` is what a simulated one is asked for, with its first value."""

    name: str
    words: str
    help: str
    quality: str
    value: float


ROLES = (
    Role("weak", "Weak teacher", "Writes the cheap demonstrations.", "accuracy", 0.5),
    Role("strong", "Strong teacher", "Writes the good demonstrations.", "accuracy", 0.95),
    Role("critic", "Critic", "Says which of two answers is better, for the RL step.", "error_rate", 0.1),
    Role("judge", "Judge", "Compares the trained models' answers in the end.", "error_rate", 0.05),
    Role("reference", "Reference", "Whose answers every arm is compared with.", "accuracy", 0.6),
)

FIRST = """name: my-experiment
seeds: [0]
prompts: {source: {world: {seed: 0}}, train: 1700, dev: 200, eval: 400}
policies:
  base: {base: {pretrain: {}}, max_tokens: 16}
models:
  weak: {provider: simulated, accuracy: 0.5}
  strong: {provider: simulated, accuracy: 0.95}
  critic: {provider: simulated, error_rate: 0.1}
  judge: {provider: simulated, error_rate: 0.05, seed: 1}
  reference: {provider: simulated, accuracy: 0.6, seed: 1}
preset: teacher_or_critic
weak: weak
strong: strong
critic: critic
fraction: 0.15
rl: {beta: 0.5}
defaults:
  sft: {learning_rate: 0.001, num_train_epochs: 2, per_device_train_batch_size: 32}
  rl: {learning_rate: 0.0003, num_train_epochs: 3, per_device_train_batch_size: 32}
evaluations:
  win-rate: {protocol: pairwise, judge: judge, reference: reference, temperature: [0.7]}
primary: {contrast: headline, evaluation: win-rate@0.7}
worth: {points: 2}
"""
