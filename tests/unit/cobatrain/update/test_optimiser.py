"""Clipping, warm-up, weight decay, frozen parameters; and that an update learns."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from small_updates import (
    UNEQUAL,
    UNIFORM,
    VOCABULARY,
    assert_same,
    changed,
    fast_gradient,
    flat,
    gpt2,
    make_batch,
    qwen3,
)

from cobasim.updates import warmup_factor
from cobatrain.update import (
    WEIGHTINGS,
    Batch,
    UpdateConfig,
    make_optimiser,
    make_schedule,
    set_learning_rate,
    update,
)


def test_gradients_are_clipped_to_the_norm():
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    config = UpdateConfig()
    metrics, whole = fast_gradient(gpt2(), batch, config)
    for bound in (0.01, 1e6):
        model = gpt2()
        optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
        again = update(model, optimiser, batch, changed(config, max_grad_norm=bound))
        moved = flat(gpt2()) - flat(model)
        norm = min(bound, metrics["grad_norm"])
        assert float(moved.norm()) == pytest.approx(norm, rel=1e-4)
        assert_same(moved / norm, whole / metrics["grad_norm"], 1e-4)
        assert again["grad_norm"] == pytest.approx(metrics["grad_norm"])


def test_warm_up_then_constant():
    assert [warmup_factor(s, 4) for s in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmup_factor(0, 0) == 1.0
    model = gpt2()
    optimiser = make_optimiser(model, 0.1)
    schedule = make_schedule(optimiser, 4)
    batch = make_batch(UNIFORM, mixed=[0])
    config = UpdateConfig(minibatches=2)
    rates = [
        update(model, optimiser, batch, config, schedule=schedule)["learning_rate"]
        for _ in range(3)
    ]
    assert rates == pytest.approx([0.05, 0.1, 0.1])


@pytest.mark.parametrize("taken", [0, 1, 3, 6])
def test_another_learning_rate_goes_on_with_the_same_schedule(taken):
    rates = []
    for first in (0.5, 0.1):
        optimiser = make_optimiser(gpt2(), first)
        schedule = make_schedule(optimiser, 4)
        for step in range(8):
            if step == taken:
                set_learning_rate(optimiser, schedule, 0.1)
            if step >= taken:
                rates.append([group["lr"] for group in optimiser.param_groups])
            optimiser.step()
            schedule.step()
    assert rates[: 8 - taken] == rates[8 - taken :]


def test_weight_decay_spares_biases_and_norms():
    model = gpt2()
    optimiser = make_optimiser(model, 0.1, weight_decay=0.5)
    decayed = {id(p) for g in optimiser.param_groups if g["weight_decay"] for p in g["params"]}
    assert {id(p) for p in model.parameters() if p.ndim > 1} == decayed
    everything = [p for g in optimiser.param_groups for p in g["params"]]
    assert len(everything) == len(list(model.parameters()))


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_it_learns(weighting):
    """Rewarding one token on a fixed prompt raises its probability: the sign is right."""
    model = qwen3()
    optimiser = make_optimiser(model, 0.01)
    rng = np.random.default_rng([0, 3])
    prompt = [1, 2, 3]
    chances = []
    for _ in range(25):
        with torch.no_grad():
            p = model(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1).double().numpy()
        chances.append(p[5])
        tokens = rng.choice(VOCABULARY, 64, p=p / p.sum())
        batch = Batch(
            [prompt] * 64,
            [[int(token)] for token in tokens],
            [[math.log(p[token])] for token in tokens],
            (tokens == 5).astype(float),
            np.zeros(64, dtype=int),
        )
        update(model, optimiser, batch, UpdateConfig(advantage="rloo"), weighting=weighting)
    assert chances[0] < 0.3
    assert chances[-1] > 0.9


def test_frozen_parameters_stay():
    model = qwen3()
    model.model.embed_tokens.weight.requires_grad_(False)
    frozen = model.model.embed_tokens.weight.clone()
    update(model, make_optimiser(model, 0.1), make_batch(UNIFORM, mixed=[0]), UpdateConfig())
    assert torch.equal(model.model.embed_tokens.weight, frozen)
