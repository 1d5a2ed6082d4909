"""Responses that the maximum length cut off: kept, left out, or their length punished."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from small_updates import assert_same, changed, fast_gradient, gpt2, make_batch
from training import Peers

from cobasim.errors import InputError
from cobasim.settings import validated
from cobatrain.config import load_config
from cobatrain.parallel import Single
from cobatrain.update import (
    ADVANTAGES,
    WEIGHTINGS,
    Batch,
    UpdateConfig,
    advantages,
    overlong_penalty,
)
from cobatrain.update.plan import loss_terms

LAW = settings(deadline=None, max_examples=60)


@st.composite
def cut_batches(draw):
    """Batches of which some rollouts were cut off, and which."""
    batch = make_batch(
        draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)), draw(st.integers(0, 99))
    )
    n = len(batch)
    cut = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return replace(batch, finished=~cut, max_tokens=8), cut


def without(batch: Batch, cut) -> Batch:
    rows = np.flatnonzero(~cut)
    return replace(
        batch,
        prompts=[batch.prompts[j] for j in rows],
        responses=[batch.responses[j] for j in rows],
        log_probs=[batch.log_probs[j] for j in rows],
        rewards=batch.rewards[rows],
        group=batch.group[rows],
        finished=~batch.cut_off[rows],
    )


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
@pytest.mark.parametrize("kind", sorted(ADVANTAGES))
@LAW
@given(case=cut_batches())
def test_a_dropped_rollout_might_as_well_not_have_been_sampled(kind, weighting, case):
    batch, cut = case
    config = UpdateConfig(advantage=kind, cut_off="drop")
    terms = loss_terms(batch, config, weighting, Single())
    assert terms.cut_off == cut.mean()
    assert (terms.weight[cut] == 0).all()
    assert (terms.advantage[cut] == 0).all()
    if not cut.all():
        rest = loss_terms(without(batch, cut), config, weighting, Single())
        np.testing.assert_array_equal(terms.advantage[~cut], rest.advantage)
        np.testing.assert_array_equal(terms.weight[~cut], rest.weight)
        assert terms.signal == rest.signal
        assert (terms.weight * batch.lengths).sum() == pytest.approx(1.0)


@LAW
@given(case=cut_batches())
def test_kept_ones_count_as_all_others(case):
    batch, cut = case
    kept = loss_terms(batch, UpdateConfig(), "rollout", Single())
    blind = loss_terms(replace(batch, finished=None), UpdateConfig(), "rollout", Single())
    np.testing.assert_array_equal(kept.advantage, blind.advantage)
    np.testing.assert_array_equal(kept.weight, blind.weight)
    assert (kept.cut_off, blind.cut_off) == (cut.mean(), 0.0)


@pytest.mark.parametrize("change", [{}, {"kl_coef": 0.1}, {"skip_no_signal": False}], ids=str)
def test_the_gradient_is_that_of_the_batch_without_them(change):
    batch = make_batch([5, 4, 4], mixed=[0, 1, 2])
    cut = np.arange(len(batch)) % 4 == 1
    config = UpdateConfig(cut_off="drop", **change)
    reference = {"reference": gpt2(1)} if config.kl_coef else {}
    metrics, dropped = fast_gradient(gpt2(), replace(batch, finished=~cut), config, **reference)
    _, expected = fast_gradient(gpt2(), without(batch, cut), config, **reference)
    assert_same(dropped, expected)
    assert metrics["cut_off"] == cut.mean()
    assert metrics["rollouts"] == len(batch)
    assert metrics["rollouts_trained"] <= (~cut).sum()


def test_a_batch_that_is_dropped_whole_changes_nothing():
    batch = replace(make_batch([4], mixed=[0]), finished=np.zeros(4, dtype=bool))
    metrics, gradient = fast_gradient(gpt2(), batch, UpdateConfig(cut_off="drop"))
    assert not gradient.any()
    assert (metrics["cut_off"], metrics["rollouts_with_signal"]) == (1.0, 0.0)


@LAW
@given(max_tokens=st.integers(1, 50), data=st.data())
def test_the_penalty_is_equation_13(max_tokens, data):
    cache = data.draw(st.integers(1, max_tokens))
    lengths = np.arange(0, 2 * max_tokens)
    found = overlong_penalty(lengths, cache, max_tokens)
    for length, value in zip(lengths, found, strict=True):
        if length <= max_tokens - cache:
            assert value == 0
        elif length <= max_tokens:
            assert value == pytest.approx(((max_tokens - cache) - length) / cache)
        else:
            assert value == -1
    assert found[max_tokens] == -1


@LAW
@given(case=cut_batches(), cache=st.integers(1, 8))
def test_a_penalty_is_added_to_the_rewards(case, cache):
    batch, _ = case
    config = UpdateConfig(cut_off="penalty", penalty_tokens=cache)
    terms = loss_terms(batch, config, "rollout", Single())
    added = overlong_penalty(batch.lengths, cache, 8)
    np.testing.assert_array_equal(terms.advantage, advantages(batch.rewards + added, batch.group))
    assert terms.penalty == pytest.approx(added.mean())
    usual = loss_terms(batch, UpdateConfig(), "rollout", Single())
    np.testing.assert_array_equal(terms.weight, usual.weight)
    assert usual.penalty is None


@pytest.mark.parametrize(
    "config",
    [
        UpdateConfig(cut_off="drop", deviation="sample"),
        UpdateConfig(cut_off="penalty", penalty_tokens=5),
    ],
    ids=["drop", "penalty"],
)
@LAW
@given(case=cut_batches(), data=st.data())
def test_ranks_that_share_a_batch_agree_with_one_process(config, case, data):
    batch, _ = case
    rows = np.array(data.draw(st.lists(st.booleans(), min_size=len(batch), max_size=len(batch))))
    mine, theirs = without(batch, ~rows), without(batch, rows)
    said = (theirs.rewards, theirs.group, theirs.lengths, theirs.cut_off)
    terms = loss_terms(mine, config, "prompt", Peers(said))
    whole = loss_terms(batch, config, "prompt", Single())
    np.testing.assert_allclose(terms.advantage, whole.advantage[rows], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(terms.weight, whole.weight[rows], rtol=1e-12)
    assert terms.cut_off == whole.cut_off
    if whole.penalty is None:  # else a reward may be its group's mean, up to rounding
        assert terms.signal == whole.signal
    assert terms.penalty == (None if whole.penalty is None else pytest.approx(whole.penalty))


@LAW
@given(case=cut_batches())
def test_rounds_of_a_step_keep_what_was_cut_off(case):
    batch, cut = case
    whole = replace(batch, finished=None)
    np.testing.assert_array_equal(whole.joined(batch).cut_off, np.r_[np.zeros(len(cut), bool), cut])


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"cut_off": "penalise"}, "did you mean 'penalty'"),
        ({"cut_off": "penalty"}, "'penalty' needs penalty_tokens"),
        ({"penalty_tokens": 3}, "cut_off is 'keep'"),
        ({"cut_off": "penalty", "penalty_tokens": 0}, "greater than or equal to 1"),
        ({"cut_off": "drop", "measure_parts": True}, "set update.cut_off to 'keep'"),
    ],
    ids=str,
)
def test_a_bad_setting_is_refused(change, match):
    with pytest.raises(InputError, match=match):
        validated(UpdateConfig, change)


def test_a_penalty_needs_a_maximum_that_is_long_enough():
    config = changed(UpdateConfig(), cut_off="penalty", penalty_tokens=9)
    batch = make_batch([2], mixed=[0])
    with pytest.raises(InputError, match="needs the maximum length"):
        loss_terms(batch, config, "rollout", Single())
    with pytest.raises(InputError, match="penalty_tokens is 9, more than the 8 tokens"):
        loss_terms(replace(batch, max_tokens=8), config, "rollout", Single())
    with pytest.raises(InputError, match="penalty_tokens is 99, more than the"):
        load_config("tiny", ["update.cut_off=penalty", "update.penalty_tokens=99"])
    with pytest.raises(InputError, match="finished has 1 entries for 2 responses"):
        replace(batch, finished=np.ones(1, dtype=bool))
