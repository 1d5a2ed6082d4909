"""The synthetic world: starts where it says, learns by the formulas it names, drifts as told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit

from cobasim.allocation import Kept, make_allocator
from cobasim.difficulty import difficulty_class, transition_counts
from cobasim.loop import Loop, LoopConfig
from cobasim.updates import UPDATES, group_update, group_weights
from cobasim.world import WORLDS, LogisticPolicy, SkillChainPolicy, WorldConfig, draw_pass_rates
from cobasim.world.prompts import RATE_FLOOR

SMALL = {"num_prompts": 300, "num_heldout": 200}


def build(world: str = "logistic", seed: int = 0, rates=None, **settings):
    return WORLDS[world](WorldConfig(world=world, **(SMALL | settings)), seed, rates)


def train(policy, steps: int, budget: int = 16, size: int = 64, seed: int = 5):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        prompts = rng.choice(policy.num_prompts, size, replace=False)
        policy.rollout(prompts, np.full(size, budget))
        policy.update()


# -- the update of one group --------------------------------------------------------------


@given(st.integers(2, 60), st.data())
def test_group_update_is_the_policy_gradient_of_its_advantages(size, data):
    """mean_j A_j (r_j - p) for each kind of advantage, whatever p is."""
    passes = data.draw(st.integers(0, size))
    p = data.draw(st.floats(0.01, 0.99))
    rewards = np.array([1.0] * passes + [0.0] * (size - passes))
    centred = rewards - rewards.mean()
    spread = rewards.std()
    advantages = {
        "grpo": centred / spread if spread > 0 else 0 * centred,
        "dr-grpo": centred,
        "rloo": np.array([r - (rewards.sum() - r) / (size - 1) for r in rewards], dtype=float),
    }
    for kind in UPDATES:
        update, square = group_update(np.array([passes]), np.array([size]), kind)
        assert update[0] == pytest.approx(np.mean(advantages[kind] * (rewards - p)), abs=1e-12)
        assert square[0] == pytest.approx(np.mean(advantages[kind] ** 2), abs=1e-12)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("dr-grpo", lambda n, p: (n - 1) / n * p * (1 - p)),
        ("rloo", lambda n, p: p * (1 - p)),
    ],
)
def test_expected_update_has_its_closed_form(kind, expected):
    """E[update] = (N-1)/N grad p (Dr.GRPO) and grad p (RLOO), with grad p = p (1-p)."""
    rng = np.random.default_rng(0)
    for n, p in ((2, 0.3), (8, 0.1), (16, 0.6)):
        passes = rng.binomial(n, p, 200_000)
        update, _ = group_update(passes, np.full(passes.shape, n), kind)
        error = update.std() / np.sqrt(update.size)
        assert abs(update.mean() - expected(n, p)) < 5 * error


def test_weights_sum_to_one_and_mean_what_they_say():
    budgets = np.array([2, 6, 8])
    np.testing.assert_allclose(group_weights(budgets, "rollout"), [2 / 16, 6 / 16, 8 / 16])
    np.testing.assert_allclose(group_weights(budgets, "prompt"), [1 / 3] * 3)


def test_with_uniform_budgets_the_weightings_are_one():
    final = {}
    for weighting in ("rollout", "prompt"):
        policy = build(weighting=weighting)
        train(policy, 20)
        final[weighting] = policy.all_pass_rates()
    np.testing.assert_array_equal(final["rollout"], final["prompt"])


# -- where prompts start ------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("transfer", [0.0, 0.4, 1.0])
def test_prompts_start_exactly_at_their_first_pass_rates(world, transfer):
    rates = np.random.default_rng(1).random(300)
    policy = build(world, rates=rates, transfer=transfer)
    np.testing.assert_allclose(policy.pass_rates(np.arange(300)), rates, rtol=1e-9)


@pytest.mark.parametrize("world", WORLDS)
def test_measured_zero_and_one_start_just_inside(world):
    policy = build(world, rates=np.array([0.0, 0.25, 1.0]), num_heldout=50)
    np.testing.assert_allclose(
        policy.pass_rates(np.arange(3)), [RATE_FLOOR, 0.25, 1 - RATE_FLOOR], rtol=1e-9
    )


def test_default_population_is_like_a_7b_model_on_mathematics():
    rates = draw_pass_rates(np.random.default_rng(0), 200_000, "math")
    assert rates.mean() == pytest.approx(0.30, abs=0.01)
    assert (rates < 0.05).mean() > 0.2  # heavy at both ends
    assert (rates > 0.9).mean() > 0.05
    assert rates.min() > 0
    assert rates.max() < 1


@pytest.mark.parametrize("world", WORLDS)
def test_the_hard_set_is_harder_by_its_shift(world):
    policy = build(world, hard_shift=1.5)
    rates = policy.all_pass_rates()
    shift = logit(rates[policy.sets["heldout"]]) - logit(rates[policy.sets["hard"]])
    np.testing.assert_allclose(shift, 1.5, rtol=1e-6)


# -- learning -------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
def test_policy_learns_and_reaches_unseen_prompts(world):
    policy = build(world, noise=0.0, learning_rate=5e-3)
    before = policy.evaluate()
    train(policy, 100)
    after = policy.evaluate()
    for name in ("pool", "heldout", "hard"):
        assert after[name] > before[name] + 0.01


@pytest.mark.parametrize("world", WORLDS)
def test_without_transfer_every_prompt_is_learned_by_itself(world):
    policy = build(world, transfer=0.0, interference=0.0, noise=0.0)
    prompts = np.arange(10)
    before = policy.all_pass_rates()
    for _ in range(20):
        policy.rollout(prompts, np.full(10, 16))
        policy.update()
    after = policy.all_pass_rates()
    assert (after[:10] > before[:10] + 1e-9).sum() >= 5
    np.testing.assert_array_equal(after[10:], before[10:])


def test_full_transfer_leaves_nothing_to_memorise():
    policy = build(transfer=1.0)
    assert not policy.own_slope.any()


def test_interference_can_hurt_other_prompts_and_its_absence_cannot():
    hurt = {}
    for interference in (0.0, 1.0):
        policy = build(
            transfer=0.0, interference=interference, noise=0.0, optimiser="sgd", learning_rate=50.0
        )
        before = policy.all_pass_rates()
        prompts = np.arange(20)
        for _ in range(20):
            policy.rollout(prompts, np.full(20, 16))
            policy.update()
        hurt[interference] = (policy.all_pass_rates()[20:] < before[20:] - 1e-12).mean()
    assert hurt[0.0] == 0.0
    assert hurt[1.0] > 0.2


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("rounds", [1, 2])
@pytest.mark.parametrize("update", ["grpo", "rloo"])
def test_queries_between_rollout_and_update_change_nothing(world, rounds, update):
    """Every public question, asked about other prompts than the batch's."""
    asked, quiet = (build(world, update=update, prompt_noise=3.0) for _ in range(2))
    prompts, others = np.arange(12), np.arange(40, 47)
    for _ in range(3):
        for policy in (asked, quiet):
            policy.rollout(prompts, np.full(12, 6))
            for _ in range(rounds - 1):
                policy.rollout_more(prompts[4:9], np.full(5, 3))
        state = asked.state_dict()
        for question in (
            lambda: asked.pass_rates(others),
            lambda: asked.view(others),
            lambda: asked.gradients(asked.view(others), np.ones(7)),
            lambda: asked.gradient_norms(others),
            lambda: asked.prompt_features(others),
            lambda: asked.prompt_lengths(others),
            asked.all_pass_rates,
            asked.evaluate,
            asked.state_dict,
        ):
            question()
        same_state(asked.state_dict(), state)
        assert asked.update() == quiet.update()
        same_state(asked.state_dict(), quiet.state_dict())


