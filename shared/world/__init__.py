"""The simulated world: small tasks with a known right answer, and teachers, critics and judges of known quality.

Everything is a pure function of settings, content and seed, so the same request has the same answer everywhere and for
ever. `tasks` has the questions, `reward` the truth, `teacher` and `critic` the simulated models, `names` how a model's
settings travel in its name, `pretrain` the settings of the base model that is made in this world.
"""
