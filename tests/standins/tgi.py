"""`text-generation-launcher` (see `engines.py`): /health, /info, /v1/models, /v1/chat/completions, as 3.3.7's."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.standins.engines import Model, Refused, Served, begin, manners_here, say, serve, tokens_of
from tests.standins.flags import tgi_parser


class Tgi(Served):
    """TGI's router."""

    model_id = ""
    template = ""
    most_at_once = 128
    most_stops = 4

    def get(self, path: str) -> Any:
        limit = self.model.context
        return {
            "/health": {},
            "/info": {"model_id": self.model_id, "max_total_tokens": limit, "max_input_tokens": limit - 1},
            "/v1/models": {"object": "list", "data": [{"id": self.model_id, "object": "model", "owned_by": "x"}]},
        }.get(path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        if path != "/v1/chat/completions":
            raise Refused(404, {"error": "not found"})
        self._check(body)
        # Any name but tgi is an adapter's, and one that is not loaded is the base in silence.
        name = body.get("model", "tgi")
        name = name if name in self.model.names else "tgi"
        temperature = body.get("temperature")
        greedy = temperature == 0.0
        most = body["max_tokens"]
        text = self.model.completion(
            name, body["messages"], most, 0.0 if greedy else (temperature or 1.0), body["seed"]
        )
        finish, words = "length" if len(text.split()) == most else "stop", text
        for stop in body.get("stop") or ():
            if stop in words:
                # TGI's text keeps the stop sequence.
                words, finish = words[: words.index(stop) + len(stop)], "stop_sequence"
        usage = {"prompt_tokens": tokens_of(body["messages"]), "completion_tokens": len(words.split())}
        message = {"role": "assistant", "content": words}
        return {
            "object": "chat.completion",
            "id": "",
            "created": 0,
            "model": body.get("model", self.model_id),
            "system_fingerprint": "3.3.7-native",
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }

    def _check(self, body: dict[str, Any]) -> None:
        if self.running > self.most_at_once:
            raise Refused(429, {"error": "Model is overloaded", "error_type": "overloaded"})
        if not self.template:
            raise invalid("Template error: template not found", "template_error")
        if body.get("temperature") is not None and body["temperature"] < 0:
            raise invalid("`temperature` must be strictly positive")
        if body.get("top_p") is not None and not 0 < body["top_p"] < 1:
            raise invalid("`top_p` must be > 0.0 and < 1.0")
        if len(body.get("stop") or ()) > self.most_stops:
            raise invalid(f"`stop` supports up to {self.most_stops} stop sequences. Given: {len(body['stop'])}")
        given, asked, limit = tokens_of(body["messages"]), body["max_tokens"], self.model.context
        if given >= limit:
            raise invalid(f"`inputs` must have less than {limit} tokens. Given: {given}")
        if given + asked > limit:
            which = f"Given: {given} `inputs` tokens and {asked} `max_new_tokens`"
            raise invalid(f"`inputs` tokens + `max_new_tokens` must be <= {limit}. {which}")


def invalid(what: str, kind: str = "validation") -> Refused:
    return Refused(422, {"error": f"Input validation error: {what}", "error_type": kind})


def main() -> None:
    options, manners = tgi_parser().parse_args(), manners_here()
    folder = Path(options.model_id)
    if options.dtype not in {None, "float16", "bfloat16"}:
        say(f"error: invalid value '{options.dtype}' for '--dtype <DTYPE>'")
        sys.exit(2)
    if len(options.shard_uds_path) > 100:
        sys.exit("path must be shorter than SUN_LEN")
    # As transformers 4 reads a folder.
    config = json.loads((folder / "config.json").read_text())
    if config["model_type"] == "llama" and "rope_theta" not in config:
        sys.exit("the stand-in would serve with rope_theta 10000, whatever the model has")
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    if tokenizer["tokenizer_class"] == "TokenizersBackend":
        sys.exit("ValueError: Tokenizer class TokenizersBackend does not exist or is not currently imported.")
    adapters = dict(entry.split("=") for entry in (options.lora_adapters or "").split(",") if entry)
    names: dict[str, Path | None] = {"tgi": None, **{name: Path(path) for name, path in adapters.items()}}
    model = Model(folder, names, manners.context)
    shards = begin(manners, {"model_id": options.model_id, "argv": sys.argv[1:], "rope_theta": config["rope_theta"]})
    server = Tgi(int(options.port), model, manners)
    server.model_id, server.template = options.model_id, tokenizer.get("chat_template", "")
    server.most_at_once = int(options.max_concurrent_requests or 128)
    server.most_stops = int(options.max_stop_sequences or 4)
    serve(server, manners, shards)


if __name__ == "__main__":
    main()