def same_state(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("passes", [0, 16])
def test_groups_of_one_outcome_teach_nothing(world, passes):
    policy = build(world, optimiser="sgd", walk=0.0)
    prompts = np.arange(8)
    before = policy.all_pass_rates()
    policy.rollout(prompts, np.full(8, 16))
    policy.keep(prompts, Kept(np.full(8, 16), np.full(8, passes)))
    assert policy.update()["grad_norm"] == 0.0
    np.testing.assert_array_equal(policy.all_pass_rates(), before)


@pytest.mark.parametrize("world", WORLDS)
def test_gradients_are_those_of_the_logits(world):
    """Against central differences: sum_i moves_i d logit_i / d shared, and / d own."""
    policy = build(world, transfer=0.5)
    prompts = np.array([3, 50, 120, 7])
    moves = np.array([0.3, -0.2, 0.5, 1.0])
    train(policy, 5)  # away from the start
    shared, own = policy.gradients(policy.view(prompts), moves)

    def objective() -> float:
        return float(moves @ logit(policy.pass_rates(prompts)))

    step = 1e-5
    for k in range(shared.size):
        parameters = policy.shared()
        parameters[k] += step
        high = objective()
        parameters[k] -= 2 * step
        low = objective()
        parameters[k] += step
        assert shared[k] == pytest.approx((high - low) / (2 * step), abs=2e-5)
    for j, prompt in enumerate(prompts):
        policy.own[prompt] += step
        high = objective()
        policy.own[prompt] -= 2 * step
        low = objective()
        policy.own[prompt] += step
        assert own[j] == pytest.approx((high - low) / (2 * step), abs=2e-5)


def test_gradient_norm_is_clipped():
    moved = []
    for clip in (1e-3, 1e9):
        policy = build(optimiser="sgd", clip_norm=clip, noise=0.0, learning_rate=1.0, transfer=1.0)
        train(policy, 1)
        moved.append(float(np.linalg.norm(policy.theta)))
    assert moved[0] == pytest.approx(1e-3)
    assert moved[1] > 0.01


def test_noise_has_the_variance_that_advantages_imply():
    """Per parameter: noise^2 / d * sum_i w_i^2 mean(A_i^2) / B_i."""
    config = {"optimiser": "sgd", "learning_rate": 1.0, "clip_norm": 1e9, "noise": 30.0}
    prompts, budgets = np.arange(40), np.tile([4, 12], 20)
    deltas, expected = [], []
    for seed in range(60):
        moved = {}
        for noise in (0.0, config["noise"]):
            policy = build(seed=seed, **(config | {"noise": noise}))
            passes = policy.rollout(prompts, budgets)
            policy.update()
            moved[noise] = policy.theta.copy()
        deltas.append(moved[30.0] - moved[0.0])
        _, square = group_update(passes, budgets, "grpo")
        weights = budgets / budgets.sum()
        expected.append(30.0**2 / 32 * (weights**2 * square / budgets).sum())
    ratio = np.mean(np.square(deltas)) / np.mean(expected)
    assert ratio == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("world", WORLDS)
def test_gradient_norms_are_those_of_single_prompts(world):
    policy = build(world)
    train(policy, 3)
    prompts = np.arange(20)
    norms_ = policy.gradient_norms(prompts)
    for prompt, norm in zip(prompts, norms_, strict=True):
        shared, own = policy.gradients(policy.view(np.array([prompt])), np.ones(1))
        assert norm == pytest.approx(np.sqrt(shared @ shared + own @ own))


def test_lengths_have_mean_one_and_are_counted_over_all_rounds():
    even, uneven = build(), build(length_spread=0.8)
    assert (even.lengths == 1.0).all()
    assert uneven.lengths.mean() == pytest.approx(1.0)
    assert uneven.lengths.std() > 0.3
    first, again = np.arange(50), np.arange(25, 75)
    for policy in (even, uneven):
        policy.rollout(first, np.full(50, 4))
        policy.rollout_more(again, np.full(50, 2))
    assert "tokens" not in even.update()
    spent = 4 * uneven.lengths[first].sum() + 2 * uneven.lengths[again].sum()
    assert uneven.update()["tokens"] == pytest.approx(spent)
    np.testing.assert_array_equal(even.all_pass_rates(), uneven.all_pass_rates())


# -- drift ----------------------------------------------------------------------------------


def norms(budget: int, **settings) -> float:
    """Mean squared gradient norm of nuisance alone, over seeds, without clipping."""
    found = []
    for seed in range(12):
        policy = build(seed=seed, transfer=0.0, interference=0.0, memorisation=0.0, **settings)
        prompts = np.arange(100)
        policy.rollout(prompts, np.full(100, budget))
        found.append(policy.update()["grad_norm"] ** 2)
    return float(np.mean(found))


def test_more_rollouts_average_out_a_rollouts_nuisance_and_not_a_prompts():
    rates = np.full(300, 0.5)
    per_rollout = [norms(n, rates=rates, noise=100.0) for n in (16, 256)]
    per_prompt = [norms(n, rates=rates, noise=0.0, prompt_noise=100.0) for n in (16, 256)]
    assert per_rollout[0] / per_rollout[1] == pytest.approx(16, rel=0.3)
    assert per_prompt[0] / per_prompt[1] == pytest.approx(1, rel=0.3)


@pytest.mark.parametrize("world", WORLDS)
def test_what_is_forgotten_at_once_never_reaches_unseen_prompts(world):
    start = build(world).evaluate()["heldout"]
    kept, lost = build(world), build(world, forgetting=1.0)
    for policy in (kept, lost):
        train(policy, 5)
    assert kept.evaluate()["heldout"] > start
    assert lost.evaluate()["heldout"] == pytest.approx(start, abs=1e-12)


@pytest.mark.parametrize("world", WORLDS)
def test_harm_lowers_every_pass_rate_and_only_where_there_is_nuisance(world):
    prompts = np.arange(300)
    rates = []
    for harm, noise in ((0.0, 50.0), (1.0, 50.0), (100.0, 50.0), (0.0, 0.0), (100.0, 0.0)):
        policy = build(world, harm=harm, noise=noise, learning_rate=0.05)
        policy.rollout(prompts, np.full(300, 8))
        policy.update()
        rates.append(policy.pass_rates(prompts))
    none, some, much, quiet, unharmed = rates
    assert (much < some).all()
    assert (some < none).all()
    np.testing.assert_array_equal(quiet, unharmed)


@pytest.mark.parametrize("world", WORLDS)
def test_walk_moves_difficulties_and_nothing_else_does(world):
    still, walking = build(world), build(world, walk=0.1)
    before = still.all_pass_rates()
    for policy in (still, walking):
        policy.rollout(np.arange(4), np.ones(4, dtype=np.int64))  # groups of one teach nothing
        policy.update()
    np.testing.assert_array_equal(still.all_pass_rates(), before)
    assert np.abs(logit(walking.all_pass_rates()) - logit(before)).mean() > 0.02


@pytest.mark.parametrize("world", WORLDS)
def test_a_new_regime_replaces_a_share_of_the_prompts_by_hard_ones(world):
    policy = build(world, regime_step=3, regime_share=0.25, num_prompts=4000, num_heldout=4000)
    train(policy, 2)
    assert "new" not in policy.evaluate()
    accuracy = policy.evaluate()["pool"]
    train(policy, 1)
    new = policy.cluster == policy.config.clusters
    assert new[policy.sets["pool"]].mean() == pytest.approx(0.25, abs=1e-3)
    scores = policy.evaluate()
    assert scores["new"] < 0.15  # population "hard" has mean 0.10
    assert scores["pool"] < accuracy
    train(policy, 80)
    assert policy.evaluate()["new"] > scores["new"]


# -- reproducibility ------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
def test_seed_fixes_everything_and_seeds_differ(world):
    finals = []
    for seed in (0, 0, 1):
        policy = build(world, seed=seed)
        train(policy, 5)
        finals.append(policy.all_pass_rates())
    np.testing.assert_array_equal(finals[0], finals[1])
    assert not np.array_equal(finals[0], finals[2])


@pytest.mark.parametrize("world", WORLDS)
def test_state_round_trip_continues_identically(world):
    settings = {"regime_step": 6, "walk": 0.01, "harm": 1.0, "forgetting": 0.02}
    unbroken = build(world, **settings)
    train(unbroken, 4)
    saved = unbroken.state_dict()
    resumed = build(world, **settings)
    resumed.load_state_dict(saved)
    for policy in (unbroken, resumed):
        train(policy, 6, seed=9)
    np.testing.assert_array_equal(unbroken.all_pass_rates(), resumed.all_pass_rates())


def test_nobody_learns_from_prompts_that_were_not_sampled_twice():
    policy = build()
    with pytest.raises(RuntimeError, match="rollout"):
        policy.update()


# -- classes --------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50))
def test_every_pass_rate_has_one_class_in_order(rates):
    classes = difficulty_class(np.sort(np.array(rates)))
    assert (np.diff(classes) >= 0).all()
    assert classes.min() >= 0
    assert classes.max() <= 4
    counts = transition_counts(classes, classes)
    assert sum(map(sum, counts)) == len(rates)


def test_classes_are_those_of_the_paper():
    rates = np.array([0.0, 0.03, 0.04, 0.2, 0.21, 0.79, 0.8, 0.96, 0.97, 1.0])
    np.testing.assert_array_equal(difficulty_class(rates), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])


def test_a_smooth_spectrum_relays_from_easy_to_hard():
    """arXiv 2602.14872's qualitative target: easier skills are mastered first, then harder."""
    policy = build("skill-chain", transfer=1.0, noise=0.0, num_prompts=2000, num_heldout=200)
    loop = Loop(
        policy, LoopConfig(steps=400, batch_size=128, total_budget=2048, eval_every=400), seed=0
    )
    gains = []

    for _ in range(4):
        before = policy.skills.copy()
        for _ in range(100):
            loop.advance(make_allocator("uniform"))
        gains.append((policy.skills - before)[:-1].mean(axis=0))
    centre = [
        float((np.arange(12) * np.clip(g, 0, None)).sum() / np.clip(g, 0, None).sum())
        for g in gains
    ]
    assert centre[-1] > centre[0] + 0.3, centre


def test_families_are_registered():
    assert {"logistic": LogisticPolicy, "skill-chain": SkillChainPolicy} == WORLDS
