"""The `touchstone` command against a real server, as scripts and people use it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.ports import free_port
from shared import datasets, models
from shared.experiments import partial_report_name
from shared.filecache import FileCache
from shared.kinds import QUEUES
from tests.integration.api.conftest import Run, command_for, start_api
from tests.stack import ROOT, Stack
from tests.unit.specs import spec_with
from tests.waiting import wait_until

DATA = ROOT.parent / "shared" / "data" / "alpaca_eval"


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A spec's file."""
    path = tmp_path / "spec.yaml"
    path.write_text(yaml.safe_dump(spec_with(name=f"cli-{tmp_path.name}"[:60])))
    return path


def as_json(done: subprocess.CompletedProcess[str], code: int = 0) -> Any:
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """A failure that says these words, in readable lines and nothing else."""
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())
    for word in words:
        assert word in done.stderr, done.stderr


def test_submit_find_cancel_resume(touchstone: Run, spec: Path) -> None:
    name = yaml.safe_load(spec.read_text())["name"]
    made = as_json(touchstone("submit", str(spec), "--json"))
    assert made["name"] == name and made["state"] == "running"
    again = touchstone("submit", str(spec))
    assert again.returncode == 0 and name in again.stdout
    assert made["id"] in [item["id"] for item in as_json(touchstone("ls", "--json"))]
    assert made["id"] in touchstone("ls").stdout
    assert as_json(touchstone("cancel", made["id"], "--json"))["state"] == "cancelled"
    assert "running" in touchstone("resume", made["id"]).stdout
    newest = again.stdout.split()[0]
    for target in (name, str(spec), newest[:-1]):
        assert as_json(touchstone("cancel", target, "--json"))["id"] == newest


def test_plan_and_standard_input(touchstone: Run, spec: Path) -> None:
    plan = as_json(touchstone("plan", str(spec), "--json"))
    shown = touchstone("plan", "-", input=spec.read_text())
    assert shown.returncode == 0
    assert f"{plan['counts']['stages']} stages, 0 reused, at most {plan['requests']:,} requests" in shown.stdout


GPT = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "price": {"input": 30, "output": 60}}


@pytest.fixture
def dear(spec: Path) -> Path:
    """A spec that would cost some dollars."""
    spec.write_text(yaml.safe_dump(spec_with(name=spec.parent.name[:60], models__strong=GPT)))
    return spec


