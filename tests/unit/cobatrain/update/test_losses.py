"""Laws of the per-token losses."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from cobatrain.update import LOSSES, clip_loss, gspo_loss, importance_weights, k3

LAW = settings(deadline=None, max_examples=60)


LOW, HIGH = 0.2, 0.28


DUAL = st.sampled_from([None, 1.05, 1.5, 3.0])


@st.composite
def padded(draw):
    """(new, old, advantages, mask), float64, with at least one sampled token per rollout."""
    b, t = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    new = -3 * torch.rand(b, t, dtype=torch.float64, generator=generator)
    spread = draw(st.sampled_from([0.0, 0.1, 0.5, 2.0]))
    old = new + spread * torch.randn(b, t, dtype=torch.float64, generator=generator)
    advantages = torch.randn(b, dtype=torch.float64, generator=generator)
    mask = torch.rand(b, t, generator=generator) < 0.6
    mask[:, 0] = True
    return new, old, advantages, mask


def plain(kind, new, old, advantages, mask, dual):
    """The textbook min(), one token at a time."""
    result = torch.zeros_like(new)
    for j in range(new.shape[0]):
        places = [t for t in range(new.shape[1]) if mask[j, t]]
        mean = sum(float(new[j, t] - old[j, t]) for t in places) / len(places)
        for t in places:
            r = math.exp(mean if kind == "gspo" else float(new[j, t] - old[j, t]))
            a = float(advantages[j])
            surrogate = min(r * a, min(max(r, 1 - LOW), 1 + HIGH) * a)
            if dual is not None and a < 0:
                surrogate = max(surrogate, dual * a)
            result[j, t] = -surrogate
    return result


@pytest.mark.parametrize("kind", sorted(LOSSES))
@LAW
@given(case=padded(), dual=DUAL)
def test_equals_the_textbook_formula(kind, case, dual):
    new, old, advantages, mask = case
    result = LOSSES[kind](new, old, advantages, mask, LOW, HIGH, dual)
    torch.testing.assert_close(result.loss, plain(kind, new, old, advantages, mask, dual))
    if dual is not None:  # no loss is above c |A|
        assert (result.loss <= dual * (1 + 1e-12) * advantages.abs()[:, None]).all()


@pytest.mark.parametrize("kind", sorted(LOSSES))
@LAW
@given(case=padded(), dual=DUAL)
def test_gradient_is_that_of_finite_differences(kind, case, dual):
    new, old, advantages, mask = case
    result = LOSSES[kind](new, old, advantages, mask, LOW, HIGH, dual)
    edges = torch.tensor([1 - LOW, 1 + HIGH, dual or 1 + HIGH], dtype=torch.float64)
    if (result.ratio[mask][:, None] - edges).abs().min() < 1e-3:
        return  # a kink: no derivative there
    variable = new.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda x: LOSSES[kind](x, old, advantages, mask, LOW, HIGH, dual).loss,
        (variable,),
        atol=1e-6,
    )


@pytest.mark.parametrize("kind", sorted(LOSSES))
@LAW
@given(case=padded(), dual=DUAL)
def test_on_policy_gradient_is_minus_advantage_per_token(kind, case, dual):
    """At pi = pi_old both losses are REINFORCE: the summed gradient of a token is -A."""
    new, _, advantages, mask = case
    variable = new.clone().requires_grad_()
    result = LOSSES[kind](variable, new, advantages, mask, LOW, HIGH, dual)
    result.loss.sum().backward()
    torch.testing.assert_close(variable.grad, -advantages[:, None] * mask)
    assert not result.clipped.any()


@pytest.mark.parametrize("kind", sorted(LOSSES))
@LAW
@given(case=padded(), junk=st.sampled_from([math.nan, math.inf, -math.inf, 1e30]))
def test_padding_never_matters(kind, case, junk):
    new, old, advantages, mask = case
    outcome = []
    for fill in (0.0, junk):
        variable = new.clone().requires_grad_()
        x = torch.where(mask, variable, fill)
        y = torch.where(mask, old, fill)
        result = LOSSES[kind](x, y, advantages, mask, LOW, HIGH, 1.5)
        total = result.loss.sum() + k3(x, y, mask).sum()
        total.backward()
        outcome.append((result.loss.detach(), variable.grad, importance_weights(y, x, mask, 2.0)))
    for one, other in zip(*outcome, strict=True):
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@LAW
@given(advantage=st.sampled_from([-1.0, 1.0]), log_ratio=st.floats(-2000, 2000), dual=DUAL)
def test_far_ratios_keep_loss_and_gradient_finite(advantage, log_ratio, dual):
    new = torch.tensor([[log_ratio]], dtype=torch.float64, requires_grad=True)
    old = torch.zeros(1, 1, dtype=torch.float64)
    mask = torch.ones(1, 1, dtype=torch.bool)
    result = clip_loss(new, old, torch.tensor([advantage]), mask, LOW, HIGH, dual)
    (result.loss + k3(new, old, mask)).sum().backward()
    assert torch.isfinite(result.loss).all()
    assert torch.isfinite(new.grad).all()


@LAW
@given(case=padded(), dual=DUAL)
def test_clipped_tokens_are_those_without_gradient(case, dual):
    new, old, advantages, mask = case
    variable = new.clone().requires_grad_()
    result = clip_loss(variable, old, advantages, mask, LOW, HIGH, dual)
    result.loss.sum().backward()
    assert torch.equal(variable.grad == 0, result.clipped | ~mask | (advantages == 0)[:, None])


def test_the_bounds_are_separate():
    new = torch.log(torch.tensor([[0.79, 0.81, 1.27, 1.29]], dtype=torch.float64))
    old = torch.zeros_like(new)
    mask = torch.ones_like(new, dtype=torch.bool)
    for advantage, expected in ((1.0, [0, 0, 0, 1]), (-1.0, [1, 0, 0, 0])):
        result = clip_loss(new, old, torch.tensor([advantage]), mask, LOW, HIGH)
        assert result.clipped.int().tolist() == [expected]


@LAW
@given(case=padded())
def test_gspo_ratio_is_one_per_rollout_and_ignores_order(case):
    new, old, advantages, mask = case
    ratio = gspo_loss(new, old, advantages, mask, LOW, HIGH).ratio
    for j in range(len(new)):
        values = ratio[j][mask[j]]
        assert (values == values[0]).all()
    # only the mean log ratio counts: moving it between tokens changes nothing
    shifted = new.clone()
    for j in range(len(new)):
        places = mask[j].nonzero().flatten()
        shifted[j, places[0]] += 0.3
        shifted[j, places[-1]] -= 0.3
    torch.testing.assert_close(gspo_loss(shifted, old, advantages, mask, LOW, HIGH).ratio, ratio)


@LAW
@given(case=padded())
def test_k3_is_not_negative_and_zero_only_at_equality(case):
    new, reference, _, mask = case
    value = k3(new, reference, mask)
    assert (value >= 0).all()
    assert torch.equal(value == 0, (new == reference) | ~mask)


def test_k3_is_unbiased_for_the_kl():
    """Summed with pi over a whole vocabulary it is KL(pi || reference), exactly."""
    generator = torch.Generator().manual_seed(0)
    new, reference = (
        torch.randn(1, 11, dtype=torch.float64, generator=generator).log_softmax(-1)
        for _ in range(2)
    )
    mask = torch.ones_like(new, dtype=torch.bool)
    exact = (new.exp() * (new - reference)).sum()
    torch.testing.assert_close((new.exp() * k3(new, reference, mask)).sum(), exact)


@LAW
@given(case=padded(), cap=st.sampled_from([0.5, 1.0, 2.0, 10.0]))
def test_importance_weights_are_capped_ratios_without_gradient(case, cap):
    old, engine, _, mask = case
    old = old.clone().requires_grad_()
    result = importance_weights(old, engine, mask, cap)
    assert not result.requires_grad
    for j, t in mask.nonzero().tolist():
        exact = min(math.exp(float((old[j, t] - engine[j, t]).detach())), cap)
        assert float(result[j, t]) == pytest.approx(exact)
    assert (result[~mask] == 0).all()
