"""Estimates of pass rates: each estimator's rule, resumption, and the trap of zero."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.allocation import (
    ESTIMATORS,
    CapabilityWindow,
    Limits,
    Observation,
    make_allocator,
    make_estimator,
    measured_failure_rate,
)
from cobasim.errors import InputError

POOL = 6
LARGE = (40, 300, 10**5, 2**31 - 1)  # counts of 8 bits, 16, 32
laws = settings(max_examples=60, deadline=None)


@st.composite
def histories(draw, largest=40, steps=25):
    """Steps of (prompts, budgets, passes), each over distinct prompts of the pool.

    Budgets are at most ``largest``, or one of several such numbers in each step.
    """
    history = []
    for _ in range(draw(st.integers(0, steps))):
        prompts = draw(st.lists(st.integers(0, POOL - 1), min_size=1, max_size=POOL, unique=True))
        most = largest if isinstance(largest, int) else draw(st.sampled_from(largest))
        budgets = [draw(st.integers(0, most)) for _ in prompts]
        passes = [draw(st.integers(0, n)) for n in budgets]
        history.append((prompts, budgets, passes))
    return history


def feed(estimator, history):
    for prompts, budgets, passes in history:
        estimator.update(np.array(prompts), np.array(budgets), np.array(passes))
    return estimator


def visits_of(history, prompt):
    """The visits of a prompt as (passes, rollouts), oldest first, without empty ones."""
    return [
        (k, n)
        for prompts, budgets, passes in history
        for i, n, k in zip(prompts, budgets, passes, strict=True)
        if i == prompt and n > 0
    ]


def pooled(visits):
    rollouts = sum(n for _, n in visits)
    return (sum(k for k, _ in visits) / rollouts if rollouts else 0.5), rollouts


def last_rule(visits):
    return pooled(visits[-1:])


def window_rule(visits, window=3):
    return pooled(visits[-window:])


def robust_rule(visits, enough=16, least=8):
    visits = visits[-enough:]
    if sum(n for _, n in visits) < least:
        return 0.5, 0
    passes, rollouts = visits[-1]
    passes = float(passes)
    for k, n in reversed(visits[:-1]):
        part = max(0, min(n, enough - rollouts))
        passes += k * part / n
        rollouts += part
    return passes / rollouts, rollouts


@laws
@given(
    histories(LARGE), st.sampled_from(["last", "window", "robust"]), st.permutations(range(POOL))
)
def test_estimates_equal_the_rule_in_plain_python(history, name, batch):
    rule = {"last": last_rule, "window": window_rule, "robust": robust_rule}[name]
    found = feed(make_estimator(name, POOL), history).estimate(np.array(batch))
    for j, prompt in enumerate(batch):
        rate, attempts = rule(visits_of(history, prompt))
        assert found.pass_rate[j] == pytest.approx(rate, abs=1e-12)
        assert found.attempts[j] == attempts
    assert found.posterior is None


@laws
@given(histories(largest=4), st.integers(1, 6))
def test_a_window_of_any_width(history, window):
    found = feed(make_estimator("window", POOL, window=window), history).estimate(np.arange(POOL))
    for i in range(POOL):
        rate, attempts = window_rule(visits_of(history, i), window)
        assert found.pass_rate[i] == pytest.approx(rate)
        assert found.attempts[i] == attempts


@laws
@given(histories(largest=6, steps=40))
def test_robust_over_many_small_visits(history):
    found = feed(make_estimator("robust", POOL), history).estimate(np.arange(POOL))
    for i in range(POOL):
        rate, attempts = robust_rule(visits_of(history, i))
        assert found.pass_rate[i] == pytest.approx(rate)
        assert found.attempts[i] == attempts


@laws
@given(histories(), st.floats(0, 1), st.floats(0.1, 20), st.data())
def test_posterior_equals_the_rule_in_plain_python(history, memory, weight, data):
    batch = data.draw(st.lists(st.integers(0, POOL - 1), min_size=1, max_size=POOL, unique=True))
    estimator = make_estimator("posterior", POOL, memory=memory, prior_weight=weight)
    found = feed(estimator, history).estimate(np.array(batch))
    evidence = []
    for prompt in batch:
        passes = failures = 0.0
        for k, n in visits_of(history, prompt):
            passes, failures = memory * passes + k, memory * failures + (n - k)
        evidence.append((passes, failures))
    seen = [a / (a + b) for a, b in evidence if a + b > 0]
    prior = (sum(seen) + 0.5) / (len(seen) + 1)
    for j, (passes, failures) in enumerate(evidence):
        a, b = passes + weight * prior, failures + weight * (1 - prior)
        assert found.pass_rate[j] == pytest.approx(a / (a + b))
        assert found.attempts[j] == pytest.approx(passes + failures)
        assert found.posterior[0][j] == pytest.approx(a)
        assert found.posterior[1][j] == pytest.approx(b)
        assert 0 < found.pass_rate[j] < 1


@laws
@given(st.sampled_from(sorted(ESTIMATORS)), histories(largest=6))
def test_unseen_prompts_are_marked_and_empty_visits_change_nothing(name, history):
    estimator = feed(make_estimator(name, POOL), history)
    before = estimator.estimate(np.arange(POOL))
    estimator.update(np.arange(POOL), np.zeros(POOL, dtype=int), np.zeros(POOL, dtype=int))
    after = estimator.estimate(np.arange(POOL))
    assert before.pass_rate.tolist() == after.pass_rate.tolist()
    assert before.attempts.tolist() == after.attempts.tolist()
    for i in range(POOL):
        if not visits_of(history, i):
            assert after.attempts[i] == 0
    fresh = make_estimator(name, POOL).estimate(np.arange(POOL))
    assert fresh.attempts.tolist() == [0.0] * POOL
    assert fresh.pass_rate.tolist() == [0.5] * POOL


@laws
@given(st.sampled_from(sorted(ESTIMATORS)), histories(LARGE), histories(LARGE))
def test_resumed_estimates_equal_uninterrupted_ones(name, before, after):
    straight = feed(make_estimator(name, POOL), before)
    state = straight.state_dict()
    feed(straight, after)  # must not reach into the saved state
    resumed = make_estimator(name, POOL)
    resumed.load_state_dict(state)
    feed(resumed, after)
    ours, theirs = (e.estimate(np.arange(POOL)) for e in (resumed, straight))
    assert ours.pass_rate.tolist() == theirs.pass_rate.tolist()
    assert ours.attempts.tolist() == theirs.attempts.tolist()
    feed(resumed, before)
    assert all(np.array_equal(state[key], value) for key, value in state.items())


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_state_of_another_pool_or_estimator_is_refused_and_changes_nothing(name):
    visit = (np.array([0, 1]), np.array([20, 16]), np.array([5, 16]))
    own = make_estimator(name, POOL)
    own.update(*visit)
    before = own.estimate(np.arange(POOL)).pass_rate.tolist()
    other = make_estimator(name, POOL + 1)
    other.update(*visit)
    with pytest.raises(InputError, match="another pool"):
        own.load_state_dict(other.state_dict())
    assert own.estimate(np.arange(POOL)).pass_rate.tolist() == before
    foreign = {key: value for key, value in own.state_dict().items() if key == "passes"}
    foreign["passes"] = foreign["passes"] + 1
    with pytest.raises(InputError):
        own.load_state_dict(foreign)
    assert own.estimate(np.arange(POOL)).pass_rate.tolist() == before


@pytest.mark.parametrize("name", ["window", "robust"])
def test_counts_of_any_size_are_kept_whatever_was_loaded(name):
    """Counts have 8 bits until one needs more; both arrays widen together."""
    own = make_estimator(name, 3)
    own.update(np.array([0]), np.array([300]), np.array([2]))
    again = make_estimator(name, 3)
    again.load_state_dict({k: v.astype(np.int32) for k, v in own.state_dict().items()})
    for one in (own, again):
        one.update(np.array([1, 2]), np.array([299, 70_000]), np.array([280, 69_999]))
    for one in (own, again):
        one.update(np.array([1]), np.array([65_000]), np.array([65_000]))
    assert (
        again.estimate(np.arange(3)).pass_rate.tolist()
        == own.estimate(np.arange(3)).pass_rate.tolist()
    )
    assert own.estimate(np.array([2])).pass_rate.tolist() == [69_999 / 70_000]
    with pytest.raises(InputError, match="below 0"):
        again.load_state_dict(own.state_dict() | {"passes": own.passes.astype(int) - 1})
    assert again.estimate(np.array([2])).pass_rate.tolist() == [69_999 / 70_000]


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("lastt", {}, "did you mean 'last'"),
        ("window", {"window": 0}, "at least 1"),
        ("posterior", {"memory": 1.5}, "memory"),
        ("posterior", {"memory": float("nan")}, "memory"),
        ("posterior", {"prior_weight": 0.0}, "prior_weight"),
        ("posterior", {"prior_weight": float("nan")}, "prior_weight"),
        ("last", {"window": 3}, "does not take window"),
    ],
)
def test_estimators_refuse_what_they_cannot_use(name, parameters, message):
    with pytest.raises(InputError, match=message):
        make_estimator(name, POOL, **parameters)


# -- the estimation trap -------------------------------------------------------------------


@dataclass
class StaticBatch:
    """What a static batch came to; shares are means over the last ten steps."""

    stuck: float  # prompts at two rollouts whose estimate is exactly 0 or 1
    stays: float  # of these, the share that is stuck again at the next step
    at_two: float  # prompts at two rollouts, for whatever reason
    mixed: float  # groups with both outcomes
    error: float  # mean distance of the estimate from the truth
    extreme: float  # prompts whose estimate is exactly 0 or 1


def static_batch(estimator_name, easiest, hardest, *, tau, seed, steps=40, m=300):
    """CoBA at bounds 2..128 and 16 rollouts on average; the true pass rates never move."""
    rng = np.random.default_rng([seed, 1])
    truth = rng.uniform(hardest, easiest, size=m)
    prompts = np.arange(m)
    estimator, window = make_estimator(estimator_name, m), CapabilityWindow(3)
    coba, limits = make_allocator("coba", tau=tau), Limits(16 * m, 2, 128)
    rows, before = [], np.zeros(m, dtype=bool)
    for _ in range(steps):
        found = estimator.estimate(prompts)
        obs = Observation(found.pass_rate, found.attempts, window.mean, posterior=found.posterior)
        budgets = coba(obs, limits)
        passes = rng.binomial(budgets, truth)
        estimator.update(prompts, budgets, passes)
        window.append(measured_failure_rate(passes, budgets))
        extreme = np.isin(found.pass_rate, [0.0, 1.0])
        stuck = (budgets == 2) & extreme
        rows.append((
            stuck.mean(), stuck[before].mean() if before.any() else 0.0, (budgets == 2).mean(),
            np.mean((passes > 0) & (passes < budgets)),
            np.mean(np.abs(found.pass_rate - truth)), extreme.mean(),
        ))  # fmt: skip
        before = stuck
    return StaticBatch(*np.mean(rows[-10:], axis=0).tolist())


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("hardest", "easiest"), [(0.1, 0.3), (0.7, 0.9)])
def test_two_rollouts_that_agree_trap_the_last_visit_and_not_the_posterior(hardest, easiest, seed):
    """No prompt here always passes or always fails; 16 rollouts would be mixed 95 % of the time."""
    last = static_batch("last", easiest, hardest, tau=8.0, seed=seed)
    posterior = static_batch("posterior", easiest, hardest, tau=8.0, seed=seed)
    assert last.stuck > 0.45
    assert last.stays > 0.6
    assert last.extreme > 0.45
    assert posterior.stuck == 0.0
    assert posterior.extreme == 0.0
    assert posterior.error < last.error / 2


@pytest.mark.parametrize("seed", range(2))
def test_posterior_brings_prompts_back_from_two_rollouts(seed):
    """At tau = 1 CoBA itself spreads its rollouts, so what is left at two is the trap's doing."""
    last = static_batch("last", 0.85, 0.15, tau=1.0, seed=seed)
    posterior = static_batch("posterior", 0.85, 0.15, tau=1.0, seed=seed)
    assert last.at_two > 0.1
    assert last.stuck > 0.5 * last.at_two
    assert posterior.at_two < 0.2 * last.at_two
    assert posterior.mixed > last.mixed + 0.04


def test_at_the_default_tau_the_trap_is_only_part_of_why_groups_are_not_mixed():
    """CoBA's preference leaves most prompts at two rollouts, however well they are known."""
    last = static_batch("last", 0.9, 0.7, tau=8.0, seed=0)
    posterior = static_batch("posterior", 0.9, 0.7, tau=8.0, seed=0)
    assert posterior.at_two > 0.6
    assert abs(posterior.mixed - last.mixed) < 0.05
