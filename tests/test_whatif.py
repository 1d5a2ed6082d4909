"""One batch under several allocators, in numbers and figures; figures of single runs and sweeps."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from synthetic_runs import write_run

from cobasim.allocation import Limits, Observation, one_shot
from cobasim.errors import InputError
from cobasim.figures import batch as batch_figures
from cobasim.figures import figures
from cobasim.figures import sweep as sweep_figures
from cobasim.updates import UPDATES, expected_group_update, group_update
from cobasim.whatif import observation_of_bins, what_if


@given(
    st.sampled_from(UPDATES),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40)), min_size=1, max_size=12),
)
def test_expected_update_is_the_mean_over_the_binomial(kind, pairs):
    p, n = (np.array(column) for column in zip(*pairs, strict=True))
    found = expected_group_update(p, n.astype(int), kind)
    for rate, size, value in zip(p, n, found, strict=True):
        passes = np.arange(size + 1)
        moves, _ = group_update(passes, np.full(size + 1, size), kind)
        rate = rate if rate > 1e-307 else 0.0  # scipy's pmf overflows at subnormal rates
        assert value == pytest.approx(stats.binom.pmf(passes, size, rate) @ moves, abs=1e-9)


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
    points = batch_figures.budgets(outcomes, obs)
    assert [trace.name for trace in points.data] == one_shot()
    for trace, outcome in zip(points.data, outcomes, strict=True):
        assert sum(trace.customdata) == 200
        assert np.dot(trace.y, trace.customdata) == outcome.budgets.sum()
    shares = batch_figures.class_shares(outcomes, obs)
    for trace in shares.data:
        assert sum(trace.y) == pytest.approx(100)
    drawn = batch_figures.preferences(outcomes, 16)
    assert max(max(trace.y) for trace in drawn.data if trace.xaxis == "x2") <= 1
    for weighting in ("rollout", "prompt"):
        pulls = batch_figures.pulls(outcomes, obs, weighting)
        for trace, outcome in zip(pulls.data, outcomes, strict=True):
            assert np.mean(trace.y) == pytest.approx(outcome.update[weighting])
    for outcome in outcomes:
        figure = batch_figures.marginal_gains(outcome, Limits(3200, 2, 64), [0.1, 0.5, 0.9])
        if outcome.value is None:
            assert "no value function" in figure.layout.annotations[0].text
        else:
            curves = [trace for trace in figure.data if trace.mode == "lines"]
            known = [np.array(t.y, dtype=float) for t in curves]
            assert all(np.all(np.diff(y[np.isfinite(y)]) <= 1e-9) for y in known)
    assert [row["sum"] for row in batch_figures.summary(outcomes)] == [3200] * len(outcomes)


def test_a_recorded_step_becomes_a_batch():
    bins = {"prompts": [2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 4]}
    obs = observation_of_bins(bins, 0.5)
    assert obs.pass_rate.tolist() == [0, 0, 0.25, 0.25, 0.25, 1, 0.5, 0.5, 0.5, 0.5]
    assert obs.seen.tolist() == [True] * 6 + [False] * 4


def test_heatmap_and_curves_of_runs(tmp_path):
    runs = [write_run(tmp_path / str(seed), "coba", seed) for seed in range(2)]
    figure = figures.budget_heatmap(runs, "coba", step=3)
    cells = figure.data[0].customdata
    total = sum(sum(step.bins["rollouts"]) for run in runs for step in run.steps if step.bins)
    known = np.isfinite(cells[..., 0].astype(float))
    assert (cells[..., 0] * cells[..., 1])[known].sum() == pytest.approx(total)
    curves = figures.run_curves(
        {"one": runs[0], "two": runs[1]}, "evaluation.heldout", against="rollouts", scale=100
    )
    assert [trace.name for trace in curves.data] == ["one", "two"]
    assert len({trace.line.dash for trace in curves.data}) == 2
    with pytest.raises(InputError, match="no run of 'knapsack'"):
        figures.budget_heatmap(runs, "knapsack")
    with pytest.raises(InputError, match="nothing"):
        figures.run_curves({"one": runs[0]}, "learner.nothing")
    with pytest.raises(InputError, match="no times"):
        figures.phase_seconds(runs[0])


def rows():
    for point, tau in enumerate((2.0, 8.0, 128.0)):
        for name, gain in (("uniform", 0.0), ("coba", 0.01 * (point + 1))):
            for seed in range(3):
                yield {
                    "point": point, "tau": tau, "window": 3 + point % 2, "allocator": name,
                    "weighting": "rollout", "seed": seed, "final_heldout": 0.4 + seed / 50 + gain,
                }  # fmt: skip


def test_figures_of_sweeps_pair_by_seed():
    table = sweep_figures.with_differences(list(rows()))
    line = sweep_figures.line(table, "tau", "minus_uniform", "rollout")
    (coba,) = line.data
    assert list(coba.y) == pytest.approx([1.0, 2.0, 3.0])
    assert max(coba.customdata) == pytest.approx(0, abs=1e-9)  # the seeds' spread is taken out
    assert line.layout.xaxis.type == "log"
    heat = sweep_figures.heatmap(table, "tau", "window", "minus_uniform", "rollout", "coba")
    assert np.nansum(heat.data[0].z) == pytest.approx(6.0)
    first, second = sweep_figures.effects(table, ["tau", "window"], "minus_uniform", "rollout")
    assert (first["parameter"], second["parameter"]) == ("tau", "window")
    assert first["effect"] == pytest.approx(2.0)
    assert first["highest at"] == 128.0
    with pytest.raises(InputError, match="unknown metric"):
        sweep_figures.line(table, "tau", "loss", "rollout")
