"""What worlds say that their gradients are made of."""

import numpy as np
import pytest
from measured_files import made
from small_worlds import build, train

from cobasim.allocation import make_allocator
from cobasim.gradients import write_measured
from cobasim.loop import run
from cobasim.runs import RunConfig, build_loop
from cobasim.world import find_world

LOOP = {"steps": 4, "batch_size": 16, "total_budget": 128}


def by_pairs(policy, lengths=None):
    """Own and shared by summing over all pairs of the pool's prompts; from single gradients."""
    pool = np.arange(policy.num_prompts)
    rates = policy.pass_rates(pool)
    weight = rates * (1 - rates)
    single = [policy.gradients(policy.view(np.array([i])), np.ones(1)) for i in pool]
    shared, own = np.stack([s for s, _ in single]), np.concatenate([o for _, o in single])
    products = shared @ shared.T
    pairs = np.sqrt(np.outer(weight, weight))
    np.fill_diagonal(pairs, 0.0)
    common = (pairs * products).sum() / pairs.sum()
    return (weight @ (np.diag(products) + own**2)) / weight.sum() - common, common


def test_the_logistic_world_s_parts_are_those_of_all_pairs():
    policy = build(noise=4.0, prompt_noise=3.0, num_prompts=60)
    train(policy, 3, size=32)
    before = policy.state_dict()
    parts = policy.gradient_parts()
    own, shared = by_pairs(policy)
    assert parts.logit_shared == pytest.approx(shared)
    assert parts.logit_own == pytest.approx(own + 9.0)
    assert parts.noise == pytest.approx(16.0)
    assert parts.steps == 3
    assert parts.ratio == pytest.approx((own + 9.0) / 16.0)
    for name, value in policy.state_dict().items():
        np.testing.assert_array_equal(value, before[name])


def test_the_measured_world_s_parts_are_of_its_plain_gradients(tmp_path):
    measured = made(within_at=np.array([[0.0, 1.0], [1.0, 1.0]]))
    write_measured(measured, tmp_path / "g.npz")
    world = f"measured:{tmp_path}/g.npz"
    config = RunConfig(allocator="signal-parts", loop=LOOP, world={"world": world}, seed=1)
    policy = find_world(world)(config.world, 1)
    parts = policy.gradient_parts()
    plain, rest = measured.plain[:60], measured.plain_rest[:60]
    weight = measured.rate[:60] * (1 - measured.rate[:60])
    pairs = np.sqrt(np.outer(weight, weight))
    np.fill_diagonal(pairs, 0.0)
    shared = max((pairs * (plain @ plain.T)).sum() / pairs.sum(), 0.0)
    total = weight @ ((plain * plain).sum(axis=1) + rest**2) / weight.sum()
    assert parts.logit_shared == pytest.approx(shared, abs=2e-3)
    assert parts.logit_own == pytest.approx(total - shared, rel=1e-3)
    assert parts.noise == pytest.approx(measured.plain_within)
    assert parts.variance == pytest.approx((weight @ weight) / weight.sum())


@pytest.mark.parametrize("allocator", ["signal", "signal-parts"])
def test_the_loop_serves_parts_to_those_that_read_them_and_records_them(allocator):
    config = RunConfig(
        allocator=allocator, loop=LOOP, world={"num_prompts": 96, "num_heldout": 20}, seed=1
    )
    loop = build_loop(config)
    expected = loop.learner.gradient_parts()
    records = run(loop, make_allocator(allocator))
    numbers = records[1].learner
    if allocator == "signal":
        assert "own" not in numbers
        return
    assert numbers["own_over_within"] == pytest.approx(expected.own / expected.within)
    assert numbers["shared"] == pytest.approx(expected.shared)
    assert numbers["grad_norm"] > 0


def test_a_world_that_does_not_know_its_parts_leaves_signal_parts_at_signal():
    worlds = {"world": "skill-chain", "num_prompts": 96, "num_heldout": 20}
    finals = [
        run(
            build_loop(RunConfig(allocator=name, loop=LOOP, world=worlds, seed=1)),
            make_allocator(name),
        )[-1]
        for name in ("signal", "signal-parts")
    ]
    assert finals[0].evaluation == finals[1].evaluation
