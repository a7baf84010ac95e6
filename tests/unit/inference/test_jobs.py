from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.inference.embedded.checkpoint import Checkpoint
from services.inference.embedded.jobs import Delta, Job, Params, Row, sendable

CHARACTERS = st.text(alphabet="abé中🙂", max_size=12)


def ignore(*_: object) -> None:
    return None


def grow(checkpoint: Checkpoint, text: str, stops: tuple[str, ...] = (), end: bool = False) -> tuple[Row, list[Delta]]:
    """Push a text's tokens, then perhaps the end token; the deltas are what a streaming client gets."""
    tokens = checkpoint.encode(text) + ([1] if end else [])
    job = Job([5], Params(max_tokens=max(1, len(tokens)), seed=0, stop=stops), ignore, ignore)
    row, deltas = job.rows[0], []
    for token in tokens:
        row.push(token, checkpoint)
        if delta := row.delta():
            deltas.append(delta)
        if row.finish:
            break
    return row, deltas


def test_a_completion_ends_with_its_end_token_which_is_no_text(checkpoint: Checkpoint) -> None:
    row, _ = grow(checkpoint, "ab", end=True)
    assert (row.text, row.finish, len(row.tokens)) == ("ab", "stop", 3)


def test_a_completion_ends_at_max_tokens(checkpoint: Checkpoint) -> None:
    row, _ = grow(checkpoint, "abc")
    assert (row.text, row.finish) == ("abc", "length")


def test_a_stop_string_ends_it_and_is_left_out_even_across_tokens(checkpoint: Checkpoint) -> None:
    row, _ = grow(checkpoint, "one two three", (" th", "o t"))
    assert (row.text, row.finish) == ("one tw", "stop")
    assert len(row.tokens) == len("one two t")


@given(CHARACTERS.filter(bool), st.lists(CHARACTERS.filter(bool), max_size=3))
def test_what_is_streamed_adds_up_to_the_text_and_never_shows_a_stop_string(text: str, stops: list[str]) -> None:
    checkpoint = CHECKPOINT
    row, deltas = grow(checkpoint, text, tuple(stops))
    streamed = "".join(delta.text for delta in deltas)
    assert streamed == row.text
    assert not any(stop in streamed for stop in stops)
    assert "\ufffd" not in streamed
    assert deltas[-1].finish == row.finish


@given(CHARACTERS, CHARACTERS, st.lists(CHARACTERS.filter(bool), max_size=3))
def test_what_is_sent_stays_whatever_follows(text: str, rest: str, stops: list[str]) -> None:
    places = [(text + rest).find(stop) for stop in stops]
    cut = min((place for place in places if place >= 0), default=len(text + rest))
    if not any(stop in text for stop in stops):
        assert sendable(text, tuple(stops)) <= cut


def test_half_a_character_is_held_back(checkpoint: Checkpoint) -> None:
    _, deltas = grow(checkpoint, "é!")
    assert [delta.text for delta in deltas] == ["é", "!"]


def load_checkpoint() -> Checkpoint:
    from services.inference.embedded.checkpoint import end_tokens
    from tests.unit.inference.tiny_models import byte_tokenizer, tiny_llama

    tokenizer = byte_tokenizer()
    model = tiny_llama(tokenizer)
    return Checkpoint("tiny", model, tokenizer, end_tokens(model, tokenizer), 128)


CHECKPOINT = load_checkpoint()
