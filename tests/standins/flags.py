"""The real flags of TGI's launcher and of vLLM's server, by which the stand-ins refuse what the real ones would.

TGI's are all that `text-generation-launcher --help` of 3.3.7 lists. vLLM's are those of `vllm serve` that somebody who
samples from one checkpoint may want, by the documentation of 0.8 to 0.30; the real one has hundreds.
"""

from __future__ import annotations

import argparse

TGI_VALUES = """
model-id revision validation-workers sharded num-shard quantize speculate dtype kv-cache-dtype max-concurrent-requests
max-best-of max-stop-sequences max-top-n-tokens max-input-tokens max-input-length max-total-tokens waiting-served-ratio
max-batch-prefill-tokens max-batch-total-tokens max-waiting-tokens max-batch-size cuda-graphs hostname port
prometheus-port shard-uds-path master-addr master-port huggingface-hub-cache weights-cache-override
cuda-memory-fraction rope-scaling rope-factor otlp-endpoint otlp-service-name cors-allow-origin api-key watermark-gamma
watermark-delta ngrok-authtoken ngrok-edge tokenizer-config-path max-client-batch-size lora-adapters usage-stats
payload-limit graceful-termination-timeout
"""
TGI_SWITCHES = """
trust-remote-code disable-custom-kernels json-output ngrok disable-grammar-support env enable-prefill-logprobs
"""
VLLM_VALUES = """
host port served-model-name dtype max-model-len max-num-seqs max-num-batched-tokens max-lora-rank max-loras
chat-template generation-config seed quantization kv-cache-dtype gpu-memory-utilization tensor-parallel-size
pipeline-parallel-size swap-space cpu-offload-gb block-size tokenizer tokenizer-mode revision download-dir load-format
uvicorn-log-level api-key root-path max-logprobs
"""
VLLM_SWITCHES = """
enable-lora trust-remote-code enforce-eager enable-prefix-caching enable-chunked-prefill disable-log-stats
"""


def tgi_parser() -> argparse.ArgumentParser:
    """As clap has it: the exact name, a value, or none of a switch."""
    parser = argparse.ArgumentParser("text-generation-launcher", allow_abbrev=False)
    for name in TGI_VALUES.split():
        parser.add_argument(f"--{name}")
    for name in TGI_SWITCHES.split():
        parser.add_argument(f"--{name}", action="store_true")
    return parser


def vllm_parser() -> argparse.ArgumentParser:
    """`vllm serve`: the model comes first, switches have a `--no-` form."""
    parser = argparse.ArgumentParser("vllm", allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--lora-modules", nargs="+", default=[])
    for name in VLLM_VALUES.split():
        parser.add_argument(f"--{name}")
    for name in VLLM_SWITCHES.split():
        parser.add_argument(f"--{name}", action=argparse.BooleanOptionalAction)
    return parser
