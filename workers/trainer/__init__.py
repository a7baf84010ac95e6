"""The trainer: SFT and preference optimisation with TRL, each training in a process group of its own.

In the worker, which never imports torch:

- `__main__`: the Celery worker. `stage`: what it does for one training. `prepare`: a unit becomes a job folder.
- `process`: the training's process group, and its end. `checkpoints`, `uploads`: its saved states in the store.
- `references`: a shared reference beside the pairs that it is of.
- `memory`: the same steps in smaller pieces, for a training that ran out of it.
- `leftovers`: what killed workers left on the disk.

Between the two: `job`, what the worker tells the training; `messages`, what the training tells the worker; `lifeline`,
by which a training ends when its worker is gone.

In the training: `child`, its entry; `training`, one run of TRL; `loading`, the model; `callbacks`, what happens while
TRL's loop runs; `guard`, which ends one that has diverged; `reporting`, who else is told; `tokens` and `reference`,
what is counted and proved before the first step; `rewards`, what rewards completions that a training samples; `speed`,
how fast it was; `scoring`, a reference as a stage of its own; `outputs`, what is committed, and `adapter`, what LoRA
trained; `failures`, its last words. `pretrain` makes the simulated world's base model.

`methods` has one file a method. `arguments` writes `shared/trl_arguments.json`, what a spec may say of TRL.
"""