def test_what_would_cost_much_asks_for_a_yes(touchstone: Run, dear: Path) -> None:
    plan = as_json(touchstone("plan", str(dear), "--json"))
    low, high = plan["cost_range"]
    assert plan["cost_usd"] > 1.0 and low < plan["cost_usd"] < high
    asked = [stage for stage in plan["stages"] if stage["model"] == "strong"]
    assert [stage["in_ledger"] for stage in asked] == [0, 0] and sum(stage["repeated"] for stage in asked) == 10
    before = len(as_json(touchstone("ls", "--json")))
    for words, given in ((("submit", str(dear)), {}), (("submit", "-"), {"input": dear.read_text()})):
        done = touchstone(*words, **given)
        assert done.returncode == 2 and done.stdout == ""
        assert "error: --yes: this would cost about $" in done.stderr and "TOUCHSTONE_CONFIRM_USD" in done.stderr
        assert f"at most {plan['requests']:,} requests" in done.stderr
    assert len(as_json(touchstone("ls", "--json"))) == before
    assert as_json(touchstone("submit", str(dear), "--yes", "--json"))["state"] == "running"
    assert touchstone("submit", str(dear), "--confirm-usd", "1000").returncode == 0


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_at_a_terminal_the_question_is_asked(place: Stack, dear: Path, answer: str, code: int) -> None:
    before = as_json(command_for(place.api_url)("ls", "--json"))
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run(
            [sys.executable, "-m", "touchstone_client", "submit", str(dear)],
            env={**os.environ, "TOUCHSTONE_URL": place.api_url},
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=60,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert done.returncode == code, done.stderr
    assert "Start it?" in done.stderr and ("running" in done.stdout) is (answer == "y")
    after = as_json(command_for(place.api_url)("ls", "--json"))
    assert len(after) - len(before) == (answer == "y")


def test_a_price_that_is_not_known_asks_for_a_yes(touchstone: Run, spec: Path) -> None:
    model = {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1", "price": "unknown"}
    spec.write_text(yaml.safe_dump(spec_with(models__strong=model)))
    done = touchstone("submit", str(spec))
    assert done.returncode == 2 and done.stdout == "" and "error: --yes: this would cost about $0" in done.stderr
    done = touchstone("submit", str(spec), "--yes", "--json")
    assert as_json(done)["state"] == "running" and "strong: unknown price" in done.stderr


@pytest.mark.parametrize("figure", [2, 3, 4, 5])
def test_a_paper_s_figure_is_priced_and_not_started(touchstone: Run, figure: int) -> None:
    path = str(ROOT / "examples" / f"paper-figure-{figure}.yaml")
    shown = touchstone("plan", path)
    assert shown.returncode == 0 and "provisional" in shown.stdout and "$" in shown.stdout
    done = touchstone("submit", path)
    assert done.returncode == 2 and done.stdout == "" and "Traceback" not in done.stderr
    assert "error: prompts.source.declared: 50,000 prompts of 'sharegpt' are declared, not there" in done.stderr
    assert "policies.llama-7b.declared" in done.stderr and "models.text-davinci-003.completions.declared" in done.stderr


def test_a_declared_spec_is_planned_and_not_started(touchstone: Run, spec: Path) -> None:
    policy = {"declared": {"model": "hub/llama", "revision": "main"}}
    spec.write_text(yaml.safe_dump(spec_with(policies__toy=policy)))
    shown = touchstone("plan", str(spec))
    assert shown.returncode == 0 and "provisional: something in the spec is only declared" in shown.stdout
    refused(touchstone("submit", str(spec)), 2, "policies.toy.declared", "touchstone model add toy FOLDER")


def test_a_matrix_has_readable_arms(touchstone: Run, spec: Path) -> None:
    other = {"provider": "simulated", "error_rate": 0.3}
    spec.write_text(yaml.safe_dump(spec_with(models__other=other, matrix={"critics": ["critic", "other"]})))
    plan = as_json(touchstone("plan", str(spec), "--json"))
    labels = {arm for stage in plan["stages"] if stage["kind"] == "label" for arm in stage["arms"]}
    assert "rlaif-weak [critic=other]" in labels and len(labels) == 4
    spec.write_text(yaml.safe_dump(spec_with(matrix={"critics": ["critic"]})))
    refused(touchstone("plan", str(spec)), 2, "matrix: has one cell")


def test_a_key_submits_once(touchstone: Run, spec: Path) -> None:
    ids = {as_json(touchstone("submit", str(spec), "--idempotency-key", "k", "--json"))["id"] for _ in range(2)}
    assert len(ids) == 1
    spec.write_text(spec.read_text() + "seeds: [5]\n")
    refused(touchstone("submit", str(spec), "--idempotency-key", "k"), 2, "Idempotency-Key", "another body")


def test_wrong_input_is_exit_2_and_names_field_and_fix(touchstone: Run, spec: Path, tmp_path: Path) -> None:
    spec.write_text(yaml.safe_dump(spec_with(**{"arms__sft-weak__sft__teacher": "stronk", "seeds": [1, 1]})))
    refused(touchstone("submit", str(spec)), 2, "arms.sft-weak.sft.teacher", "Did you mean strong?", "seeds")
    spec.write_text("name: [\n")
    refused(touchstone("plan", str(spec)), 2, "not YAML", "line 2")
    refused(touchstone("plan", str(tmp_path / "nowhere.yaml")), 2, "No such file")
    refused(touchstone("report", str(tmp_path / ("x" * 300))), 4, "touchstone ls")
    refused(touchstone("ls", "--token", "tök"), 2, "token")
    spec.write_bytes(b"name: \xff\n")
    refused(touchstone("submit", str(spec)), 2, "not UTF-8")
    refused(touchstone("report", str(spec)), 2, "not YAML")
    refused(touchstone("submit", "-", input="name: \udcff"), 2, "not UTF-8")
    assert touchstone("submit").returncode == 2
    assert touchstone("no-such-command").returncode == 2


def test_unreachable_is_3_and_not_found_is_4(touchstone: Run) -> None:
    refused(command_for(f"http://127.0.0.1:{free_port()}")("ls"), 3, "no answer from http://127.0.0.1")
    for command in ("watch", "report", "critics", "cancel", "resume"):
        refused(touchstone(command, "no-such-experiment"), 4, "no-such-experiment", "touchstone ls")


def test_help_says_the_exit_codes(touchstone: Run) -> None:
    said = " ".join(touchstone("--help").stdout.split())
    for code in (
        "0 done",
        "1 the experiment failed",
        "did not say yes",
        "2 wrong input",
        "3 the server",
        "4 not found",
        "130 Ctrl-C",
    ):
        assert code in said


@pytest.mark.slow
def test_watch_to_success_and_report(stack: Stack, spec: Path, tmp_path: Path) -> None:
    start_api(stack)
    for queue in QUEUES:
        stack.start(queue, ["-m", "tests.stubs.worker", queue, "2"], STUB_SECONDS="0.1")
    touchstone = command_for(stack.api_url)
    other = {"provider": "simulated", "error_rate": 0.3}
    spec.write_text(yaml.safe_dump(spec_with(models__other=other, matrix={"critics": ["critic", "other"]})))
    done = touchstone("submit", str(spec), "--watch")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert any("rl       running   rlaif-weak [critic=other]" in line for line in lines)
    assert lines[-1].startswith("succeeded: ")
    id = lines[0].split()[0]
    # Stub workers make no report; let one lie where a partial one would.
    report = {"partial": True, "arms": {}, "contrasts": {}, "verdict": {"sentence": "So it is.", "level": "invalid"}}
    for command in ("report", "critics"):
        refused(touchstone(command, id), 1, "no report yet")
    stack.store.put(partial_report_name(id, "report.json"), json.dumps(report).encode())
    stack.store.put(partial_report_name(id, "report.html"), b"<p>So it is.</p>")
    assert "no critic or judge has labelled anything yet" in touchstone("critics", id).stdout
    shown = touchstone("report", id, "--out", str(tmp_path / "out"))
    assert shown.returncode == 0 and "So it is." in shown.stdout and "Partial" in shown.stdout
    assert json.loads((tmp_path / "out/report.json").read_text()) == report
    assert (tmp_path / "out/report.html").read_text() == "<p>So it is.</p>"
    reused = touchstone("submit", str(spec), "--watch", "--json").stdout
    last = json.loads(reused.splitlines()[-1])
    assert last["event"] == "end" and last["data"]["state"] == "succeeded"


def test_a_failed_experiment_is_exit_1(touchstone: Run, spec: Path) -> None:
    id = as_json(touchstone("submit", str(spec), "--json"))["id"]
    touchstone("cancel", id)
    done = touchstone("watch", id)
    assert done.returncode == 1 and "cancelled: " in done.stdout


def test_ctrl_c_is_130_and_the_experiment_goes_on(touchstone: Run, place: Stack, spec: Path) -> None:
    id = as_json(touchstone("submit", str(spec), "--json"))["id"]
    watching = subprocess.Popen(
        [sys.executable, "-m", "touchstone_client", "watch", id, "--json"],
        env={**os.environ, "TOUCHSTONE_URL": place.api_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell lets what it starts in the background ignore SIGINT, and that is handed on to children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["event"] == "snapshot"
    watching.send_signal(signal.SIGINT)
    # Read on: a process cannot end while it has more to say than a full pipe takes.
    _, errors = watching.communicate(timeout=60)
    assert watching.returncode == 130 and "Traceback" not in errors
    states = {item["id"]: item["state"] for item in as_json(touchstone("ls", "--json"))}
    assert states[id] == "running"


def test_datasets(touchstone: Run, place: Stack, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"id": "a", "text": "Why?"}\n')
    refused(touchstone("dataset", "add", str(file), "--name", "mine"), 2, "prompt_id", "--map prompt_id=…")
    refused(touchstone("dataset", "add", str(file), "--name", "../mine"), 2, "name")
    refused(touchstone("dataset", "add", str(file), "--name", "mine", "--map", "id"), 2, "--map")
    refused(touchstone("dataset", "add", str(tmp_path), "--name", "mine"), 2, str(tmp_path))
    added = as_json(
        touchstone("dataset", "add", str(file), "--name", "mine", "--map", "prompt_id=id,prompt=text", "--json")
    )
    assert datasets.read_dataset(place.store, added["sha256"]).to_pylist() == [{"prompt_id": "a", "prompt": "Why?"}]
    assert "mine" in [item["name"] for item in as_json(touchstone("dataset", "ls", "--json"))]
    file.write_text("x" * 200_001)
    refused(touchstone("dataset", "add", str(file), "--name", "mine"), 2, "larger", "TOUCHSTONE_MAX_DATASET_BYTES")


def test_templates(touchstone: Run, tmp_path: Path) -> None:
    file = tmp_path / "critic.txt"
    file.write_text("{prompt} {answer_a}")
    refused(touchstone("template", "add", "mine", str(file)), 2, "{answer_b}", "Write {prompt} with")
    refused(touchstone("template", "add", "mine", str(tmp_path)), 2, str(tmp_path))
    file.write_text("{prompt} {answer_a} {answer_b}")
    added = as_json(touchstone("template", "add", "mine", str(file), "--json"))
    assert added["sorts"] == {"": "pairwise"}
    assert "template:mine" in touchstone("template", "ls").stdout


def test_models(touchstone: Run, place: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    weights = os.urandom(20_000_000)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text("{}")
    (folder / "sub" / "vocab.txt").write_text("a\n")
    (folder / "README.md").write_text("left out")
    added = as_json(touchstone("model", "add", "tiny", str(folder), "--json"))
    assert added["files"] == {"config.json": 2, "model.safetensors": len(weights), "sub/vocab.txt": 2}
    fetched = models.fetch_model(place.store, added["sha256"], FileCache(tmp_path / "fetched"))
    assert (fetched / "model.safetensors").read_bytes() == weights
    assert "tiny" in touchstone("model", "ls").stdout
    (folder / "pytorch_model.bin").write_text("x")
    refused(touchstone("model", "add", "tiny", str(folder)), 2, "pytorch_model.bin", "safetensors")


def test_a_token(stack: Stack, spec: Path) -> None:
    start_api(stack, TOUCHSTONE_API_TOKENS="secret-one,secret-two")
    refused(command_for(stack.api_url)("ls"), 2, "bearer token")
    refused(command_for(stack.api_url, TOUCHSTONE_TOKEN="wrong")("ls"), 2, "bearer token")
    ids = [
        as_json(
            command_for(stack.api_url, TOUCHSTONE_TOKEN=token)("submit", str(spec), "--idempotency-key", "k", "--json")
        )
        for token in ("secret-one", "secret-two")
    ]
    assert ids[0]["id"] != ids[1]["id"], "one caller's key is not another's"
    assert command_for(stack.api_url)("ls", "--token", "secret-two").returncode == 0


def test_an_open_address_without_a_token_is_refused_at_the_start(stack: Stack) -> None:
    stack.start("api", TOUCHSTONE_API_HOST="0.0.0.0")
    wait_until(lambda: not stack.alive("api"), 20, "the API to refuse")
    assert stack.processes["api"].returncode == 1
    log = stack.log("api")
    assert log.startswith("error: TOUCHSTONE_API_TOKENS") and "0.0.0.0" in log and "Traceback" not in log


@pytest.mark.slow
def test_a_store_that_is_away_is_said(stack: Stack, spec: Path) -> None:
    start_api(stack)
    touchstone = command_for(stack.api_url)
    stack.kill("s3")
    refused(touchstone("submit", str(spec)), 3, "object store cannot be reached")
    stack.start_s3()
    assert touchstone("submit", str(spec)).returncode == 0


@pytest.mark.slow
def test_alpaca_evals_files_as_the_example_adds_them(stack: Stack) -> None:
    if not DATA.exists():
        pytest.skip(f"the recorded data is not at {DATA}")
    start_api(stack)
    touchstone = command_for(stack.api_url)
    example = ROOT / "examples" / "alpaca-eval-smollm2.yaml"
    text = example.read_text().replace("\\\n#", "")
    commands = [line[1:].split() for line in text.splitlines() if line.startswith("#   touchstone dataset add")]
    assert len(commands) == 5
    for words in commands:
        done = touchstone(*(word.replace("alpaca_eval/", f"{DATA}/") for word in words[1:]))
        assert done.returncode == 0, done.stderr
    listed = {item["name"]: item for item in as_json(touchstone("dataset", "ls", "--json"))}
    assert listed["alpaca-eval"]["rows"] == 805
    assert listed["alpaca-eval-labels"]["dropped"] == {"no usable preference": 9}
