"""`vllm serve` (see `engines.py`): /health, /v1/models, /v1/chat/completions, /v1/completions with echo, /tokenize."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from tests.standins.engines import Model, Refused, Served, begin, manners_here, serve, tokens_of
from tests.standins.flags import vllm_parser


class Vllm(Served):
    """vLLM's API server."""

    template = ""

    def get(self, path: str) -> Any:
        cards = [{"id": name, "object": "model", "max_model_len": self.model.context} for name in self.model.names]
        return {"/health": {}, "/v1/models": {"object": "list", "data": cards}}.get(path)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        if body["model"] not in self.model.names:
            raise Refused(404, error(f"The model `{body['model']}` does not exist.", 404, "NotFoundError"))
        routes = {
            "/v1/chat/completions": self._chat,
            "/v1/completions": self._echo,
            "/tokenize": self._tokenize,
        }
        return routes[path](body)

    def _chat(self, body: dict[str, Any]) -> Any:
        self._check_template()
        given, asked, limit = tokens_of(body["messages"]), body["max_tokens"], self.model.context
        if given + asked > limit:
            what = (
                f"'max_tokens' or 'max_completion_tokens' is too large: {asked}. This model's maximum context length "
                f"is {limit} tokens and your request has {given} input tokens ({asked} > {limit} - {given})."
            )
            raise Refused(400, error(what, 400, "BadRequestError"))
        if body.get("n", 1) != 1:
            raise Refused(400, error("the stand-in has one sample a request", 400, "BadRequestError"))
        text = self.model.completion(body["model"], body["messages"], asked, body["temperature"], body["seed"])
        finish = "length" if len(text.split()) == asked else "stop"
        for stop in body.get("stop") or ():
            if stop in text:
                text, finish = text[: text.index(stop)], "stop"
        usage = {"prompt_tokens": given, "completion_tokens": len(text.split())}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }

    def _tokenize(self, body: dict[str, Any]) -> Any:
        self._check_template()
        text = "".join(f"<{message['role']}>{message['content']}" for message in body["messages"])
        tokens = list((text + ("<assistant>" if body["add_generation_prompt"] else "")).encode())
        return {"count": len(tokens), "max_model_len": self.model.context, "tokens": tokens}

    def _echo(self, body: dict[str, Any]) -> Any:
        names = self.model.names[body["model"]]
        values = [-(1 + byte % 7) / 8 for byte in hashlib.sha256(names.encode()).digest()]
        logprobs = [None, *(values[token % len(values)] for token in body["prompt"][1:])]
        choice = {"index": 0, "text": "", "logprobs": {"token_logprobs": logprobs}, "finish_reason": "length"}
        return {"id": "cmpl-1", "object": "text_completion", "choices": [choice]}

    def _check_template(self) -> None:
        if not self.template:
            what = "As of transformers v4.44, default chat template is no longer allowed, so you must provide one."
            raise Refused(400, error(what, 400, "BadRequestError"))


def error(message: str, code: int, kind: str) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def main() -> None:
    options, manners = vllm_parser().parse_args(), manners_here()
    folder = Path(options.model)
    adapters: dict[str, Path | None] = {}
    for entry in options.lora_modules:
        name, path = entry.split("=")
        adapters[name] = Path(path)
    if adapters and not options.enable_lora:
        sys.exit("--lora-modules needs --enable-lora")
    if options.max_lora_rank not in {None, *map(str, (8, 16, 32, 64, 128, 256, 320, 512))}:
        vllm_parser().error(f"argument --max-lora-rank: invalid choice: {options.max_lora_rank}")
    model = Model(folder, {options.served_model_name or options.model: None, **adapters}, manners.context)
    shards = begin(manners, {"model": options.model, "argv": sys.argv[1:]})
    server = Vllm(int(options.port), model, manners)
    own = folder / "chat_template.jinja"
    server.template = Path(options.chat_template).read_text() if options.chat_template else ""
    server.template = server.template or (own.read_text() if own.exists() else "")
    serve(server, manners, shards)


if __name__ == "__main__":
    main()
