from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from services.inference.embedded.sampling import BLOCK, invert, nucleus, pick, row_key, uniforms


def draws(keys: list[int], counters: list[int]) -> np.ndarray:
    return uniforms(np.array(keys, dtype=np.uint64), np.array(counters, dtype=np.uint64))


def test_splitmix64_agrees_with_the_published_sequence() -> None:
    # Steele et al.'s reference output for seed 1234567, as it is also tested in Java's SplittableRandom ports.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    ours = draws([1234567] * 4, [0, 1, 2, 3])
    assert np.allclose(ours, [value / 2**64 for value in expected], rtol=0, atol=2**-53)


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20), st.integers(0, 1000))
def test_a_rows_draw_does_not_depend_on_the_batch(keys: list[int], counter: int) -> None:
    together = draws(keys, [counter] * len(keys))
    alone = [draws([key], [counter])[0] for key in keys]
    assert together.tolist() == alone
    assert all(0 <= value < 1 for value in together)


def test_seeds_and_samples_have_keys_of_their_own() -> None:
    keys = {row_key(seed, index) for seed in range(50) for index in range(50)}
    assert len(keys) == 2500


def test_draws_are_uniform_over_seeds_and_over_positions() -> None:
    by_seed = draws([row_key(seed, 0) for seed in range(20_000)], [3] * 20_000)
    by_position = draws([row_key(0, 0)] * 20_000, list(range(20_000)))
    for sample in (by_seed, by_position):
        counts = np.histogram(sample, bins=20, range=(0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 43.8  # chi-squared, 19 degrees of freedom, p = .001


def test_tokens_come_as_often_as_their_probability_says() -> None:
    logits = torch.tensor([2.0, 1.0, 0.0, -1.0])
    rows = 40_000
    numbers = torch.from_numpy(draws([row_key(seed, 0) for seed in range(rows)], [0] * rows))
    for temperature in (1.0, 0.5):
        ones = torch.ones(rows)
        tokens = pick(logits.expand(rows, -1), temperature * ones, ones, numbers)
        expected = torch.softmax(logits / temperature, -1) * rows
        counts = torch.bincount(tokens, minlength=4)
        assert float(((counts - expected) ** 2 / expected).sum()) < 16.3  # 3 degrees of freedom, p = .001


def test_temperature_zero_takes_the_likeliest_beside_rows_that_sample() -> None:
    logits = torch.tensor([[0.0, 5.0, 1.0], [0.0, 5.0, 1.0]])
    tokens = pick(logits, torch.tensor([0.0, 1.0]), torch.ones(2), torch.tensor([0.0, 0.0], dtype=torch.float64))
    assert tokens.tolist() == [1, 0]


def test_the_largest_draw_stays_inside_the_vocabulary_and_off_impossible_tokens() -> None:
    logits = torch.tensor([[0.0, 1.0, float("-inf")]])
    last = torch.tensor([1 - 2**-53], dtype=torch.float64)
    assert pick(logits, torch.ones(1), torch.ones(1), last).tolist() == [1]


def test_logits_that_are_no_numbers_leave_other_rows_alone_and_stay_inside_the_vocabulary() -> None:
    logits = torch.linspace(-1, 1, BLOCK + 44).repeat(3, 1)
    logits[0], logits[1, 7] = float("nan"), float("inf")
    ones, half = torch.ones(3), torch.full((3,), 0.5, dtype=torch.float64)
    tokens = pick(logits, ones, ones, half)
    assert tokens[2:].equal(pick(logits[2:], ones[2:], ones[2:], half[2:]))
    assert bool((tokens < BLOCK + 44).all())


@given(
    st.sampled_from([1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK, 3 * BLOCK + 7]),
    st.integers(0, 1000),
    st.floats(0, 1 - 2**-53),
    st.floats(0, 0.99),
)
def test_a_draw_is_inverted_as_by_the_whole_cumulative_distribution(
    size: int, seed: int, draw: float, zeros: float
) -> None:
    drawn = torch.Generator().manual_seed(seed)
    weights = torch.rand(2, size, generator=drawn)
    weights[torch.rand(2, size, generator=drawn) < zeros] = 0.0
    weights[:, seed % size] = 0.5
    tokens = invert(weights, torch.tensor([draw, draw], dtype=torch.float64))
    assert torch.equal(invert(weights[1:], torch.tensor([draw], dtype=torch.float64)), tokens[1:])
    for row, token in zip(weights.double(), tokens, strict=True):
        reached = row.cumsum(0) / row.sum()
        assert row[token] > 0
        assert reached[token] >= draw - 1e-6 and reached[token] - row[token] / row.sum() <= draw + 1e-6


@given(st.lists(st.floats(-5, 5), min_size=2, max_size=12), st.floats(0.05, 0.99))
def test_the_nucleus_is_the_fewest_tokens_that_hold_top_p(logits: list[float], top_p: float) -> None:
    probabilities = torch.softmax(torch.tensor([logits], dtype=torch.float64), -1)
    kept = nucleus(probabilities, torch.tensor([top_p]))[0]
    chosen = [at for at in range(len(logits)) if kept[at] > 0]
    mass = sorted((float(probabilities[0, at]) for at in chosen), reverse=True)
    assert sum(mass) >= top_p - 1e-6
    assert sum(mass[:-1]) < top_p + 1e-6
    left_out = [float(probabilities[0, at]) for at in range(len(logits)) if at not in chosen]
    assert not left_out or max(left_out) <= mass[-1]
    assert all(kept[at] == probabilities[0, at] for at in chosen)
