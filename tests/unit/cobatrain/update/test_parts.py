"""An update in parts: micro-batches, mini-batches, and rollouts without signal left out."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from slow_update import mean, slow_advantage, slow_log_probs
from small_updates import (
    UNEQUAL,
    assert_same,
    changed,
    fast_gradient,
    flat,
    gpt2,
    make_batch,
    momentum,
)

from cobatrain.update import LOSSES, WEIGHTINGS, UpdateConfig, make_optimiser, update


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_micro_batch_size_changes_nothing(weighting):
    model = gpt2()
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    off_policy = {"old_log_probs": "engine", "tis_cap": 2.0}

    def outcome(size, dual_clip=1.05):
        config = UpdateConfig(micro_tokens=size, dual_clip=dual_clip, **off_policy)
        return fast_gradient(model, batch, config, weighting=weighting)

    outcomes = [outcome(size) for size in (1, 25, 60, 10**6)]
    unbounded, _ = outcome(60, dual_clip=None)
    assert unbounded["clip_fraction"] < outcomes[0][0]["clip_fraction"]
    assert [m["micro_batches"] for m, _ in outcomes] == sorted(
        (m["micro_batches"] for m, _ in outcomes), reverse=True
    )
    assert outcomes[0][0]["micro_batches"] == outcomes[0][0]["rollouts_trained"]
    assert outcomes[-1][0]["micro_batches"] == 1
    for metrics, gradient in outcomes[1:]:
        assert_same(gradient, outcomes[0][1], 1e-12)
        for name in set(metrics) - {"micro_batches", "padding_share", "kl", "penalty"}:
            assert metrics[name] == pytest.approx(outcomes[0][0][name], rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("minibatches", [1, 3])
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_leaving_out_rollouts_without_signal_changes_nothing(weighting, loss, minibatches):
    batch = make_batch(UNEQUAL, mixed=[2, 4])  # 10 of 17 rollouts have signal
    ends = []
    for skip in (True, False):
        model = gpt2()
        config = UpdateConfig(loss=loss, skip_no_signal=skip, minibatches=minibatches)
        optimiser = momentum(model)
        metrics = [update(model, optimiser, batch, config, weighting=weighting) for _ in range(2)]
        ends.append(flat(model))
        assert metrics[0]["rollouts"] == 17
        assert metrics[0]["rollouts_trained"] == (10 if skip else 17)
    assert (ends[0] - flat(gpt2())).norm() > 0.01
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-11)


def test_with_kl_every_rollout_is_run():
    metrics, _ = fast_gradient(
        gpt2(), make_batch(UNEQUAL, mixed=[2]), UpdateConfig(kl_coef=0.1), reference=gpt2(1)
    )
    assert metrics["rollouts_trained"] == metrics["rollouts"] == 17
    assert metrics["kl"] > 0


@pytest.mark.parametrize("skip", [True, False])
def test_a_batch_without_any_signal_still_steps_with_zero_gradient(skip):
    """Momentum goes on as it would if the rollouts had been run."""
    model = gpt2()
    optimiser = momentum(model)
    config = UpdateConfig(skip_no_signal=skip)
    update(model, optimiser, make_batch(UNEQUAL, mixed=[2, 4]), config)
    before = flat(model)
    metrics = update(model, optimiser, make_batch(UNEQUAL, mixed=[]), config)
    assert metrics["grad_norm"] == 0.0
    assert metrics["loss"] == 0.0
    assert (metrics["entropy"] is None) == skip
    assert (metrics["log_prob_gap_max"] is None) == skip
    moved = flat(model) - before
    assert moved.norm() > 0
    other = gpt2()
    optimiser = momentum(other)
    config = changed(config, skip_no_signal=not skip)
    update(other, optimiser, make_batch(UNEQUAL, mixed=[2, 4]), config)
    update(other, optimiser, make_batch(UNEQUAL, mixed=[]), config)
    torch.testing.assert_close(flat(other), flat(model), rtol=1e-9, atol=1e-11)


def test_mini_batch_gradients_average_to_the_batch():
    """With a learning rate too small to matter, k steps move k times as far as one."""
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    moves = {}
    for parts in (1, 4):
        model = gpt2()
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-6)
        config = UpdateConfig(minibatches=parts, max_grad_norm=None)
        metrics = update(model, optimiser, batch, config, rng=np.random.default_rng([0, 1]))
        moves[parts] = (flat(model) - flat(gpt2())) / parts
        assert metrics["rollouts_trained"] == 12
    assert_same(moves[4] * 1e6, moves[1] * 1e6, 1e-4)


def test_recomputed_old_log_probs_are_of_before_the_first_step():
    """Two mini-batches by hand: the second one's ratio is against the first weights."""
    batch = make_batch([2, 2], mixed=[0, 1])
    config = UpdateConfig(minibatches=2, max_grad_norm=None, clip_low=0.01, clip_high=0.01)
    model = gpt2()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    metrics = update(model, optimiser, batch, config)
    slow = gpt2()
    old = [[float(x.detach()) for x in slow_log_probs(slow, batch, j)] for j in range(4)]
    for part in ((0, 2), (1, 3)):
        loss = 0.0
        for j in part:
            a = slow_advantage(batch, j, "grpo")
            new = slow_log_probs(slow, batch, j)
            ratios = [torch.exp(x - y) for x, y in zip(new, old[j], strict=True)]
            values = [-torch.minimum(r * a, torch.clamp(r, 0.99, 1.01) * a) for r in ratios]
            loss = loss + 2 * mean(values) / 4
        slow.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in slow.parameters():
                p -= 0.5 * p.grad
    torch.testing.assert_close(flat(model), flat(slow), rtol=1e-9, atol=1e-11)
    assert metrics["clip_fraction"] > 0


def test_gap_to_the_engine_is_measured_before_the_first_step():
    batch = make_batch(UNEQUAL, mixed=range(5), spread=0.4)
    model = gpt2()
    gaps = [
        abs(float(x.detach()) - y)
        for j in range(1, len(batch))  # group 0 has one rollout: no signal
        for x, y in zip(slow_log_probs(model, batch, j), batch.log_probs[j], strict=True)
    ]
    for parts in (1, 3):
        fresh = gpt2()
        metrics = update(fresh, make_optimiser(fresh, 0.1), batch, UpdateConfig(minibatches=parts))
        assert metrics["log_prob_gap_mean"] == pytest.approx(mean(gaps), rel=1e-9)
        assert metrics["log_prob_gap_max"] == pytest.approx(max(gaps), rel=1e-9)
