from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.inference.clients import TooLong, refusal, without_stop
from services.inference.engines.base import EngineLost
from services.inference.engines.commands import Launch, operator_words, spec_words, tgi_command, vllm_command
from services.inference.guard import PORTS, overlaid, with_ports
from shared.engines import ARGUMENTS
from shared.errors import BadInput, PermanentError
from tests.standins.flags import tgi_parser, vllm_parser

LAUNCH = Launch(Path("/models/m"), "checkpoint", "bfloat16", 64, Path("/tmp/s"), 10.0)
FULL = Launch(
    folder=Path("/models/base"),
    name="checkpoint",
    dtype="bfloat16",
    concurrency=400,
    scratch=Path("/tmp/s"),
    grace=0.5,
    chat_template=Path("/tmp/s/t.jinja"),
    adapter=Path("/models/a"),
    rank=9,
    trust_remote_code=True,
)


def parsed(words: list[str]) -> Any:
    """As the real program would read its arguments, ports in their places."""
    words, _ = with_ports(words)
    parser = tgi_parser() if words[0] == "text-generation-launcher" else vllm_parser()
    return parser.parse_args(words[1:])


@pytest.mark.parametrize("launch", [LAUNCH, FULL])
def test_tgis_command_has_its_own_flags_alone(launch: Launch) -> None:
    options = parsed(tgi_command(launch))
    assert options.model_id == str(launch.folder)
    assert options.hostname == "127.0.0.1"
    assert len({options.port, options.prometheus_port, options.master_port}) == 3
    assert int(options.max_concurrent_requests) >= launch.concurrency
    assert int(options.graceful_termination_timeout) >= 1
    assert options.lora_adapters == (None if launch.adapter is None else "checkpoint=/models/a")
    assert options.trust_remote_code == launch.trust_remote_code


@pytest.mark.parametrize("launch", [LAUNCH, FULL])
def test_vllms_command_has_its_own_flags_alone(launch: Launch) -> None:
    options = parsed(vllm_command(launch))
    assert (options.command, options.model, options.host) == ("serve", str(launch.folder), "127.0.0.1")
    assert options.served_model_name == ("checkpoint" if launch.adapter is None else "base")
    assert options.generation_config == "vllm"
    assert options.chat_template == (None if launch.chat_template is None else "/tmp/s/t.jinja")
    assert options.lora_modules == ([] if launch.adapter is None else ["checkpoint=/models/a"])
    assert options.max_lora_rank == (None if launch.adapter is None else "16")


def test_every_argument_that_a_spec_may_set_is_the_engines() -> None:
    values: dict[type, Any] = {str: "fp8", int: 2, float: 0.5, bool: True}
    for engine, command in (("tgi", tgi_command), ("vllm", vllm_command)):
        given = {name: values[kind] for name, kind in ARGUMENTS[engine].items()}
        parsed([*command(LAUNCH), *spec_words(engine, given)])


def test_false_is_said_in_vllms_way() -> None:
    assert spec_words("vllm", {"enforce_eager": False}) == ["--no-enforce-eager"]


def test_a_specs_argument_that_may_not_stand_there_never_reaches_a_command() -> None:
    with pytest.raises(PermanentError, match="api_key is nothing"):
        spec_words("vllm", {"api_key": "x"})


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        ("tgi", "--port 80"),
        ("tgi", "-p 80"),
        ("tgi", "-p80"),
        ("tgi", "--max-batch-size 4 --model-id=x"),
        ("vllm", "--served_model_name x"),
        ("vllm", "--served-model x"),
        ("vllm", "--no-enable-lora"),
        ("vllm", "--max-num-seqs 8 --api-key secret"),
        ("vllm", "somewhere/else --max-num-seqs 8"),
        ("vllm", "--seed 'x"),
    ],
)
def test_an_operators_flag_that_we_set_is_refused_by_the_settings_name(engine: str, line: str) -> None:
    with pytest.raises(BadInput, match=f"TOUCHSTONE_{engine.upper()}_ARGS"):
        operator_words(engine, line)


def test_other_flags_of_an_operator_pass() -> None:
    line = "--gpu-memory-utilization 0.8 --max-num-seqs=64 --compilation-config '{\"level\": 3}'"
    assert operator_words("vllm", line)[-1] == '{"level": 3}'
    assert operator_words("tgi", "") == []


def test_tgi_has_no_float32() -> None:
    with pytest.raises(PermanentError, match="precision: bfloat16"):
        tgi_command(Launch(Path("m"), "m", "float32", 1, Path("s"), 1.0))


def test_an_adapter_of_too_high_a_rank_is_to_be_merged() -> None:
    with pytest.raises(PermanentError, match="merge it"):
        vllm_command(Launch(Path("m"), "m", "bfloat16", 1, Path("s"), 1.0, adapter=Path("a"), rank=1000))


def test_ports_stand_where_they_belong() -> None:
    words, port = with_ports(["x", PORTS[1], PORTS[0], PORTS[0]])
    assert words[0] == "x" and words[2] == words[3] == str(port) and words[1] != words[2]


def test_the_engines_environment_is_the_guards_with_changes() -> None:
    assert overlaid({"A": "1", "B": "2"}, {"B": None, "C": "3", "D": None}) == {"A": "1", "C": "3"}


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "'max_tokens' is too large: 12. This model's maximum context length is 8 tokens", TooLong),
        (400, "messages: this model's context is 128 tokens; the prompt has 140", TooLong),
        (422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8. Given: 4", TooLong),
        (422, "Input validation error: `inputs` must have less than 8 tokens. Given: 9", TooLong),
        (422, "Template error: template not found", PermanentError),
        (424, "Request failed during generation", EngineLost),
        (429, "Model is overloaded", EngineLost),
        (500, "EngineCore died", EngineLost),
    ],
)
def test_what_an_engines_refusal_means(status: int, message: str, kind: type[Exception]) -> None:
    assert type(refusal(status, message)) is kind


def test_a_stop_sequence_is_taken_off_the_end_alone() -> None:
    assert without_stop("a END b END", ("END", "x")) == "a END b "
    assert without_stop("a END b", ("END",)) == "a END b"
