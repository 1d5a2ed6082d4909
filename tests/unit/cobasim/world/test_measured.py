"""The measured world: exact start, the update that it says, copies, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from measured_files import made, rates_by_hand
from scipy.special import logit

from cobasim.allocation import make_allocator
from cobasim.errors import InputError
from cobasim.gradients import write_measured
from cobasim.loop import LoopConfig, run
from cobasim.runs import RunConfig, build_loop
from cobasim.settings import validated
from cobasim.updates import group_update, group_weights
from cobasim.world import WeighedGroups, WorldConfig, find_world


@pytest.fixture
def file(tmp_path):
    write_measured(made(), tmp_path / "g.npz")
    return f"measured:{tmp_path}/g.npz"


def build(file: str, seed: int = 0, **settings):
    config = validated(WorldConfig, {"world": file, **settings})
    return find_world(file)(config, seed)


def test_it_starts_at_the_measured_rates_of_train_and_held_out_prompts(file):
    policy = build(file)
    measured = made()
    assert policy.num_prompts == 60
    rates = policy.all_pass_rates()
    np.testing.assert_allclose(rates[:60], measured.rate[:60], rtol=1e-12)
    np.testing.assert_allclose(rates[60:], measured.rate[60:], rtol=1e-12)
    assert policy.evaluate()["heldout"] == pytest.approx(measured.rate[60:].mean())
    np.testing.assert_allclose(policy.pass_rates(np.arange(60)), rates[:60])


def by_hand(measured):
    """Gradients of the logits (n, r) and (n,), from finite differences of the definition."""
    alternatives = measured.prompt, measured.position

    def logits(odds):
        return logit(rates_by_hand(*alternatives, odds))

    shared, own = np.zeros((80, 8)), np.zeros(80)
    for number, prompt in enumerate(measured.prompt):
        step = np.zeros(measured.odds.size)
        step[number] = 1e-6
        slope = (logits(measured.odds + step) - logits(measured.odds - step))[prompt] / 2e-6
        shared[prompt] += slope * measured.features[number]
        own[prompt] += slope * measured.own[number]
    return shared, own


def test_a_first_step_is_adams_by_hand(file):
    """One step without noise, from the definitions alone."""
    policy, measured = build(file, noise=0.0), made()
    prompts, budgets = np.arange(10, 26), np.full(16, 8)
    passes = policy.rollout(prompts, budgets)
    norm = policy.update()["grad_norm"]
    move = group_weights(budgets, "rollout") * group_update(passes, budgets)[0]
    plain = move @ measured.plain[prompts]
    length = np.sqrt(plain @ plain + ((move * measured.plain_rest[prompts]) ** 2).sum())
    assert norm == pytest.approx(length)
    clip = min(1.0, 1.0 / length)
    # the first moment and the root of the second are those of this gradient
    step = 1e-3 * 3.0 * clip / (clip * length)
    shared, own = by_hand(measured)
    odds = measured.odds + measured.features @ (move @ shared[prompts]) * step
    for prompt, moved in zip(prompts, move, strict=True):
        rows = measured.prompt == prompt
        odds[rows] += measured.own[rows] * own[prompt] * moved * step
    expected = rates_by_hand(measured.prompt, measured.position, odds)
    np.testing.assert_allclose(policy.all_pass_rates(), expected, rtol=1e-5)


@pytest.mark.parametrize("linear_in", ["tokens", "logit"])
def test_gradients_are_those_of_the_logits(file, linear_in):
    policy = build(file, linear_in=linear_in)
    policy.theta += np.linspace(-0.2, 0.3, 8)  # somewhere else than at the start
    prompts, moves = np.arange(5), np.array([0.3, 0.0, -0.2, 1.0, 0.1])
    shared, own = policy.gradients(policy.view(prompts), moves)

    def change(parameter, places):
        parameter[places] += 1e-3
        up = logit(policy.pass_rates(prompts))
        parameter[places] -= 2e-3
        down = logit(policy.pass_rates(prompts))
        parameter[places] += 1e-3
        return (up - down) / 2e-3

    for number in range(3):
        assert moves @ change(policy.theta, number) == pytest.approx(shared[number], rel=1e-3)
    np.testing.assert_allclose(own, moves * change(policy.own, prompts), rtol=1e-3, atol=1e-6)


def test_linear_in_the_logit_is_the_same_gradient_at_the_start_and_never_turns(file):
    tokens, joined = build(file), build(file, linear_in="logit")
    prompts = np.arange(60)
    np.testing.assert_allclose(joined.all_pass_rates(), tokens.all_pass_rates(), rtol=1e-6)
    one, two = tokens.view(prompts).rows, joined.view(prompts).rows
    np.testing.assert_allclose(one.shared, two.shared, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(one.own, two.own, rtol=1e-6)
    for policy in (tokens, joined):
        policy.theta += 0.5
    np.testing.assert_array_equal(joined.view(prompts).rows.shared, two.shared)
    assert np.abs(tokens.view(prompts).rows.shared - one.shared).max() > 0.1
    with pytest.raises(InputError, match="linear_in is a setting of measured worlds"):
        validated(WorldConfig, {"linear_in": "logit"})


def later(step, seed=1, **changes):
    """The same prompts and alternatives at a later step: other odds and gradients."""
    first, other = made(), made(seed=seed)
    rng = np.random.default_rng(seed)
    odds = first.odds + rng.normal(0, 0.1, first.odds.size)
    values = {
        "odds": odds,
        "rate": rates_by_hand(first.prompt, first.position, odds),
        "features": rng.standard_normal(first.features.shape).astype(np.float16),
        "noise": other.noise,
        "root_sum": 5.0,
        "info": first.info | {"step": step},
    }
    return made(**(values | changes))


def test_features_are_replaced_at_the_step_of_the_next_file(file, tmp_path):
    write_measured(later(3), tmp_path / "h.npz")
    loop = LoopConfig(steps=6, batch_size=16, total_budget=128, eval_every=1)

    def rates(names, steps):
        world = validated(WorldConfig, {"world": names, "noise": 0.0})
        loops = build_loop(RunConfig(allocator="uniform", loop=loop, world=world))
        for _ in range(steps):
            loops.advance(make_allocator("uniform"))
        return loops.learner

    both = f"{file},{tmp_path}/h.npz"
    np.testing.assert_array_equal(rates(both, 2).all_pass_rates(), rates(file, 2).all_pass_rates())
    turned = rates(both, 3)
    assert turned.measured.step == 3
    np.testing.assert_array_equal(turned.features, later(3).features.astype(np.float32))
    # what momentum carries over is applied, and nothing else
    before = rates(file, 3)
    root = np.sqrt(before.optimiser.own_square / (1 - 0.999**3))
    carried = 1e-3 * 3.0 * 9.0 * before.optimiser.moment / root
    before.theta += carried
    np.testing.assert_allclose(turned.all_pass_rates(), before.all_pass_rates(), rtol=1e-6)
    assert not turned.theta.any()
    assert turned.optimiser.rate == pytest.approx(1e-3 * 5.0)


def test_a_run_that_is_resumed_after_its_features_were_replaced(file, tmp_path):
    write_measured(later(2), tmp_path / "h.npz")
    names = f"{tmp_path}/h.npz,{file.removeprefix('measured:')}"  # in any order
    world = validated(WorldConfig, {"world": f"measured:{names}"})
    loop = LoopConfig(steps=6, batch_size=16, total_budget=128)
    config = RunConfig(allocator="coba", loop=loop, world=world)
    coba = make_allocator("coba")
    for stop in (1, 2, 4):
        whole, broken, resumed = (build_loop(config) for _ in range(3))
        for _ in range(stop):
            whole.advance(coba)
            broken.advance(coba)
        resumed.load_state_dict(broken.state_dict())
        for _ in range(6 - stop):
            assert whole.advance(coba).learner == resumed.advance(coba).learner
        rates = whole.learner.all_pass_rates()
        np.testing.assert_array_equal(rates, resumed.learner.all_pass_rates())


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda: later(0), "measured at step 0, as another file was"),
        (lambda: made(seed=2, info=made().info | {"step": 3}), "other prompts or alternatives"),
        (lambda: later(3, token=made().token + 1), "token differ.*--like"),
    ],
)
def test_files_that_do_not_belong_together(file, tmp_path, other, words):
    write_measured(other(), tmp_path / "h.npz")
    with pytest.raises(InputError, match=words):
        validated(WorldConfig, {"world": f"{file},{tmp_path}/h.npz"})


def test_warm_up_is_that_of_the_measured_run_and_shortens_the_first_steps(file, tmp_path):
    update = {"learning_rate": 1e-3, "warmup_steps": 5}
    write_measured(made(info={"config": {"update": update}, "step": 0}), tmp_path / "w.npz")
    warm = build(f"measured:{tmp_path}/w.npz")
    cold = build(f"measured:{tmp_path}/w.npz", warmup_steps=0)
    assert (warm.config.warmup_steps, cold.config.warmup_steps) == (5, 0)
    for policy in (warm, cold):
        policy.rollout(np.arange(12), np.full(12, 8))
        policy.update()
    np.testing.assert_allclose(warm.theta, cold.theta / 5, rtol=1e-12)
    np.testing.assert_allclose(warm.own, cold.own / 5, rtol=1e-12)


def test_the_noise_has_the_measured_variance_along_each_direction(file):
    policy, measured = build(file), made()
    view = policy.view(np.arange(4))
    weights, spread = np.full(4, 0.25), np.full(4, 0.125)
    groups = WeighedGroups(view, np.full(4, 8), weights, np.zeros(4), np.ones(4))
    rng = np.random.default_rng(0)
    drawn = np.array([
        policy.nuisance(groups, rng.standard_normal(8))[0]
        for _ in range(20_000)
    ])  # fmt: skip
    within = np.interp(measured.rate[:4], [0.1, 0.9], [1.5, 0.5])
    unit = (weights**2 * spread * within).sum()
    np.testing.assert_allclose(drawn.var(axis=0), unit * measured.noise, rtol=0.05)
    variance = policy.nuisance(groups, np.zeros(8))[1]
    assert variance == pytest.approx(9.0 * unit)


@pytest.mark.parametrize("allocator", ["uniform", "coba", "signal", "greso", "gvm", "dapo"])
def test_every_part_of_the_loop_works_in_it(file, allocator):
    loop = LoopConfig(steps=4, batch_size=16, total_budget=128, eval_every=2)
    world = validated(WorldConfig, {"world": file})
    records = run(
        build_loop(RunConfig(allocator=allocator, loop=loop, world=world)),
        make_allocator(allocator),
    )
    assert records[-1].rollouts >= 4 * 128
    assert 0 < records[-1].evaluation["heldout"] < 1


def test_a_resumed_run_equals_an_unbroken_one(file):
    loop = LoopConfig(steps=6, batch_size=16, total_budget=128)
    config = RunConfig(allocator="coba", loop=loop, world=validated(WorldConfig, {"world": file}))
    whole, broken = build_loop(config), build_loop(config)
    coba = make_allocator("coba")
    for _ in range(3):
        whole.advance(coba)
        broken.advance(coba)
    resumed = build_loop(config)
    resumed.load_state_dict(broken.state_dict())
    for _ in range(3):
        one, two = whole.advance(coba), resumed.advance(coba)
        assert one.learner == two.learner
        assert one.bins == two.bins
    np.testing.assert_array_equal(whole.learner.all_pass_rates(), resumed.learner.all_pass_rates())


def test_smaller_pools_are_drawn_without_repeats_and_larger_ones_are_copies(file):
    few = build(file, num_prompts=20, seed=3)
    assert few.num_prompts == 20
    assert len({*few.rows[:20].tolist()}) == 20
    many = build(file, num_prompts=150)
    assert (np.bincount(many.rows[:150], minlength=60)[:60] >= 2).all()
    twin = np.flatnonzero(many.rows[:150] == many.rows[0])
    many.own[twin[0]] = 1.0  # what one has learned by itself, its copy has not
    rates = many.pass_rates(twin)
    assert rates[0] != rates[1]
    many.own[:] = 0.0
    assert np.ptp(many.pass_rates(twin)) == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"walk": 0.1}, "has no walk"),
        ({"regime_step": 3}, "has no regime_step"),
        ({"prompt_noise": 1.0}, "has no prompt_noise"),
        ({"harm": 0.1}, "has no harm"),
        ({"forgetting": 0.1}, "has no forgetting"),
        ({"transfer": 0.1}, "has no transfer"),
        ({"memorisation": 2.0}, "has no memorisation, .* leave it at 1.0"),
        ({"length_spread": 0.5}, "has no length_spread"),
        ({"optimiser": "sgd"}, "has no optimiser"),
        ({"population": "hard"}, "has no population"),
    ],
)
def test_settings_that_it_does_not_have(file, settings, words):
    with pytest.raises(InputError, match=words):
        build(file, **settings)


def test_files_and_pass_rates_that_it_cannot_take(file, tmp_path):
    with pytest.raises(InputError, match="no such file"):
        validated(WorldConfig, {"world": f"measured:{tmp_path}/none.npz"})
    with pytest.raises(InputError, match="needs the name of a file"):
        validated(WorldConfig, {"world": "measured:"})
    with pytest.raises(InputError, match="leave out --pass-rates"):
        find_world(file)(validated(WorldConfig, {"world": file}), 0, np.full(10, 0.5))
