"""Scores of one run: final accuracy, area, rollouts to reach, transitions."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_runs import curve_run, header

from cobasim.records import Run, StepRecord
from cobasim.scores import (
    area_under_curve,
    best_accuracy,
    final_accuracy,
    rollouts_to_reach,
    summarise,
    transition_counts,
    transition_shares,
)

shares = st.floats(0, 1)
curves = st.lists(shares, min_size=2, max_size=12).map(
    lambda ys: [(100 * i + 7 * (i % 3), y) for i, y in enumerate(ys)]
)


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
        "never_mixed", "budget_gini", "allocate_ms", "tokens",
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
