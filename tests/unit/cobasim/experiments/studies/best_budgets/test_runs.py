"""Watching a uniform run, and runs with the best budgets."""

from __future__ import annotations

import numpy as np
import pytest
from best_budgets import small_config

from cobasim.allocation import make_allocator
from cobasim.errors import InputError
from cobasim.experiments.studies.best_budgets import BestBudgets
from cobasim.experiments.studies.best_budgets.full_runs import ORACLES, run_row
from cobasim.experiments.studies.best_budgets.states import BEST, BOTH, Plan, state_rows
from cobasim.experiments.studies.best_budgets.watching import WatchedRun
from cobasim.runs import build_loop


@pytest.mark.parametrize("name", ["coba", "signal", "signal-parts", "signal-skip", "oracle-signal"])
def test_a_watcher_gives_the_budgets_that_the_loop_would_get(name, tmp_path):
    base = small_config(tmp_path)
    config = base.model_copy(update={"allocator": name})
    loop = build_loop(config)
    watched = WatchedRun(build_loop(base), (name,))
    uniform = make_allocator("uniform")
    allocator = make_allocator(name.removeprefix("oracle-"))
    for _ in range(9):
        loop.advance(uniform)
        watched.advance()
    np.testing.assert_array_equal(loop.learner.theta, watched.loop.learner.theta)
    loop.account.memory = None  # uniform's, which is none
    obs = loop.observe(allocator)
    prompts, budgets = watched.budgets(name, 0)
    np.testing.assert_array_equal(obs.prompts, prompts)
    if name != "signal-skip":  # whose streaks the loop did not keep with uniform
        np.testing.assert_array_equal(allocator(obs, loop.limits), budgets)


def test_allocators_that_look_at_outcomes_are_refused(tmp_path):
    config = small_config(tmp_path)
    with pytest.raises(InputError, match="dapo spends or trains"):
        WatchedRun(build_loop(config), ("dapo",))


@pytest.mark.parametrize("batches", [1, 3])
def test_the_best_budgets_spend_the_total_within_bounds(batches, tmp_path):
    config = small_config(tmp_path)
    loop = build_loop(config)
    allocator = BestBudgets(policy=loop.learner, batches=batches)
    for step in range(3):
        budgets = allocator(loop.observe(allocator), loop.limits)
        assert budgets.sum() == 64
        assert np.count_nonzero(budgets) == 8
        assert budgets[budgets > 0].min() >= 2
        assert loop.advance(allocator).rollouts == 64 * (step + 1)


def test_the_bound_is_above_every_allocator_in_every_batch(tmp_path):
    plan = Plan(("uniform", "coba", "signal", "oracle-signal"), (0, 8), 2, 30)
    rows = [row for row in state_rows(small_config(tmp_path), plan) if row["part"] == "state"]
    keys = ("step", "ahead", "scale")
    best = {tuple(row[k] for k in keys): row["gain"] for row in rows if row["arm"] == BEST}
    assert len(best) == 8
    for row in rows:
        if row["arm"] in plan.names:
            assert row["gain"] <= best[tuple(row[k] for k in keys)] + 1e-12
    both = {row["step"]: row["gain"] for row in rows if row["arm"] == BOTH}
    assert set(both) == {0, 8}


def test_runs_of_every_kind_end_with_numbers(tmp_path):
    config = small_config(tmp_path)
    for arm in (*ORACLES, "uniform"):
        row = run_row(config, arm)
        assert 0.0 < row["final"] < 1.0
        assert row["curve"][-1] == row["final"]
        assert row["at"][-1] == 30
