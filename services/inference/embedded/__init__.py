"""The embedded engine: one checkpoint behind the OpenAI protocol on a CPU, in a process of its own.

    python -m services.inference.embedded --model FOLDER --port 8000

A request goes through app.py (HTTP), scheduler.py (which rows run together), decoder.py (one forward pass for all of
them, over the key/value cache of cache.py), sampling.py (each row's own counter-based random numbers) and answers.py.
"""
