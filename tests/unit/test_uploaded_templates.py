"""Templates that people upload: by content hash, with the places that their use needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.asking import read_ask
from shared.errors import BadInput, PermanentError
from shared.plan.comparisons import Comparison
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved, resolve
from shared.store import MemoryStore
from shared.templates.template import Template
from shared.templates.uploads import read_templates
from shared.uploaded_templates import list_templates, pin_template, publish_templates, read_template
from tests.unit.specs import spec_with

MT_BENCH = Path(__file__).resolve().parents[3] / "shared" / "data" / "mt_bench" / "judge_prompts.jsonl"
TEXT = b"Which is better?\n{prompt}\n1: {answer_a}\n2: {answer_b}\nEnd with A or B."
ROW = {"name": "pair", "type": "pairwise", "system_prompt": "Judge.", "output_format": "[[A]]"}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def jsonl(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps({**ROW, **row}) + "\n" for row in rows).encode()


def resolved(store: MemoryStore, **asked: Any) -> Resolved:
    ask = {"kind": "pairwise", **asked}
    return resolve(parse_spec(spec_with(models__critic__ask=ask)), store, Settings())


def label_keys(found: Resolved) -> set[str]:
    return {key for key, stage in plan(found).stages.items() if stage.kind == "label"}


def test_a_text_comes_back_as_it_was(store: MemoryStore) -> None:
    info = publish_templates(store, "mine", read_templates("my.txt", TEXT))
    sha256 = pin_template(store, "x", "template:mine", "pairwise")
    assert info.entries == {"": sha256}
    assert read_template(store, sha256) == Template("pairwise", TEXT.decode())
    assert [one.name for one in list_templates(store)[0]] == ["mine"]


def test_names_do_not_count_and_content_does(store: MemoryStore) -> None:
    publish_templates(store, "one", read_templates("a.txt", TEXT))
    publish_templates(store, "other", read_templates("b.md", TEXT))
    one = label_keys(resolved(store, template="template:one"))
    assert one == label_keys(resolved(store, template="template:other"))
    assert not one & label_keys(resolved(store))
    publish_templates(store, "one", read_templates("a.txt", TEXT + b" Think first."))
    assert not one & label_keys(resolved(store, template="template:one"))


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("t.txt", b"Which is better? {answer_a} {answer_b}", "{prompt}"),
        ("t.txt", b"{prompt} {answer_a}", "{answer_b}"),
        ("t.txt", b"Rate this.", "{prompt} and {answer}"),
        ("t.txt", b"{prompt} {answer} {anser}", "{anser}"),
        ("t.txt", b"\xff\xfe", "UTF-8"),
        ("t.txt", TEXT + b" As [[rating]].", "answered with [[A]]"),
        ("t.txt", b"{prompt} {answer} [[A]]", "answered with [[rating]]"),
        ("t.jsonl", b"{", "line 1 is not JSON"),
        ("t.jsonl", b'{"name": "x"}', "line 1 lacks"),
        ("t.jsonl", b"", "empty"),
        ("t.jsonl", jsonl({"prompt_template": "{question_1} {answer_a_1}"}), "{answer_a_1}"),
        ("t.jsonl", jsonl({"prompt_template": TEXT.decode(), "system_prompt": "Of {question}:"}), "system prompt"),
        ("t.jsonl", jsonl(*[{"prompt_template": TEXT.decode()}] * 2), "twice"),
    ],
)
def test_a_template_without_its_places_is_refused(name: str, data: bytes, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_templates(name, data)
    assert says in caught.value.problem and caught.value.fix and caught.value.field.startswith("file")


def test_entries_are_named_where_there_are_several(store: MemoryStore) -> None:
    texts = ({"name": "x", "prompt_template": "1" + TEXT.decode()}, {"name": "y", "prompt_template": TEXT.decode()})
    publish_templates(store, "two", read_templates("j.jsonl", jsonl(*texts)))
    with pytest.raises(BadInput, match="template:two/x, template:two/y") as caught:
        resolved(store, template="template:two")
    assert caught.value.field == "models.critic.ask.template"
    assert resolved(store, template="template:two/y").spec["models"]["critic"]["ask"]["pinned"]
    with pytest.raises(BadInput, match="no entry 'z'"):
        resolved(store, template="template:two/z")
    with pytest.raises(BadInput, match="touchstone template add nobody FILE"):
        resolved(store, template="template:nobody")


@pytest.mark.parametrize(
    ("asked", "field", "says"),
    [
        ({"kind": "score", "template": "template:pair"}, "template", "two answers"),
        ({"kind": "score", "template": "template:single", "reference": "strong"}, "reference", "no place for it"),
        ({"kind": "score", "template": "template:math"}, "reference", "is missing"),
        (
            {"kind": "score", "template": "template:criteria"},
            "template",
            "{criteria}, which `kind: score` has nothing for",
        ),
        ({"template": "template:low"}, "template", "{low}, which `kind: pairwise` has nothing for"),
        (
            {"kind": "rubric", "template": "template:single", "criteria": [{"name": "a", "text": "t"}]},
            "template",
            "no place for the criteria",
        ),
        ({"template": "template:mt", "verdict": "logprobs"}, "verdict", "comes after words"),
    ],
)
def test_a_template_must_suit_the_way_of_asking(
    store: MemoryStore, asked: dict[str, Any], field: str, says: str
) -> None:
    publish_templates(store, "pair", read_templates("t.txt", TEXT))
    publish_templates(store, "mt", read_templates("t.txt", TEXT + b" [[A]]"))
    publish_templates(store, "single", read_templates("t.txt", b"{prompt} {answer}"))
    publish_templates(store, "math", read_templates("t.txt", b"{prompt} {answer} {ref_answer_1}"))
    publish_templates(store, "low", read_templates("t.txt", TEXT + b"{low}"))
    publish_templates(store, "criteria", read_templates("t.txt", b"{prompt} {answer} {criteria}"))
    with pytest.raises(BadInput, match=says) as caught:
        resolved(store, **asked)
    assert caught.value.field == f"models.critic.ask.{field}"


def test_a_template_that_changed_in_the_store_is_not_used(store: MemoryStore) -> None:
    publish_templates(store, "mine", read_templates("my.txt", TEXT))
    sha256 = pin_template(store, "x", "template:mine", "pairwise")
    store.put(f"templates/{sha256}.json", store.get(f"templates/{sha256}.json").replace(b"better", b"worse"))
    with pytest.raises(PermanentError, match="not what was added"):
        read_template(store, sha256)


@pytest.mark.skipif(not MT_BENCH.exists(), reason="../shared/data is not here")
def test_mt_bench_s_judge_prompts(store: MemoryStore) -> None:
    read = read_templates(MT_BENCH.name, MT_BENCH.read_bytes())
    assert set(read.templates) == {"pair-v2", "pair-math-v1", "single-v1", "single-math-v1"}
    assert len(read.skipped) == 4 and all("multi-turn" in name for name in read.skipped)
    assert all(template.brackets for template in read.templates.values())
    pair = read.templates["pair-v2"]
    assert "impartial judge" in pair.system and "[User Question]\nWhy?" in pair.render(
        {"prompt": "Why?", "answer_a": "x", "answer_b": "y"}
    )
    publish_templates(store, "mt-bench", read)
    resolved(store, template="template:mt-bench/pair-v2")
    resolved(store, kind="score", template="template:mt-bench/single-math-v1", reference="strong")
    for name, why in read.skipped.items():
        assert "{question_1}" in why and "{answer" in why, name
        with pytest.raises(BadInput, match="question_1"):
            resolved(store, template=f"template:mt-bench/{name}")


@pytest.mark.skipif(not MT_BENCH.exists(), reason="../shared/data is not here")
def test_a_pair_is_compared_with_a_reference_answer_where_the_template_shows_one(store: MemoryStore) -> None:
    publish_templates(store, "mt-bench", read_templates(MT_BENCH.name, MT_BENCH.read_bytes()))
    with pytest.raises(BadInput, match="has a place for a reference answer") as caught:
        resolved(store, template="template:mt-bench/pair-math-v1")
    assert caught.value.field == "models.critic.ask.reference"
    with pytest.raises(BadInput, match="no place for it"):
        resolved(store, template="template:mt-bench/pair-v2", reference="strong")
    made = plan(resolved(store, template="template:mt-bench/pair-math-v1", reference="strong"))
    label = next(stage for stage in made.stages.values() if stage.kind == "label")
    assert made.stages[label.inputs["reference_answers"]].kind == "teach"
    ask, template = read_ask(label.params), read_template(store, label.params["template"])
    values = ask.questions(Comparison("p1", "2 + 2?", "4", "5"), "four")[0]
    shown = ask.request({}, template, values).messages
    assert "[The Start of Reference Answer]\nfour\n" in shown[1]["content"] and "{" not in shown[1]["content"]


@pytest.mark.parametrize(
    ("row", "says"),
    [({"output_format": "[[rating_a,rating_b]]"}, "answered with [[A]]"), ({"output_format": "[[rating]]"}, "[[A]]")],
)
def test_a_form_of_verdict_that_cannot_be_read_is_said_at_the_upload(row: dict[str, Any], says: str) -> None:
    good = {"name": "good", "prompt_template": TEXT.decode()}
    read = read_templates("t.jsonl", jsonl(good, {"name": "odd", "prompt_template": TEXT.decode(), **row}))
    assert set(read.templates) == {"good"} and says in read.skipped["odd"]
