"""The table of a comparison: paired by seed, and a winner only beyond the noise."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from synthetic_runs import curve_run, write_runs

from cobasim.records import bin_counts
from cobasim.scores import comparison_table, mean_interval, verdict, winner


def paired_difference(a, b):
    return mean_interval(np.subtract(a, b))


def final_runs(tmp_path, finals, weighting="rollout"):
    """Runs from 0.3 to the given final accuracies: name -> one per seed."""
    return [
        curve_run(tmp_path, [(0, 0.3), (1000, final)], name, seed, weighting=weighting)
        for name, accuracies in finals.items()
        for seed, final in enumerate(accuracies)
    ]


def test_differences_are_paired_by_seed(tmp_path):
    base = np.array([0.40, 0.50, 0.60, 0.45])  # seeds differ much, the gain does not
    gain = np.array([0.010, 0.011, 0.009, 0.010])
    rows = comparison_table(final_runs(tmp_path, {"coba": base + gain, "uniform": base}))
    assert [row.allocator for row in rows] == ["uniform", "coba"]  # the baseline comes first
    uniform, coba = rows
    assert uniform.heldout_difference is None
    assert coba.heldout_difference == paired_difference(base + gain, base)
    assert coba.heldout_difference.low > 0
    assert coba.heldout.low < uniform.heldout.high  # unpaired, one could not tell
    assert coba.reached_baseline == 1
    assert coba.rollouts_to_baseline < uniform.rollouts_to_baseline == 1000
    assert winner(rows) == ("coba", [])
    assert verdict(rows)["rollout"].startswith("coba wins")


def test_only_common_seeds_are_compared_and_missing_baselines_give_none(tmp_path):
    runs = final_runs(tmp_path, {"uniform": [0.4, 0.5], "coba": [0.5, 0.6, 0.9]})
    coba = comparison_table(runs)[1]
    assert coba.heldout_difference.n == 2
    assert coba.heldout_difference.mean == pytest.approx(0.1)
    assert coba.heldout.n == 3
    alone = comparison_table(final_runs(tmp_path, {"coba": [0.5, 0.6]}))
    assert alone[0].heldout_difference is None
    assert alone[0].reached_baseline is None
    assert verdict(alone)["rollout"].startswith("Only coba was run")


def test_share_of_seeds_that_reach_the_baseline(tmp_path):
    runs = final_runs(tmp_path, {"uniform": [0.5, 0.5], "knapsack": [0.7, 0.4]})
    knapsack = comparison_table(runs)[1]
    assert (knapsack.reached_baseline, knapsack.rollouts_to_baseline) == (0.5, pytest.approx(500))
    never = comparison_table(final_runs(tmp_path, {"uniform": [0.5], "fixed": [0.4]}))[1]
    assert (never.reached_baseline, never.rollouts_to_baseline) == (0.0, None)


def test_the_same_run_twice_is_refused(tmp_path):
    runs = final_runs(tmp_path, {"uniform": [0.5]})
    with pytest.raises(ValueError, match="uniform, weighting rollout, seed 0"):
        comparison_table(runs * 2)


def test_weightings_are_kept_apart_and_oracles_never_win(tmp_path):
    finals = {"uniform": [0.40, 0.41, 0.42], "coba": [0.44, 0.45, 0.462]}
    oracle = {"oracle-coba": [0.60, 0.61, 0.62]}
    runs = final_runs(tmp_path, oracle | finals) + final_runs(tmp_path, finals, "prompt")
    rows = comparison_table(runs)
    assert [(row.weighting, row.allocator) for row in rows] == [
        ("rollout", "uniform"), ("rollout", "coba"), ("rollout", "oracle-coba"),
        ("prompt", "uniform"), ("prompt", "coba"),
    ]  # fmt: skip
    assert [row.oracle for row in rows] == [False, False, True, False, False]
    verdicts = verdict(rows)
    assert set(verdicts) == {"rollout", "prompt"}
    assert all(text.startswith("coba wins") for text in verdicts.values())


def test_one_seed_names_no_winner(tmp_path):
    rows = comparison_table(final_runs(tmp_path, {"uniform": [0.1], "coba": [0.9]}))
    assert winner(rows)[0] is None
    assert "one seed" in verdict(rows)["rollout"]


def test_runs_of_unequal_length_are_marked(tmp_path):
    runs = [
        curve_run(tmp_path, [(0, 0.3), (1000 if name == "coba" else 500, 0.4 + s / 99)], name, s)
        for name in ("uniform", "coba")
        for s in range(3)
    ]
    rows = comparison_table(runs)
    assert "not of equal length" in verdict(rows)["rollout"]
    uniform, coba = rows
    assert coba.auc.mean < uniform.auc.mean  # at equal rollouts the slower one is behind
    budgeted = [
        replace(
            run,
            header=replace(run.header, config={"loop": {"token_budget": 70.0}}),
            steps=(*run.steps[:-1], replace(run.steps[-1], tokens=7000.0)),
        )
        for run in runs
    ]
    rows = comparison_table(budgeted)  # their length is that in tokens
    assert [row.tokens for row in rows] == [7000.0, 7000.0]
    assert "not of equal length" not in verdict(rows)["rollout"]


def known_runs(tmp_path, finals, known):
    """The same runs whose budgets were given with estimates of so many prompts, of eight."""
    runs = final_runs(tmp_path, finals)
    for run in runs:
        seen = np.arange(8) < known[run.header.allocator]
        bins = bin_counts(np.full(8, 0.5), seen, np.full(8, 4), seen)
        yield replace(run, steps=(run.steps[0], replace(run.steps[1], bins=bins)))


def test_nobody_wins_before_a_prompt_was_visited_twice(tmp_path):
    finals = {"uniform": [0.30, 0.31], "coba": [0.32, 0.33], "knapsack": [0.30, 0.31]}
    blind = comparison_table(known_runs(tmp_path, finals, dict.fromkeys(finals, 0)))
    assert {row.known_share for row in blind} == {0.0}
    assert winner(blind) == (None, ["uniform", "knapsack"])
    assert "no prompt was visited twice yet" in verdict(blind)["rollout"]
    assert "33 steps" in verdict(blind, 33)["rollout"]
    partly = comparison_table(
        known_runs(tmp_path, finals, {"uniform": 0, "coba": 2, "knapsack": 0})
    )
    assert [row.known_share for row in partly] == [0.0, 0.25, 0.0]
    assert winner(partly)[0] == "coba"
    assert "No prompt was visited twice yet by knapsack:" in verdict(partly)["rollout"]


def test_pure_noise_names_a_winner_almost_never(tmp_path):
    rng = np.random.default_rng([2602, 1])
    trials, named = 150, 0
    for _ in range(trials):
        seeds = 0.4 + 0.02 * rng.normal(size=6)
        finals = {
            name: seeds + 0.005 * rng.normal(size=6)
            for name in ("uniform", "knapsack", "coba", "linear-decay")
        }
        rows = comparison_table(final_runs(tmp_path, finals))
        first, close = winner(rows)
        named += first is not None
        assert (first is None) == bool(close)
        assert ("No clear winner" in verdict(rows)["rollout"]) == (first is None)
    assert named <= 0.05 * trials


def test_a_clear_gain_is_found_in_the_same_noise(tmp_path):
    rng = np.random.default_rng([2602, 2])
    found = 0
    for _ in range(50):
        seeds = 0.4 + 0.02 * rng.normal(size=6)
        finals = {
            name: seeds + 0.002 * rng.normal(size=6) + (0.02 if name == "coba" else 0)
            for name in ("uniform", "knapsack", "coba", "linear-decay")
        }
        found += winner(comparison_table(final_runs(tmp_path, finals)))[0] == "coba"
    assert found >= 45


def test_the_table_is_plain_json(tmp_path):
    runs = write_runs(tmp_path, {"uniform": 0.1, "coba": 0.12}, seeds=2, steps=20)
    rows = comparison_table(runs)
    text = json.dumps([asdict(row) for row in rows], allow_nan=False)
    assert len(json.loads(text)) == 4
    assert all(row.mixed_share is not None and row.auc is not None for row in rows)
