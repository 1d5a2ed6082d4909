"""What is not finite stops an update before the step."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from small_updates import UNEQUAL, UNIFORM, flat, gpt2, make_batch, poison

from cobatrain.update import NonFiniteError, UpdateConfig, make_optimiser, update


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_engine_log_probs_that_are_not_finite_stop_the_update(value):
    model = gpt2()
    batch = poison(make_batch(UNEQUAL, mixed=[2, 4]), 5, value)
    with pytest.raises(NonFiniteError, match="engine") as error:
        update(model, make_optimiser(model, 0.1), batch, UpdateConfig())
    assert error.value.batch is batch
    assert error.value.rows.tolist() == [5]
    torch.testing.assert_close(flat(model), flat(gpt2()), rtol=0, atol=0)


def test_a_loss_that_is_not_finite_names_its_micro_batch():
    """One token's embedding is NaN: only rollouts that contain it are suspect."""
    model = gpt2()
    with torch.no_grad():
        model.transformer.wpe.weight[10:] = math.nan  # positions that only long rollouts reach
    batch = make_batch(UNEQUAL, mixed=[1, 2, 3, 4])
    before = flat(model)
    optimiser = make_optimiser(model, 0.1)
    with pytest.raises(NonFiniteError, match="the loss") as error:
        update(model, optimiser, batch, UpdateConfig(micro_tokens=1))
    used = np.flatnonzero(batch.group > 0)
    lengths = batch.prompt_lengths + batch.lengths
    assert 0 < len(error.value.rows) < len(used)
    assert sorted(error.value.rows) == [j for j in used if lengths[j] > 10]
    assert error.value.steps == 0
    torch.testing.assert_close(flat(model), before, rtol=0, atol=0, equal_nan=True)
    assert not optimiser.state
    assert all(p.grad is None for p in model.parameters())


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    model = gpt2()
    model.lm_head.weight.register_hook(lambda gradient: gradient * math.inf)
    batch = make_batch(UNEQUAL, mixed=[2, 4])
    with pytest.raises(NonFiniteError, match="the gradient") as error:
        update(model, make_optimiser(model, 0.1), batch, UpdateConfig())
    assert sorted(error.value.rows) == np.flatnonzero(np.isin(batch.group, [2, 4])).tolist()
    torch.testing.assert_close(flat(model), flat(gpt2()), rtol=0, atol=0)


def test_a_later_mini_batch_says_how_many_steps_were_taken():
    model = gpt2()
    calls = []

    def hook(gradient):
        calls.append(1)
        return gradient * math.nan if len(calls) > 1 else gradient

    model.transformer.h[0].mlp.c_fc.weight.register_hook(hook)
    batch = make_batch(UNIFORM, mixed=[0, 1, 2])
    with pytest.raises(NonFiniteError) as error:
        update(model, make_optimiser(model, 0.01), batch, UpdateConfig(minibatches=3))
    assert error.value.steps == 1
