"""Why numbers differ from the paper's: peaks, centred values, reasons."""

from __future__ import annotations

import numpy as np
import pytest
from reproduced import TINY

from cobasim.experiments.reproduction.reasons import likeliest
from cobasim.experiments.reproduction.tables import centred, peak
from cobasim.experiments.reproduction.weighting import SIGNALS, pulls
from cobasim.records import StepRecord, bin_counts


def test_the_peak_is_the_bin_with_the_largest_mean_budget():
    rates = np.array([0.05, 0.05, 0.35, 0.95, 1.0])
    budgets = np.array([9, 11, 30, 25, 2])
    bins = bin_counts(rates, np.ones(5, bool), budgets, np.ones(5, bool))
    assert peak(StepRecord(step=1, rollouts=77, bins=bins)) == (35.0, 30.0)
    assert peak(StepRecord(step=1, rollouts=0)) is None
    unseen = bin_counts(rates, np.zeros(5, bool), budgets, np.ones(5, bool))
    assert peak(StepRecord(step=1, rollouts=77, bins=unseen)) is None


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, None),
        ({"nearer": {"noise": 2.0}}, None),  # less than half of the gap
        ({"nearer": {"noise": 6.0, "transfer": 7.0}}, "transfer"),
        ({"nearer": {"noise": 2.0}, "agrees under": ["noise"]}, "noise"),
        ({"agrees under": ["noise"]}, None),  # agrees only because everything moves less
        ({"agrees under": ["noise", "loss per prompt"]}, "loss per prompt"),
        ({"nearer": {"noise": 9.0}, "status": "agrees"}, None),
        ({"nearer": {"noise": 9.0}, "share": None}, None),
    ],
)
def test_a_reason_must_explain_at_least_half(changes, wanted):
    row = {"status": "disagrees", "share": -10.0, "agrees under": [], "nearer": {}} | changes
    assert likeliest(row) == wanted


@pytest.mark.parametrize("across", [True, False])
def test_centred_values_have_mean_zero_in_each_group_and_keep_differences(across):
    rng = np.random.default_rng(0)
    values = {
        (g, e): {s: float(rng.normal()) for s in range(4)} for g in "xy" for e in ("a", "b", "c")
    }
    found = centred(values, across)
    for seed in range(4):
        sums = {g: sum(found[g, e][seed] for e in "abc") for g in "xy"}
        assert sum(sums.values()) == pytest.approx(0.0)
        if not across:
            assert sums["x"] == pytest.approx(0.0)
        assert found["x", "a"][seed] - found["x", "b"][seed] == pytest.approx(
            values["x", "a"][seed] - values["x", "b"][seed]
        )


def test_pulls_are_in_units_of_uniform():
    rows = {(r["allocator"], r["weighting"]): r for r in pulls(TINY, batches=3)}
    assert len(rows) == 8
    for weighting in ("rollout", "prompt"):
        for name in SIGNALS:
            assert rows["uniform", weighting][name]["mean"] == pytest.approx(1.0)
