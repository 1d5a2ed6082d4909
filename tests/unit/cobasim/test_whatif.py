"""One batch under several allocators, in numbers and figures."""

from __future__ import annotations

import numpy as np
import pytest

from cobasim import figures
from cobasim.allocation import Limits, Observation, one_shot
from cobasim.updates import expected_group_update
from cobasim.whatif import observation_of_bins, outcome_table, what_if


@pytest.fixture
def obs():
    rng = np.random.default_rng(3)
    rates = rng.binomial(16, rng.beta(0.5, 1.0, 200)) / 16
    return Observation(rates, np.r_[np.ones(180), np.zeros(20)], failure_rate=0.6)


@pytest.fixture
def outcomes(obs):
    return what_if(obs, Limits(3200, 2, 64), one_shot(), {"kappa": 12.0, "tau": 5.0})


def test_what_if_says_what_each_allocator_does(obs, outcomes):
    for outcome in outcomes:
        n, p = outcome.budgets, obs.pass_rate
        assert n.sum() == 3200
        assert outcome.class_share.sum() == pytest.approx(1)
        assert outcome.at_low == np.count_nonzero(n == 2)
        assert outcome.mixed == pytest.approx(np.mean(1 - p**n - (1 - p) ** n))
        moves = expected_group_update(p, n)
        assert outcome.update["prompt"] == pytest.approx(moves.mean())
        assert outcome.update["rollout"] == pytest.approx((n * moves).sum() / n.sum())
    by_name = {outcome.allocator: outcome for outcome in outcomes}
    uniform = by_name["uniform"]
    assert uniform.update["prompt"] == pytest.approx(uniform.update["rollout"])
    assert sum(by_name["coba"].shape) == pytest.approx(12.0)
    assert by_name["knapsack"].shape is None


def test_the_threshold_parts_what_was_bought_from_what_was_not(obs):
    seen = Observation(obs.pass_rate, np.ones(200), failure_rate=0.6)
    limits = Limits(3200, 2, 64)
    (outcome,) = what_if(seen, limits, ["coba"])
    threshold = outcome.threshold(limits)
    open_ = np.flatnonzero(outcome.budgets < 64)
    left = outcome.value.log_gain_of(open_, outcome.budgets[open_])
    assert left.max() <= threshold + 1e-12


def test_every_figure_of_a_batch_holds_its_numbers(obs, outcomes):
    points = figures.prompt_budgets(outcomes, obs)
    assert [trace.name for trace in points.data] == one_shot()
    for trace, outcome in zip(points.data, outcomes, strict=True):
        assert sum(trace.customdata) == 200
        assert np.dot(trace.y, trace.customdata) == outcome.budgets.sum()
    shares = figures.class_shares(outcomes, obs)
    for trace in shares.data:
        assert sum(trace.y) == pytest.approx(100)
    drawn = figures.preferences(outcomes, 16)
    assert max(max(trace.y) for trace in drawn.data if trace.xaxis == "x2") <= 1
    for weighting in ("rollout", "prompt"):
        pulls = figures.pulls(outcomes, obs, weighting)
        for trace, outcome in zip(pulls.data, outcomes, strict=True):
            assert np.mean(trace.y) == pytest.approx(outcome.update[weighting])
    for outcome in outcomes:
        figure = figures.marginal_gains(outcome, Limits(3200, 2, 64), [0.1, 0.5, 0.9])
        if outcome.value is None:
            assert "no value function" in figure.layout.annotations[0].text
        else:
            curves = [trace for trace in figure.data if trace.mode == "lines"]
            known = [np.array(t.y, dtype=float) for t in curves]
            assert all(np.all(np.diff(y[np.isfinite(y)]) <= 1e-9) for y in known)
    assert [row["sum"] for row in outcome_table(outcomes)] == [3200] * len(outcomes)


def test_a_recorded_step_becomes_a_batch():
    bins = {"prompts": [2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 4]}
    obs = observation_of_bins(bins, 0.5)
    assert obs.pass_rate.tolist() == [0, 0, 0.25, 0.25, 0.25, 1, 0.5, 0.5, 0.5, 0.5]
    assert obs.seen.tolist() == [True] * 6 + [False] * 4
