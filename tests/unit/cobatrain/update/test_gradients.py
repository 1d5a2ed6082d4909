"""The gradient of an update against a plain, slow reference."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from slow_update import slow_gradient, slow_log_probs
from small_updates import (
    UNEQUAL,
    UNIFORM,
    assert_same,
    fast_gradient,
    gemma2,
    gpt2,
    make_batch,
    qwen3,
)

from cobatrain.update import ADVANTAGES, LOSSES, WEIGHTINGS, UpdateConfig, pad, token_log_probs


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("kind", sorted(ADVANTAGES))
@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
@pytest.mark.parametrize("budgets", [UNIFORM, UNEQUAL], ids=["uniform", "unequal"])
def test_equals_the_slow_reference(budgets, weighting, kind, loss):
    """Off-policy (ratios far from 1, many clipped), with micro-batches of a few rollouts."""
    model = gpt2()
    batch = make_batch(budgets, seed=len(budgets), mixed=[0, 2, 3], spread=0.6)
    config = UpdateConfig(advantage=kind, loss=loss, old_log_probs="engine", micro_tokens=30)
    expected_loss, expected = slow_gradient(model, batch, config, weighting)
    metrics, gradient = fast_gradient(model, batch, config, weighting=weighting)
    assert_same(gradient, expected)
    assert metrics["loss"] == pytest.approx(expected_loss, rel=1e-9, abs=1e-12)
    assert metrics["grad_norm"] == pytest.approx(float(expected.norm()), rel=1e-9)
    assert metrics["clip_fraction"] > 0


@pytest.mark.parametrize(
    "change",
    [
        {"old_log_probs": "recompute"},
        {"old_log_probs": "recompute", "loss": "gspo", "temperature": 0.7},
        {"old_log_probs": "recompute", "tis_cap": 2.0},
        {"old_log_probs": "recompute", "tis_cap": 0.8, "weighting": "prompt"},
        {"old_log_probs": "engine", "kl_coef": 0.3},
        {"old_log_probs": "recompute", "kl_coef": 0.3, "weighting": "token", "temperature": 1.5},
        {"old_log_probs": "engine", "dual_clip": 1.05},
        {"old_log_probs": "engine", "dual_clip": 1.05, "loss": "gspo", "weighting": "prompt"},
        {"old_log_probs": "engine", "constant_length": 10},
        {"old_log_probs": "engine", "constant_length": 10, "weighting": "prompt"},
        {"old_log_probs": "engine", "shared_prompts": True, "kl_coef": 0.3},
        {"shared_prompts": True, "tis_cap": 0.8, "weighting": "token", "temperature": 0.7},
    ],
    ids=str,
)
def test_options_equal_the_slow_reference(change):
    model, reference = gpt2(), gpt2(seed=1)
    settings = {"weighting": "rollout", "temperature": 1.0} | change
    weighting = settings.pop("weighting")
    batch = make_batch(UNEQUAL, mixed=[2, 4])
    batch = replace(batch, temperature=settings.pop("temperature"))
    config = UpdateConfig(micro_tokens=40, **settings)
    expected_loss, expected = slow_gradient(model, batch, config, weighting, reference)
    metrics, gradient = fast_gradient(
        model, batch, config, weighting=weighting, reference=reference
    )
    assert_same(gradient, expected)
    assert metrics["loss"] == pytest.approx(expected_loss, rel=1e-9, abs=1e-12)


def test_uniform_is_plain_grpo():
    """M prompts x G rollouts by the usual reshape: (r - mean) / std of (M, G), and a mean loss."""
    model = qwen3()
    batch = make_batch([4, 4, 4, 4], mixed=[0, 1, 3])
    rewards = torch.tensor(batch.rewards).view(4, 4)
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    std = rewards.std(dim=1, correction=0, keepdim=True)
    advantage = (centred / std.where(std > 0, 1.0)).flatten()
    plain = copy.deepcopy(model)
    total = 0.0
    for j in range(16):
        new = torch.stack(slow_log_probs(plain, batch, j))
        total = total - (torch.exp(new - new.detach()) * advantage[j]).mean() / 16
    total.backward()
    expected = torch.cat([p.grad.flatten() for p in plain.parameters()])
    for weighting in ("rollout", "prompt"):
        _, gradient = fast_gradient(model, batch, UpdateConfig(), weighting=weighting)
        assert_same(gradient, expected, 1e-5)


@pytest.mark.parametrize("make", [gpt2, qwen3, gemma2])
def test_token_log_probs_are_those_without_padding(make):
    model = make()
    batch = replace(make_batch(UNEQUAL), temperature=0.8)
    rows = np.arange(len(batch))
    micro = pad(batch.prompts, batch.responses, batch.log_probs, rows)
    with torch.no_grad():
        log_probs, entropy = token_log_probs(model, micro, 0.8)
        for j in rows:
            slow = torch.stack(slow_log_probs(model, batch, j))
            torch.testing.assert_close(log_probs[j][micro.mask[j]], slow, rtol=1e-5, atol=1e-5)
        whole = torch.tensor([list(batch.prompts[0]) + list(batch.responses[0])])
        logits = model(input_ids=whole).logits[0, len(batch.prompts[0]) - 1 : -1] / 0.8
        exact = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(entropy[0][micro.mask[0]], exact, rtol=1e-5, atol=1e-5)
