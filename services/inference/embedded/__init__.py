"""The embedded engine: one checkpoint behind the OpenAI protocol on a CPU, in a process of its own.

    python -m services.inference.embedded --model FOLDER --port 8000

A request goes through app.py (HTTP), scheduler.py (which rows run together), decoder.py (one forward pass for all of
them, over the key/value cache of cache.py), sampling.py (each row's own counter-based random numbers) and answers.py.

Why not a library's engine? `python -m benchmarks.engine --bare LIBRARY=FOLDER` compares. One core without bfloat16
instructions (Zen 3, used by others too, so by CPU time), SmolLM2-135M's shape, float32. 16 prompts of some 60 tokens,
32 more each: about 1.1 times `generate`'s tokens for 16 prompts together, 4 times `generate`'s one prompt at a time.
CPU time of one more token for every row, with short rows:

| float32 | 16 rows | 1 row | seed | a row's numbers depend on the batch | log-probabilities |
|---|---|---|---|---|---|
| this engine | 217 ms | 88 ms | a request | no | sampled, given, alternatives |
| OpenVINO GenAI 2026.4 | 87 to 101 ms | 41 to 46 ms | a request | no | sampled, given |
| CTranslate2 4.8 | 135 ms | 47 ms | one for all | yes | sums; given by another call |
| transformers 5.23 `generate_batch` | 220 ms | | one for all | | sampled |
| onnxruntime-genai 0.18 | 283 ms | 47 ms | a batch | yes | none, logits only |
| llama.cpp (xllamacpp) | 423 ms | 60 ms | a request | by 4e-4 | sampled |

OpenVINO GenAI is the better engine: this one has about .6 of its tokens (the aim was .95), and the rest lies in
torch's products of few rows and in what Python does between them (weights packed as oneDNN reads them, which takes
torch's private operations and twice the memory, gave 13% at 16 rows and nothing at one). What speaks against it is the
way there: its converter, optimum-intel 2.2, wants transformers below 5.6 and huggingface_hub below 2, so an
environment of its own, and takes 40 s of CPU time for each new checkpoint. It gives no alternatives, and refuses
bfloat16 on such a core, where this engine takes 609 ms (16 rows) and llama.cpp 243: use float32 there. vLLM's CPU
wheel wants transformers below 5.20, and had not compiled the model after four minutes.
"""
