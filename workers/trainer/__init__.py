"""The trainer: SFT and preference optimisation with TRL, each training in a process group of its own.

__main__  the Celery worker (no torch)         stage      what the worker does for one training
process   the training's process group         checkpoints  a training's saved states in the store
job       what the worker tells the training    messages   what the training tells the worker
child     the training itself                   methods/   one method a file: sft, dpo
loading   base models: folder, hub name, GGUF   callbacks  metrics and checkpoints, out of TRL's loop
"""
