"""Other libraries' engines, each in a process of its own, so that its interpreter may be any environment's.

    PYTHON -m benchmarks.bare_engines LIBRARY FOLDER DTYPE

The process loads the folder that `save_pretrained` wrote (or what the library's own converter made of it), then answers
each line of its standard input, `{"prompts": [[token, ...], ...], "tokens": N}`, with `{}` once it has
sampled N more tokens for every prompt at temperature 1, on one thread. Only the library and the standard library are
imported, so that an environment needs nothing of ours.
"""
