"""Laws of micro-batches: nothing lost, nothing doubled, the limit kept, little padding."""

from __future__ import annotations

import functools

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.update import filler, micro_batches, mini_batches, pad

LAW = settings(deadline=None, max_examples=60)
LENGTHS = st.lists(st.integers(1, 60), max_size=40)


@LAW
@given(lengths=LENGTHS, limit=st.integers(1, 200), slack=st.floats(0, 1))
def test_every_rollout_once_and_within_the_limit(lengths, limit, slack):
    plan = micro_batches(lengths, limit, slack)
    assert sorted(int(j) for rows in plan for j in rows) == list(range(len(lengths)))
    for rows in plan:
        padded = len(rows) * max(lengths[j] for j in rows)
        assert padded <= limit or len(rows) == 1


@LAW
@given(lengths=st.lists(st.integers(1, 20), max_size=10), limit=st.integers(20, 80))
def test_no_split_into_padded_batches_is_smaller(lengths, limit):
    """The greedy plan has as few micro-batches as the best split of the sorted list."""
    ordered = sorted(lengths, reverse=True)

    @functools.cache
    def fewest(start):
        if start == len(ordered):
            return 0
        most = min(len(ordered) - start, limit // ordered[start])
        return 1 + min(fewest(start + k) for k in range(1, most + 1))

    assert len(micro_batches(lengths, limit, slack=1.0)) == fewest(0)


@LAW
@given(lengths=LENGTHS, limit=st.integers(1, 2000), slack=st.floats(0, 0.5))
def test_only_small_micro_batches_hold_unlike_lengths(lengths, limit, slack):
    for rows in micro_batches(lengths, limit, slack):
        own = [lengths[j] for j in rows]
        small = (len(own) - 1) * max(own) < limit / 16
        assert small or min(own) >= (1 - slack) * max(own) - 1e-9


def test_padding_is_small_for_skewed_lengths():
    rng = np.random.default_rng([0, 1, 2])
    lengths = 64 + np.minimum(rng.lognormal(6.5, 0.8, 2048), 4096).astype(int)
    drawn = np.array_split(np.arange(2048), len(micro_batches(lengths, 16384)))
    assert padding(lengths, micro_batches(lengths, 16384)) < 0.02
    assert padding(lengths, drawn) > 0.4  # what it would be unsorted
    short = rng.integers(7, 18, 512)
    assert padding(short, micro_batches(short, 16384, slack=1.0)) > 0.2
    assert padding(short, micro_batches(short, 16384)) < 0.1


def padding(lengths, plan):
    """The share of padded positions."""
    return 1 - lengths.sum() / sum(len(rows) * lengths[rows].max() for rows in plan)


@LAW
@given(n=st.integers(0, 50), parts=st.integers(1, 8), seed=st.none() | st.integers(0, 99))
def test_mini_batches_are_a_balanced_partition(n, parts, seed):
    rng = None if seed is None else np.random.default_rng([seed, 7])
    split = mini_batches(n, parts, rng)
    assert sorted(int(j) for rows in split for j in rows) == list(range(n))
    sizes = [len(rows) for rows in split]
    assert len(sizes) == parts
    assert max(sizes) - min(sizes) <= 1


@LAW
@given(data=st.data())
def test_padded_rollouts_can_be_read_back(data):
    n = data.draw(st.integers(1, 6))
    token = st.integers(1, 99)
    prompts = [data.draw(st.lists(token, min_size=1, max_size=5)) for _ in range(n)]
    responses = [data.draw(st.lists(token, min_size=1, max_size=5)) for _ in range(n)]
    log_probs = [[-0.5 - 0.1 * t for t in range(len(row))] for row in responses]
    chosen = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n, unique=True))
    micro = pad(prompts, responses, log_probs, np.array(chosen))
    for row, j in enumerate(chosen):
        whole = prompts[j] + responses[j]
        assert micro.tokens[row, : len(whole)].tolist() == whole
        assert (micro.tokens[row, len(whole) :] == 0).all()
        assert micro.targets[row][micro.mask[row]].tolist() == responses[j]
        assert micro.engine[row][micro.mask[row]].tolist() == log_probs[j]
        # the logit before each sampled token is kept, and it is the one that predicts it
        places = micro.mask[row].nonzero().flatten() + micro.first
        assert places.tolist() == list(range(len(prompts[j]) - 1, len(whole) - 1))
    assert (micro.engine[~micro.mask] == 0).all()


def test_a_filler_has_no_sampled_token():
    micro = filler()
    assert not micro.mask.any()
    assert len(micro.rows) == 0
    assert micro.targets.shape == micro.mask.shape == micro.engine.shape


@pytest.mark.parametrize(
    "call",
    [
        lambda: micro_batches([1, 2], 0),
        lambda: micro_batches([1, 0], 8),
        lambda: micro_batches([1, 2], 8, -0.1),
        lambda: mini_batches(4, 0),
    ],
)
def test_bad_input_is_refused(call):
    with pytest.raises(InputError, match=r"at least 1|slack must be in \[0, 1\]"):
        call()
