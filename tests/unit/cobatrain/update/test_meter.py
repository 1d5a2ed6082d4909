"""Measuring the parts of the gradient inside an update: the same update, the right products."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from dataclasses import replace

from small_updates import UNEQUAL, assert_same, fast_gradient, gpt2, make_batch, qwen3

from cobasim.errors import InputError
from cobasim.settings import validated
from cobatrain.config import TrainConfig
from cobatrain.parallel import Single
from cobatrain.update import WEIGHTINGS, PartsMeter, UpdateConfig, pad
from cobatrain.update.metrics import Sums
from cobatrain.update.objective import Objective
from cobatrain.update.plan import loss_terms

BUDGETS = [6, 8, 5, 4, 9, 3]


def meter_of(model):
    return PartsMeter(model, 0, Single())


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
@pytest.mark.parametrize("skip", [True, False])
def test_the_update_is_the_same(weighting, skip):
    model, batch = gpt2(), make_batch(UNEQUAL, mixed=[2, 3, 4])
    config = UpdateConfig(skip_no_signal=skip, tis_cap=2.0)
    plain, gradient = fast_gradient(model, batch, config, weighting=weighting)
    metrics, measured = fast_gradient(
        model, batch, config, weighting=weighting, meter=meter_of(model)
    )
    assert_same(measured, gradient)
    assert metrics["rollouts_trained"] == plain["rollouts_trained"]
    assert metrics["loss"] == pytest.approx(plain["loss"])


def exact_quarters(model, batch, config, quarter):
    """The gradients of the quarters, one backward pass each."""
    terms = loss_terms(batch, config, "rollout", Single())
    objective = Objective(model, None, config, 1.0, terms, Sums(torch.device("cpu")))
    found = []
    for number in range(4):
        rows = np.flatnonzero(quarter == number)
        model.zero_grad(set_to_none=True)
        micro = pad(batch.prompts, batch.responses, batch.log_probs, rows)
        objective.loss(micro, None, first_step=True).backward()
        found.append([p.grad.clone() for p in model.parameters()])
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.parametrize("micro_tokens", [1, 40, 10**6])
def test_its_products_are_those_of_the_quarters_gradients(micro_tokens):
    model, batch = qwen3(), make_batch(BUDGETS, seed=3)
    config = UpdateConfig(micro_tokens=micro_tokens)
    meter = meter_of(model)
    sketch = meter._sketch
    given = {}
    learn = meter.learn

    def looked_at(parallel):
        given["quarters"] = meter._quarters
        learn(parallel)

    meter.learn = looked_at
    fast_gradient(model, batch, config, meter=meter)
    exact = exact_quarters(model, batch, config, given["quarters"].quarter)
    rows = torch.stack([sketch.sketch(gradients)[0] for gradients in exact]).double().numpy()
    equations = given["quarters"].equations(rows @ rows.T)
    scale = equations.square
    mine = meter.running._sums
    np.testing.assert_allclose(mine, equations.to_array(), rtol=1e-4, atol=1e-5 * scale)
    flat = torch.stack([torch.cat([g.flatten() for g in row]) for row in exact]).double()
    true = given["quarters"].equations((flat @ flat.T).numpy())
    assert mine[5] == pytest.approx(true.square, rel=0.05)
    assert mine[0] == pytest.approx(true.across, abs=0.05 * scale)


def test_it_resumes_and_draws_other_quarters_at_every_update():
    model, batch = qwen3(), make_batch(BUDGETS, seed=3)
    terms = loss_terms(batch, UpdateConfig(), "rollout", Single())

    def deal(meter):
        return meter.deal(batch, terms, UpdateConfig(), "rollout", Single()).tolist()

    one, other = meter_of(model), meter_of(model)
    first = deal(one)
    assert deal(other) == first
    for _ in range(3):
        fast_gradient(model, batch, UpdateConfig(), meter=one)
    other.load_state_dict(one.state_dict())
    assert deal(one) == deal(other) != first
    for meter in (one, other):
        fast_gradient(model, batch, UpdateConfig(), meter=meter)
    assert one.running.parts() == other.running.parts() is not None


def test_a_step_without_signal_teaches_nothing():
    model = qwen3()
    meter = meter_of(model)
    fast_gradient(model, make_batch([3, 3], mixed=[]), UpdateConfig(), meter=meter)
    assert meter.running.parts() is None


@pytest.mark.parametrize("changes", [{"minibatches": 2}, {"kl_coef": 0.1}])
def test_an_update_that_does_not_show_its_gradient_is_refused(changes):
    wanted = "set update.minibatches to 1 .* and update.kl_coef to 0"
    with pytest.raises(InputError, match="update.measure_parts needs the whole .*" + wanted):
        validated(UpdateConfig, {"measure_parts": True, **changes})
    run = {"model": {"path": "nowhere"}, "allocator": "signal-parts", "update": changes}
    with pytest.raises(InputError, match="allocator 'signal-parts' needs the whole .*" + wanted):
        validated(TrainConfig, run)
    model, batch = qwen3(), make_batch(BUDGETS)
    config = UpdateConfig(**changes)
    with pytest.raises(InputError, match=wanted):
        fast_gradient(model, batch, config, meter=meter_of(model), reference=model)


def test_rewards_between_0_and_1_are_refused():
    model, batch = qwen3(), make_batch(BUDGETS)
    odd = replace(batch, rewards=0.5 * batch.rewards)
    with pytest.raises(InputError, match="rewards of 0 and 1"):
        fast_gradient(model, odd, UpdateConfig(), meter=meter_of(model))


def test_an_allocator_that_reads_parts_turns_it_on():
    def config(**changes):
        return TrainConfig(model={"path": "nowhere"}, **changes)

    assert not config(allocator="signal").measures_parts
    assert config(allocator="signal-parts").measures_parts
    assert config(update={"measure_parts": True}).measures_parts
