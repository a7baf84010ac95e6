"""Several stages, experiments, replicas and hosts that need the same requests at the same time: each is sent once."""

from __future__ import annotations

from collections import Counter

from shared.llm.providers.simulated import SimulatedModel
from shared.units import Unit
from tests.integration.llm.traffic import start_simulator, traffic
from tests.integration.llm.units import artifact, committed, run, send, unit
from tests.stack import Stack
from tests.waiting import wait_until

SIZES = {"train": 300, "dev": 20, "eval": 20}
FRACTIONS = (0.1, 0.25, 0.5, 0.75, 1.0)
TEACHER = SimulatedModel(provider="simulated", accuracy=0.5)
HOSTS = ("first", "first", "second", "second")


def test_nested_fractions_of_two_experiments_on_two_hosts_send_each_request_once(stack: Stack) -> None:
    log = start_simulator(stack, latency_ms=40)
    for number, host in enumerate(HOSTS):
        data = str(stack.folder / host)
        stack.start(f"teacher-{number}", TOUCHSTONE_DATA_DIR=data, TOUCHSTONE_REQUEST_CONCURRENCY="8")
    prompts = run(stack, unit("prompts", {**SIZES, "source": {"world": {"seed": 0, "count": 500}}}))

    def teach(fraction: float, experiment: str, reask: int) -> Unit:
        # A stage of its own for each experiment, which asks the same all the same.
        model = TEACHER.identity() | {"reask": {"refused": reask}}
        params = {"model": model, "split": "train", "start": 0.0, "stop": fraction}
        given = unit("teach", params, {"prompts": prompts}, options={"name": "weak", **TEACHER.options()})
        return given.model_copy(update={"experiment": experiment})

    stages = [teach(fraction, f"e{number}", number) for fraction in FRACTIONS for number in (1, 2)]
    assert len({stage.key for stage in stages}) == 10
    for stage in stages:
        send(stack, stage)
    wait_until(lambda: all(committed(stack, stage) for stage in stages), 90, "all stages")
    asked = Counter(line["hash"] for line in traffic(log))
    assert len(asked) == SIZES["train"] and set(asked.values()) == {1}
    found = [artifact(stack, ref) for stage in stages if (ref := committed(stack, stage))]
    assert sum(one.manifest.metrics["requests_paid"] for one in found) == SIZES["train"]
    rows = [one.rows().to_pylist() for one in found]
    assert all(of == rows[-1][: len(of)] for of in rows)
    assert len({one.manifest.host for one in found}) == 1
