"""The embedded engine: one checkpoint behind the OpenAI protocol on a CPU, in a process of its own.

    python -m services.inference.embedded --model FOLDER --port 8000

A request goes through app.py (HTTP), scheduler.py (which rows run together), decoder.py (one forward pass for all of
them, over the key/value cache of cache.py), sampling.py (each row's own counter-based random numbers) and answers.py.

Models of 50M parameters or more, in float32, run their passes through compiled.py: the same model, traced and compiled
by OpenVINO, beside the same cache. For SmolLM2-135M it takes ten to twenty seconds at the start, and 0.9 GB.

Why not a library's engine? `python -m benchmarks.engine --bare LIBRARY=FOLDER` compares. One core without bfloat16
instructions (Zen 3, used by others too, so by CPU time), SmolLM2-135M's shape, float32. 16 prompts of some 80 tokens,
32 more each: 1.3 to 1.5 times `generate`'s tokens for 16 prompts together, 4.6 to 5.4 times `generate`'s one prompt at
a time, .81 to .93 of OpenVINO GenAI's, the best of the others (the aim was .95); with one prompt .7 of its. CPU time of
one more token for every row, with short rows:

| float32 | 16 rows | 1 row | seed | a row's numbers depend on the batch | log-probabilities |
|---|---|---|---|---|---|
| this engine | 90 to 130 ms | 40 to 55 ms | a request | no | sampled, given, alternatives |
| the same without compiled passes | 217 ms | 88 ms | a request | no | sampled, given, alternatives |
| OpenVINO GenAI 2026.4 | 87 to 101 ms | 41 to 46 ms | a request | no | sampled, given |
| CTranslate2 4.8 | 135 ms | 47 ms | one for all | yes | sums; given by another call |
| transformers 5.23 `generate_batch` | 220 ms | | one for all | | sampled |
| onnxruntime-genai 0.18 | 283 ms | 47 ms | a batch | yes | none, logits only |
| llama.cpp (xllamacpp) | 423 ms | 60 ms | a request | by 4e-4 | sampled |

So OpenVINO computes, and the rest is ours: what its GenAI does faster lies in prompts that are not padded to whole
vectors (which changes a row's last bits) and, with one row, in what Python does between two passes. Its engine itself
wants another way in: its converter, optimum-intel 2.2, asks for transformers below 5.6 and huggingface_hub below 2, so
an environment of its own, and takes 40 s of CPU time for each new checkpoint. It gives no alternatives, and refuses
bfloat16 on such a core, where this engine takes 609 ms (16 rows) and llama.cpp 243: use float32 there. vLLM's CPU wheel
wants transformers below 5.20, and had not compiled the model after four minutes.
"""
