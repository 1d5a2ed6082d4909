"""The published peers: facts of their papers; and the laws of memory, rounds and selection."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from cobasim.allocation import (
    PEERS,
    Allocator,
    Kept,
    Limits,
    Observation,
    RoundsAllocator,
    allocate,
    make_allocator,
    one_shot,
    solve,
)
from cobasim.allocation.peers.cero import CeroValue
from cobasim.allocation.peers.hit_utility import HitValue
from cobasim.allocation.peers.neyman import NeymanValue
from cobasim.allocation.peers.reinforce_ada import balanced_part
from cobasim.allocation.peers.vip import DrGrpoVariance, RlooVariance
from cobasim.errors import InputError
from cobasim.loop import LoopConfig, run
from cobasim.records import read_run
from cobasim.runs import RunConfig, build_loop, execute
from cobasim.scores import WallTime, wall_time_curve
from cobasim.updates import baseline_update, group_update, join_groups
from cobasim.world import WorldConfig

laws = settings(max_examples=60, deadline=None)
WORLDS = ["logistic", "skill-chain"]
IN_ROUNDS = [name for name, kind in PEERS.items() if "rounds" in kind.needs]
EXACT_ROUNDS = [name for name in IN_ROUNDS if PEERS[name].exact]
FREE = [name for name, kind in PEERS.items() if not kind.exact]
SELECTING = [name for name, kind in PEERS.items() if "part" in kind.needs]


def config(allocator: str, world: str = "logistic", seed: int = 0, **loop) -> RunConfig:
    sizes = {"steps": 12, "batch_size": 32, "total_budget": 512, "eval_every": 4} | loop
    return RunConfig(
        allocator=allocator,
        seed=seed,
        loop=LoopConfig(**sizes),
        world=WorldConfig(world=world, num_prompts=100, num_heldout=80),
    )


def records_of(one: RunConfig):
    return run(build_loop(one), make_allocator(one.base_allocator, **one.parameters))


def plain(record):
    values = dict(vars(record))
    values.pop("allocate_ms")
    return values


def observe(rates, **known) -> Observation:
    p = np.asarray(rates, dtype=np.float64)
    return Observation(p, np.full(p.shape, 16.0), failure_rate=0.5, **known)


def drive(allocator: Allocator, obs: Observation, limits: Limits, rates, seed=0):
    """Budgets of every round, and all passes, when prompts have these true rates."""
    rng = np.random.default_rng(seed)
    plan = allocator.rounds(obs, limits)
    rounds, passes = [], np.zeros(len(rates), dtype=np.int64)
    asked = next(plan)
    while True:
        rounds.append(asked)
        got = rng.binomial(asked, rates)
        passes += got
        try:
            asked = plan.send(got)
        except StopIteration:
            return rounds, passes


# -- what is new changes nothing where it is not used ----------------------------------------


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [*(set(one_shot()) - set(PEERS)), "oracle-coba"])
def test_allocators_of_one_round_are_recorded_as_before(name, world):
    """The loop written out: observe, allocate, roll out once, update, record."""
    one = config(name, world)
    allocator = make_allocator(one.base_allocator)
    loop, by_hand = build_loop(one), build_loop(one)
    for _ in range(12):
        obs = by_hand.observe()
        budgets = allocator(obs, by_hand.limits)
        expected = by_hand.act(obs, budgets, shape=allocator.shape(obs))
        found = replace(loop.advance(allocator), allocate_ms=None)
        assert found.to_json() == expected.to_json()
        assert list(found.learner) == ["grad_norm"]


# -- every peer -------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [*PEERS])
def test_a_run_is_recorded_truthfully_and_ends_at_equal_rollouts(name, world, tmp_path):
    path = execute(config(name, world), tmp_path)
    steps = read_run(path).steps
    spent = np.diff([step.rollouts for step in steps])
    assert steps[-1].rollouts >= 12 * 512 > steps[-2].rollouts
    assert steps[-1].evaluation is not None
    for step, cost in zip(steps[1:], spent, strict=True):
        assert sum(step.bins["rollouts"]) == cost
        assert sum(step.bins["prompts"]) == step.prompts >= 32
        assert step.budget_max <= 128
        assert step.budget_min >= 2 or not PEERS[name].exact
        if PEERS[name].exact:
            assert cost == 512
        if PEERS[name].needs & {"rounds", "part"}:
            assert step.trained_rollouts <= cost
            assert step.rounds >= 1
        else:
            assert step.trained_rollouts is step.rounds is None


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", [*PEERS])
def test_a_resumed_run_equals_an_uninterrupted_one(name, world):
    one = config(name, world, steps=10)
    allocator = make_allocator(name)
    whole = run(build_loop(one), allocator)
    first = build_loop(one)
    head = [first.start()]
    while first.rollouts < 4 * 512:
        head.append(first.advance(allocator))
    second = build_loop(one)
    second.load_state_dict(first.state_dict())
    assert [plain(r) for r in head + run(second, allocator)] == [plain(r) for r in whole]


@pytest.mark.parametrize("name", ["greso", "cero"])
def test_memory_is_refused_by_another_allocator(name):
    one = config(name)
    loop = build_loop(one)
    loop.advance(make_allocator(name))
    state = loop.state_dict()
    assert state["memory"]
    other = build_loop(one)
    other.load_state_dict(state)
    with pytest.raises(InputError, match="stored memory"):
        other.advance(make_allocator("coba"))


@pytest.mark.parametrize("name", EXACT_ROUNDS)
@laws
@given(data=st.data())
def test_rounds_add_up_within_bounds(name, data):
    size, low = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 4))
    high = max(low, 1) + data.draw(st.integers(0, 40))
    total = data.draw(st.integers(max(size * low, 1), size * high))
    rates = data.draw(
        st.lists(st.sampled_from([0, 0.1, 0.5, 0.9, 1]), min_size=size, max_size=size)
    )
    obs = observe(rates, rng=np.random.default_rng(3))
    rounds, _ = drive(make_allocator(name), obs, Limits(total, low, high), rates)
    budgets = sum(rounds)
    assert all((asked >= 0).all() for asked in rounds)
    assert budgets.sum() == total
    assert low <= budgets.min() <= budgets.max() <= high


@pytest.mark.parametrize("name", [n for n, kind in PEERS.items() if "beliefs" not in kind.needs])
def test_those_that_do_not_look_at_beliefs_run_as_their_oracles_do(name):
    seen = [
        [(r.rollouts, r.learner, r.evaluation) for r in records_of(config(one, steps=6))]
        for one in (name, f"oracle-{name}")
    ]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("name", IN_ROUNDS)
def test_without_outcomes_there_are_no_budgets(name):
    with pytest.raises(InputError, match="spends in rounds"):
        allocate([0.1, 0.5, 0.7], 30, allocator=name)
    assert name not in one_shot()


@pytest.mark.parametrize("name", [n for n in PEERS if n in one_shot() and n != "pods"])
@laws
@given(order=st.permutations(range(9)), total=st.integers(40, 150))
def test_permuting_prompts_permutes_budgets(name, order, total):
    obs, limits = observe((np.arange(9) + 1) / 10.3), Limits(total, 2, 60)
    moved = replace(obs, pass_rate=obs.pass_rate[order])
    allocator = make_allocator(name)
    assert allocator(moved, limits).tolist() == allocator(obs, limits)[order].tolist()


# -- the loop's contract ----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Halves(RoundsAllocator):
    """Uniform budgets, in two rounds."""

    def rounds(self, obs, limits):
        half = np.full(obs.pass_rate.size, limits.total // obs.pass_rate.size // 2)
        yield half
        yield half


@dataclass(frozen=True, kw_only=True)
class Whole(Allocator):
    """Uniform budgets, all kept: as if nothing had been selected."""

    needs: ClassVar[frozenset[str]] = frozenset({"part"})

    def __call__(self, obs, limits):
        return np.full(obs.pass_rate.size, limits.total // obs.pass_rate.size)

    def keep(self, obs, budgets, passes):
        return Kept(budgets, passes)


@pytest.mark.parametrize("world", WORLDS)
def test_groups_are_the_union_of_their_rounds(world):
    loop = build_loop(config("uniform", world))
    record = loop.advance(Halves())
    assert record.rollouts == 512
    assert record.budget_min == record.budget_max == 16
    assert record.rounds == 2
    assert record.trained_rollouts == 512


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("kind", ["grpo", "dr-grpo", "rloo"])
def test_an_update_from_merged_rounds_is_that_of_one_round_with_the_same_counts(world, kind):
    one = config("uniform", world)
    one = one.model_copy(update={"world": one.world.model_copy(update={"update": kind})})
    prompts, budgets = np.arange(20), np.arange(20) % 5 + 4
    split, joint = build_loop(one).learner, build_loop(one).learner
    for _ in range(3):
        first, later = prompts[:15], prompts[5:]
        passes = np.zeros(20, dtype=np.int64)
        passes[first] += split.rollout(first, budgets[:15])
        passes[later] += split.rollout_more(later, budgets[5:])
        number = np.bincount(first, budgets[:15], 20) + np.bincount(later, budgets[5:], 20)
        assert (passes <= number).all()
        joint.rollout(prompts, number.astype(np.int64))
        joint.keep(prompts, Kept(number.astype(np.int64), passes))  # the very same outcomes
        assert split.update() == joint.update()
        np.testing.assert_array_equal(split.all_pass_rates(), joint.all_pass_rates())


@pytest.mark.parametrize("world", WORLDS)
def test_keeping_everything_is_selecting_nothing(world):
    one, other = build_loop(config("uniform", world)), build_loop(config("uniform", world))
    for _ in range(6):
        kept = plain(one.advance(Whole()))
        assert (kept["trained_rollouts"], kept["rounds"]) == (512, 1)
        kept |= {"trained_rollouts": None, "rounds": None}
        assert kept == plain(other.advance(make_allocator("uniform")))


@laws
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12), st.floats(0, 1)), min_size=1))
def test_the_groups_own_mean_as_baseline_is_dr_grpo(rows):
    passes, failures = (np.array([row[k] for row in rows]) for k in range(2))
    budgets, rate = passes + failures, np.array([row[2] for row in rows])
    mean = passes / np.maximum(budgets, 1)
    for found, wanted in zip(
        baseline_update(passes, budgets, mean, rate),
        group_update(passes, budgets, "dr-grpo"),
        strict=True,
    ):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def test_joined_groups_keep_the_order_of_first_appearance():
    one = (np.array([7, 2]), np.array([3, 4]), np.array([1, 0]))
    other = (np.array([9, 2]), np.array([5, 1]), np.array([5, 1]))
    assert [part.tolist() for part in join_groups(one, other)] == [[7, 2, 9], [3, 5, 5], [1, 1, 5]]


class Coin:
    """A learner that can neither go on sampling nor leave rollouts out."""

    num_prompts = 100

    def rollout(self, prompts, budgets):
        return budgets // 2

    def update(self):
        return {}


@pytest.mark.parametrize(
    ("name", "method"), [("gvm", "rollout_more"), ("pods", "keep"), ("vip-gp", "prompt_features")]
)
def test_a_learner_that_cannot_serve_says_what_is_missing(name, method):
    from cobasim.loop import Loop

    loop = Loop(Coin(), config("uniform").loop, seed=0)
    with pytest.raises(InputError, match=method):
        loop.advance(make_allocator(name))


def test_an_allocator_that_spends_nothing_is_refused():
    class Idle(Whole):
        exact: ClassVar[bool] = False

        def __call__(self, obs, limits):
            return np.zeros(obs.pass_rate.size, dtype=np.int64)

    with pytest.raises(InputError, match="spent no rollouts"):
        build_loop(config("uniform")).advance(Idle())


@pytest.mark.parametrize(("first", "match"), [(14, "510 rollouts"), (200, "above high")])
def test_what_an_allocator_did_not_say_is_refused(first, match):
    class Careless(Whole):
        def __call__(self, obs, limits):
            return np.where(np.arange(obs.pass_rate.size) == 0, first, 16)

    with pytest.raises(InputError, match=match):
        build_loop(config("uniform")).advance(Careless())


def test_one_that_spends_little_makes_more_updates_but_not_without_end():
    class Miser(Whole):
        exact: ClassVar[bool] = False

        def __call__(self, obs, limits):
            return np.where(np.arange(obs.pass_rate.size) == 0, 2, 0)

    loop = build_loop(config("uniform", steps=2))
    records = run(loop, Miser())
    assert records[-1].step == 20
    assert records[-1].evaluation is not None


# -- one shot ---------------------------------------------------------------------------------

GRID = np.arange(3, 40)


@pytest.mark.parametrize(
    ("value", "variance"),
    [
        (RlooVariance, lambda n: 1 / (n - 1)),
        (DrGrpoVariance, lambda n: (n - 1) / n**2),
        (NeymanValue, lambda n: 1 / n),
    ],
)
def test_gains_are_what_a_rollout_takes_off_the_variance(value, variance):
    p = np.array([0.1, 0.5, 0.8])
    saved = (variance(GRID) - variance(GRID + 1))[:, None] * p * (1 - p)
    np.testing.assert_allclose(value(p).gain(GRID[:, None]), saved, rtol=1e-9)
    np.testing.assert_allclose(np.diff(value(p).value(GRID[:, None]), axis=0), saved[:-1])
    assert np.all(np.diff(value(p).log_gain(GRID[:, None]), axis=0) < 0)


@laws
@given(
    st.lists(st.integers(0, 16), min_size=1, max_size=12),
    st.sampled_from([1.0, 16.0, 1e6]),
    st.integers(3, 5),
    st.data(),
)
def test_the_solvers_agree_on_the_value_functions_of_peers(passes, evidence, low, data):
    p = np.array(passes) / 16
    high = low + data.draw(st.integers(0, 60))
    total = data.draw(st.integers(low * p.size, high * p.size))
    for value in (
        RlooVariance(p),
        DrGrpoVariance(p),
        NeymanValue(p),
        HitValue(1 + evidence * p, 1 + evidence * (1 - p)),
        CeroValue(0.25 - (p - 0.5) ** 2, 3.0 * np.array(passes), 0.25),
    ):
        limits = Limits(total, low, high)
        assert solve(value, limits).tolist() == solve(value, limits, "heap").tolist()


def test_vip_for_rloo_is_one_plus_the_root_of_a_over_lambda():
    p = np.array([0.5, 0.2, 0.05, 0.01])
    budgets = solve(RlooVariance(p), Limits(8000, 3, 8000))
    root = np.sqrt(p * (1 - p))
    np.testing.assert_allclose((budgets - 1) / (budgets - 1).sum(), root / root.sum(), atol=1e-3)


@pytest.mark.parametrize("name", ["vip-rloo", "vip-drgrpo"])
def test_vip_gives_nobody_less_than_three_where_it_can(name):
    rates = [0.5] * 3 + [0.0, 1.0, 0.999]
    assert make_allocator(name)(observe(rates), Limits(60, 1, 60)).min() == 3
    assert make_allocator(name)(observe(rates), Limits(12, 1, 60)).tolist() == [2] * 6


def test_neyman_is_proportional_to_the_deviation_and_duet_divides_by_the_root_of_length():
    p = np.array([0.5, 0.2, 0.02])
    limits = Limits(6000, 1, 6000)
    root = np.sqrt(p * (1 - p))
    np.testing.assert_allclose(
        make_allocator("neyman")(observe(p), limits) / 6000, root / root.sum(), atol=1e-3
    )
    assert (make_allocator("duet")(observe(p), limits)
            == make_allocator("neyman")(observe(p), limits)).all()  # fmt: skip
    shorter = root / np.sqrt(1 + 3 * (1 - p))
    np.testing.assert_allclose(
        make_allocator("duet", longer=3.0)(observe(p), limits) / 6000,
        shorter / shorter.sum(),
        atol=1e-3,
    )


def test_hit_utility_after_probes_is_the_ratio_of_beta_functions():
    probes, hits = 8, np.array([0, 1, 8])
    obs = Observation(hits / probes, np.full(3, float(probes)))
    gain = make_allocator("hit-utility").value(obs).gain(GRID[:, None])
    wanted = special.beta(2 + hits, 1 + probes - hits + GRID[:, None]) / special.beta(
        1 + hits, 1 + probes - hits
    )
    np.testing.assert_allclose(gain, wanted, rtol=1e-9)


def test_hit_utility_sends_its_budget_to_prompts_that_have_only_failed():
    obs = Observation(np.array([0.0, 0.5, 1.0]), np.full(3, 8.0))
    budgets = make_allocator("hit-utility")(obs, Limits(60, 2, 60))
    assert budgets[0] > 30 > budgets[1] > budgets[2]


@laws
@given(st.floats(0.2, 30), st.floats(0.2, 30), st.integers(1, 60))
def test_hit_value_is_the_chance_of_one_success_or_more(a, b, n):
    value = HitValue(np.array([a]), np.array([b]))
    none = math.exp(special.betaln(a, b + n) - special.betaln(a, b))
    assert value.value(n)[0] == pytest.approx(1 - none, rel=1e-9)
    gains = value.gain(np.arange(n)[:, None]).sum()
    assert gains == pytest.approx(1 - none, rel=1e-6)


@pytest.mark.parametrize("world", WORLDS)
def test_vip_gp_predicts_prompts_that_it_never_saw_from_those_that_it_did(world):
    one = config("vip-gp", world, steps=16, total_budget=2048)
    one = one.model_copy(update={"world": WorldConfig(
        world=world, num_prompts=1024, num_heldout=10, relatedness=1.0)})  # fmt: skip
    loop, allocator = build_loop(one), make_allocator("vip-gp")
    for _ in range(16):
        loop.advance(allocator)
    fresh = np.concatenate([loop.order.batch(step) for step in range(16, 32)])
    assert not loop.coverage.visited[fresh].any()
    obs = replace(
        observe(np.full(fresh.size, 0.5), prompts=fresh, memory=loop.memory),
        features=loop.learner.prompt_features(fresh),
    )
    truth = loop.learner.pass_rates(fresh)
    assert np.corrcoef(allocator.predict(obs), truth)[0, 1] > 0.5


def test_vip_gp_comes_to_the_measured_rate_of_a_prompt_and_its_like():
    allocator = make_allocator("vip-gp")
    features = np.eye(3)[[0, 0, 1]]
    obs = observe([0.5] * 3, prompts=np.arange(3), memory=allocator.memory(3), features=features)
    budgets, passes = np.array([40, 0, 40]), np.array([30, 0, 4])
    for _ in range(30):
        allocator.learn(obs, Limits(80, 0, 40), budgets, passes)
    found = special.expit(allocator.predict(obs))
    np.testing.assert_allclose(found[[0, 2]], [0.744, 0.11], atol=0.01)
    assert 0.5 < found[1] < 0.744  # never tried, but like the first


def test_vip_gp_needs_features():
    with pytest.raises(InputError, match="prompt features"):
        allocate([0.1, 0.5], 20, allocator="vip-gp")


# -- in rounds --------------------------------------------------------------------------------


def test_gvm_counts_its_pilot_and_gives_nothing_more_to_what_never_passed():
    rates = np.array([0.0, 1.0, 0.3, 0.3])
    rounds, _ = drive(make_allocator("gvm"), observe(rates), Limits(64, 2, 60), rates)
    assert [asked.sum() for asked in rounds] == [32, 32]
    assert rounds[0].tolist() == [8] * 4
    assert rounds[1][:2].tolist() == [0, 0]


def test_duet_gives_long_prompts_less_by_the_root_of_their_length():
    p, limits = np.full(4, 0.5), Limits(6000, 1, 5000)
    lengths = np.array([1.0, 4.0, 9.0, 16.0])
    found = make_allocator("duet")(observe(p, lengths=lengths), limits)
    wanted = 1 / np.sqrt(lengths)
    np.testing.assert_allclose(found / 6000, wanted / wanted.sum(), atol=2e-3)


def test_gvm_takes_the_learner_s_gradient_norms_when_told_to():
    rates, norms = np.full(2, 0.5), np.array([1.0, 3.0])
    measured, limits = make_allocator("gvm", gradients="learner"), Limits(2016, 2, 2000)
    plan = measured.rounds(observe(rates, gradient_norms=norms), limits)
    next(plan)
    rest = plan.send(np.array([4, 4]))
    assert rest[1] / rest[0] == pytest.approx(3, rel=0.01)
    with pytest.raises(InputError, match="gradients=bernoulli"):
        drive(measured, observe(rates), limits, rates)


@pytest.mark.parametrize("world", ["logistic", "skill-chain"])
def test_the_worlds_have_gradient_norms_and_lengths(world):
    for name, parameters in (("gvm", {"gradients": "learner"}), ("duet", {})):
        one = config(name, world, steps=4)
        uneven = one.world.model_copy(update={"length_spread": 0.8})
        one = one.model_copy(update={"parameters": parameters, "world": uneven})
        assert all(record.learner["tokens"] > 0 for record in records_of(one)[1:])


def test_modelled_time_follows_tokens(tmp_path):
    one = config("uniform", steps=3)
    uneven = one.world.model_copy(update={"length_spread": 0.8})
    done = read_run(execute(one.model_copy(update={"world": uneven}), tmp_path))
    model = WallTime(
        round_latency=0, generated_per_second=2, trained_per_second=1e9, step_overhead=0
    )
    tokens = sum(step.learner.get("tokens", 0.0) for step in done.steps)
    assert model.seconds(done)[-1] == pytest.approx(tokens / 2, rel=1e-6)


def test_gvm_weights_are_the_papers():
    p = np.array([0.0, 1e-3, 0.25, 1.0])
    found = make_allocator("gvm").weights(p)
    wanted = (1 - p[1:]) / np.sqrt(p[1:] + 1e-3 / p[1:])
    assert found[0] == 0
    np.testing.assert_allclose(found[1:], wanted)


def test_vigor_halves_and_doubles():
    rates = np.array([0.5] * 2 + [0.0, 1.0] * 7)
    obs = observe(rates, rng=np.random.default_rng(0))
    rounds, _ = drive(make_allocator("vigor"), obs, Limits(16 * 8, 2, 128), rates, seed=1)
    assert [int(asked.max()) for asked in rounds] == [2, 4, 8, 16]
    assert [int((asked > 0).sum()) for asked in rounds] == [16, 8, 4, 2]


@pytest.mark.parametrize("name", ["reinforce-ada", "reinforce-ada-balanced"])
def test_reinforce_ada_stops_where_it_has_its_signal(name):
    rates = np.array([0.0, 1.0, 0.5, 0.5, 0.05])
    allocator = make_allocator(name)
    rounds, passes = drive(allocator, observe(rates), Limits(80, 2, 128), rates, seed=2)
    budgets = sum(rounds)
    assert len(rounds) == 4
    assert set(budgets) <= {8, 16, 24, 32}
    assert budgets[0] == 32
    assert budgets[1] == (8 if name == "reinforce-ada" else 32)
    kept = allocator.keep(observe(rates), budgets, passes)
    assert kept.budgets.tolist() == [4] * 5
    assert kept.passes[[0, 1]].tolist() == [0, 4]
    enough = (passes >= 2) & (budgets - passes >= 2)
    assert (kept.passes[enough] == 2).all()
    np.testing.assert_allclose(kept.baseline, passes / budgets)


@laws
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_the_balanced_part_has_the_largest_variance(passes, failures, wanted):
    size = min(wanted, passes + failures)
    found = balanced_part(np.array([passes + failures]), np.array([passes]), np.array([size]))[0]
    possible = [k for k in range(size + 1) if k <= passes and size - k <= failures]
    assert found in possible
    assert found * (size - found) == max(k * (size - k) for k in possible)


# -- by selection -----------------------------------------------------------------------------


def test_dapo_draws_until_the_batch_is_full_of_mixed_groups_and_pays_for_all():
    one = config("dapo", steps=6)
    steps = records_of(one)[1:]
    assert any(step.prompts > 32 for step in steps)
    before = 0
    for step in steps:
        assert step.rollouts - before == 16 * step.prompts  # every drawn prompt cost N
        before = step.rollouts
        mixed = sum(step.bins["mixed"])
        assert step.trained_rollouts == 16 * min(mixed, 32) or not mixed
        assert mixed >= 32 or step.rounds > 1


def test_dapo_stops_at_its_bound():
    loop = build_loop(config("dapo"))
    allocator = make_allocator("dapo", batches=2)
    record = loop.advance(allocator)
    assert record.prompts <= 64
    assert loop.drawn <= 1


def test_greso_skips_with_one_minus_p_to_the_streak():
    greso = make_allocator("greso")
    memory = greso.memory(6)
    memory["streak"][:] = [0, 1, 2, -1, -3, 50]
    memory["explore"][:] = [0.5, 0.8]
    obs = observe([0.5] * 6, prompts=np.arange(6), memory=memory)
    np.testing.assert_allclose(greso.visit_chance(obs), [1, 0.5, 0.25, 0.8, 0.512, 0.01])
    budgets, passes = np.full(6, 4), np.array([4, 4, 0, 0, 2, 4])
    budgets[5] = passes[5] = 0  # skipped: its streak stays
    greso.learn(obs, Limits(24, 2, 8), budgets, passes)
    assert memory["streak"].tolist() == [1, 2, -1, -2, 0, 50]


def test_greso_without_replacement_spends_less():
    one = config("greso", steps=8, total_budget=128)
    loop = build_loop(one)
    records = run(loop, make_allocator("greso", batches=1))
    assert any(record.budget_min == 0 for record in records[1:])
    assert records[-1].step > 8
    assert loop.drawn == 0


def test_cero_has_one_price_and_the_papers_utility():
    q, units = np.array([0.25, 0.1]), np.array([0.0, 7.0])
    value = CeroValue(q, units, 4 * 1.5 / 16)
    utility = 1 - np.exp(-4 * 1.5 * q * (units + GRID[:, None]) / 16)
    np.testing.assert_allclose(np.diff(utility, axis=0), value.gain(GRID[:-1, None]), rtol=1e-9)
    loop = build_loop(config("cero", steps=8))
    loop.advance(make_allocator("cero"))
    memory = loop.memory
    assert np.isfinite(memory["log_price"]).all()
    assert memory["units"].sum() == 512
    first = memory["units"] > 0
    np.testing.assert_allclose((memory["a"] + memory["b"])[first], 18)
    for _ in range(6):
        before, price = loop.rollouts, float(memory["log_price"][0])
        loop.advance(make_allocator("cero"))
        share = (loop.rollouts - before) / 512
        assert 0.3 <= share <= 1.5
        assert memory["log_price"][0] == pytest.approx(price + 0.5 * (share - 1))


def test_pods_generates_all_and_trains_on_a_balanced_quarter():
    record = records_of(config("pods", steps=2))[1]
    assert record.rollouts == 512
    assert (record.trained_rollouts, record.rounds) == (128, 1)
    kept = make_allocator("pods").keep(observe([0.5] * 3), np.full(3, 16), np.array([1, 8, 16]))
    assert kept.passes.tolist() == [1, 2, 4]
    assert kept.baseline is None


# -- modelled time ----------------------------------------------------------------------------


def test_modelled_time_counts_rounds_generation_training_and_overhead(tmp_path):
    model = WallTime(round_latency=7, generated_per_second=4, trained_per_second=2, step_overhead=1)
    plain_run = read_run(execute(config("uniform", steps=3), tmp_path / "a"))
    np.testing.assert_allclose(model.seconds(plain_run), np.arange(4) * (8 + 128 + 256))
    two = read_run(execute(config("gvm", steps=3), tmp_path / "b"))
    np.testing.assert_allclose(model.seconds(two), np.arange(4) * (15 + 128 + 256))
    few = read_run(execute(config("pods", steps=3), tmp_path / "c"))
    np.testing.assert_allclose(model.seconds(few), np.arange(4) * (8 + 128 + 64))
    seconds, accuracy = wall_time_curve(few, model)
    ends = few.steps[0].evaluation["heldout"], few.steps[-1].evaluation["heldout"]
    assert (seconds[0], seconds[-1]) == pytest.approx((0.0, 600.0))
    assert (accuracy[0], accuracy[-1]) == ends
    json.dumps(vars(model))
    with pytest.raises(InputError, match="generated_per_second"):
        WallTime(generated_per_second=0)
