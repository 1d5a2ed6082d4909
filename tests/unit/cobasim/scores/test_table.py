import json
import math
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from synthetic_runs import curve_run, header, write_runs

from cobasim.records import Run, StepRecord
from cobasim.scores import (
    area_under_curve,
    best_accuracy,
    comparison_table,
    final_accuracy,
    holm,
    mean_interval,
    paired_p_value,
    rollouts_to_reach,
    summarise,
    transition_counts,
    transition_shares,
    verdict,
    winner,
)

shares = st.floats(0, 1)
curves = st.lists(shares, min_size=2, max_size=12).map(
    lambda ys: [(100 * i + 7 * (i % 3), y) for i, y in enumerate(ys)]
)
values = st.lists(st.floats(-10, 10), min_size=2, max_size=20)


@given(curves, shares)
def test_rollouts_to_reach_is_where_the_curve_crosses_first(tmp_path_factory, points, target):
    run = curve_run(tmp_path_factory.getbasetemp(), points)
    x, y = map(np.array, zip(*points, strict=True))
    reached = rollouts_to_reach(run, target)
    if y.max() < target:
        assert reached is None
        return
    assert np.interp(reached, x, y) == pytest.approx(target) or reached == x[0]
    before = np.linspace(x[0], reached, 50, endpoint=False) if reached > x[0] else []
    assert all(np.interp(at, x, y) < target + 1e-9 for at in before)


@given(curves)
def test_area_lies_between_the_extremes_and_is_additive(tmp_path_factory, points):
    run = curve_run(tmp_path_factory.getbasetemp(), points)
    area = area_under_curve(run)
    ys = [y for _, y in points]
    assert min(ys) - 1e-9 <= area <= max(ys) + 1e-9
    fine = np.linspace(points[0][0], points[-1][0], 20001)
    assert area == pytest.approx(np.interp(fine, *zip(*points, strict=True)).mean(), abs=1e-3)
    assert area_under_curve(run, rollouts=points[-1][0]) == pytest.approx(area)


def test_area_at_equal_rollouts_cuts_the_longer_run(tmp_path):
    long = curve_run(tmp_path, [(0, 0.2), (100, 0.4), (200, 0.8)])
    assert area_under_curve(long, rollouts=100) == pytest.approx(0.3)
    assert area_under_curve(long, rollouts=150) == pytest.approx((100 * 0.3 + 50 * 0.5) / 150)
    assert area_under_curve(long, rollouts=201) is None


def test_a_run_that_measured_nothing_scores_none_not_zero(tmp_path):
    empty = Run(header(), (), tmp_path)
    scores = asdict(summarise(empty))
    assert {key for key, value in scores.items() if value is None} == {
        "first_heldout", "final_heldout", "best_heldout", "final_hard", "auc", "mixed_share",
        "never_mixed", "budget_gini", "allocate_ms",
    }  # fmt: skip
    one = curve_run(tmp_path, [(0, 0.5)])
    assert (final_accuracy(one), area_under_curve(one)) == (0.5, None)
    with_gap = Run(
        header(),
        (
            StepRecord(1, 1, mixed_share=0.25, allocate_ms=None),
            StepRecord(2, 2, evaluation={"heldout": None}),
            StepRecord(3, 3, mixed_share=0.75, never_mixed=0.5),
            StepRecord(4, 4),
        ),
        tmp_path,
    )
    got = summarise(with_gap)
    assert (got.mixed_share, got.never_mixed, got.allocate_ms) == (0.5, 0.5, None)
    assert got.final_heldout is None


def test_final_is_the_last_and_best_the_highest(tmp_path):
    run = curve_run(tmp_path, [(0, 0.2), (10, 0.9), (20, 0.5)])
    assert (final_accuracy(run), best_accuracy(run)) == (0.5, 0.9)


@given(st.lists(st.lists(st.integers(0, 50), min_size=5, max_size=5), min_size=5, max_size=5))
def test_transition_rows_sum_to_one_or_are_unknown(rows):
    table = transition_shares(rows)
    for counts, line in zip(rows, table, strict=True):
        if sum(counts):
            assert line.sum() == pytest.approx(1)
            assert line * sum(counts) == pytest.approx(counts)
        else:
            assert np.isnan(line).all()


def test_transitions_are_those_of_the_last_evaluation_that_has_them(tmp_path):
    first, last = np.eye(5, dtype=int), 2 * np.eye(5, dtype=int)
    run = Run(
        header(),
        (
            StepRecord(0, 0, evaluation={"transitions": first.tolist()}),
            StepRecord(1, 5, evaluation={"transitions": last.tolist()}),
            StepRecord(2, 9, evaluation={"heldout": 0.5}),
        ),
        tmp_path,
    )
    assert (transition_counts(run) == last).all()
    with pytest.raises(ValueError, match="expected"):
        transition_shares(np.zeros((4, 5)))


@given(values)
def test_the_interval_is_students(data):
    assume(np.std(data) > 1e-6)
    got = mean_interval(data)
    expected = stats.ttest_1samp(data, 0).confidence_interval(0.95)
    assert (got.low, got.high) == pytest.approx((expected.low, expected.high))


@given(values, values)
def test_paired_tests_agree_with_scipy_and_with_their_interval(a, b):
    n = min(len(a), len(b))
    a, b = np.array(a[:n]), np.array(b[:n])
    assume(np.std(a - b) > 1e-6)
    p = paired_p_value(a, b)
    assert p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    interval = paired_difference(a, b)
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (interval.low > 0 or interval.high < 0)


def paired_difference(a, b):
    return mean_interval(np.subtract(a, b))


def test_one_value_has_no_interval_and_none_is_an_error():
    assert asdict(mean_interval([0.5])) == {"mean": 0.5, "low": None, "high": None, "n": 1}
    for bad in ([], [math.nan], [[1.0]]):
        with pytest.raises(ValueError, match="finite"):
            mean_interval(bad)
    assert paired_p_value([1.0], [0.0]) is None
    assert (paired_p_value([1, 1], [1, 1]), paired_p_value([2, 2], [1, 1])) == (1, 0)


@given(st.lists(st.floats(0, 1), max_size=10))
def test_holm_is_between_the_raw_and_bonferroni_and_keeps_order(p_values):
    adjusted = holm(p_values)
    n = len(p_values)
    for raw, value in zip(p_values, adjusted, strict=True):
        assert raw <= value <= min(1, n * raw) or value == pytest.approx(min(1, n * raw))
    order = np.argsort(p_values, kind="stable")
    assert (np.diff(np.array(adjusted)[order]) >= 0).all()


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


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


def test_pure_noise_names_a_winner_almost_never(tmp_path):
    rng = np.random.default_rng([2602, 1])
    trials, named = 300, 0
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


@pytest.mark.parametrize("room", ["scores", "figures", "report"])
def test_importing_a_room_does_not_wait_for_scipy_stats(room):
    code = f"import sys, cobasim.{room}; sys.exit('scipy.stats' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
