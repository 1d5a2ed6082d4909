"""The gradient of weighted rollouts, with prompts run once."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from on_gpu import llama

from cobatrain.engines import Rollouts
from cobatrain.gradients import per_prompt
from cobatrain.gradients.per_prompt import inner_product, trained_parameters, weighted_gradient

TEMPERATURE = 0.7


def plain(model, prompt: list[int], response: list[int]) -> list[torch.Tensor]:
    """d log pi(response) / d parameters of one rollout alone, by the definition."""
    tokens = torch.tensor([prompt + response])
    log_probs = (model(input_ids=tokens).logits[0, :-1] / TEMPERATURE).log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(response) - 1)
    value = sum(log_probs[at, token] for at, token in zip(places, response, strict=True))
    return list(torch.autograd.grad(value, trained_parameters(model)))


@pytest.mark.parametrize("prompts", [[40, 31], [1, 2]])  # packed, and in rows of their own
def test_it_is_the_sum_of_the_rollouts_own(prompts):
    model = llama(layers=2, hidden=64, vocabulary=300).double()
    rng = np.random.default_rng(0)
    owner = np.array([0, 0, 0, 0, 1, 1, 1])
    shown = [rng.integers(1, 300, n).tolist() for n in prompts]
    tokens = [rng.integers(1, 300, n).tolist() for n in (3, 1, 7, 0, 5, 1, 4)]
    rollouts = Rollouts(
        prompt=owner,
        tokens=tokens,
        log_probs=[[0.0] * len(t) for t in tokens],
        finished=np.ones(7, dtype=np.bool_),
        prompt_tokens=shown,
    )
    rows, weights = np.array([0, 2, 3, 4, 6]), rng.normal(size=5)
    found = weighted_gradient(model, rollouts, rows, weights, TEMPERATURE)
    expected = [torch.zeros_like(p) for p in trained_parameters(model)]
    for row, weight in zip(rows, weights, strict=True):
        if not tokens[row]:
            continue  # nothing was sampled
        for total, part in zip(expected, plain(model, shown[owner[row]], tokens[row]), strict=True):
            total.add_(part, alpha=weight)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max() < 1e-5 * other.abs().max()  # norms are made in float32


def test_the_last_micro_batchs_gradient_is_gone_before_the_next_is_made(monkeypatch):
    """One in sum and one new: ``gradient_memory`` counts no third."""
    model = llama(layers=1, hidden=64, vocabulary=300)
    rng = np.random.default_rng(0)
    tokens = [rng.integers(1, 300, 9).tolist() for _ in range(6)]
    shown = [rng.integers(1, 300, 5).tolist() for _ in range(6)]
    rollouts = Rollouts(
        prompt=np.arange(6),
        tokens=tokens,
        log_probs=[[0.0] * len(t) for t in tokens],
        finished=np.ones(6, dtype=np.bool_),
        prompt_tokens=shown,
    )
    made: list[list[weakref.ref]] = []
    alive = []
    grad = torch.autograd.grad

    def counted(*arguments, **more):
        found = grad(*arguments, **more)
        alive.append(1 + sum(any(ref() is not None for ref in refs) for refs in made))
        made.append([weakref.ref(g) for g in found if g is not None])
        return found

    monkeypatch.setattr(torch.autograd, "grad", counted)
    monkeypatch.setattr(per_prompt, "MICRO_TOKENS", 14)  # a rollout at a time
    weighted_gradient(model, rollouts, np.arange(6), np.ones(6), TEMPERATURE)
    assert alive == [1, *[2] * 5]


def test_products_of_millions_of_numbers_are_sums_in_double():
    rng = np.random.default_rng(1)
    sizes = (2_000_000, 7, 300_000)
    first, second = ([rng.normal(size=n).astype(np.float32) for n in sizes] for _ in range(2))
    exact = sum(float(a.astype(np.float64) @ b) for a, b in zip(first, second, strict=True))
    lengths = [
        np.sqrt(sum(float(a.astype(np.float64) @ a) for a in part)) for part in (first, second)
    ]
    found = inner_product(map(torch.from_numpy, first), map(torch.from_numpy, second))
    assert abs(found - exact) < 1e-6 * lengths[0] * lengths[1]
