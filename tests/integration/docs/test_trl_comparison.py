"""The comparison inside TRL: figures of docs/trl.md follow from the runs that are kept."""

from __future__ import annotations

import json

import pytest
from repository import ROOT

from cobasim.scores import mean_interval

RUNS = ROOT / "docs" / "real" / "trl" / "runs.jsonl"


@pytest.fixture(scope="module")
def ends():
    rows = [json.loads(line) for line in RUNS.read_text().splitlines()]
    assert all(row["steps"] == 80 for row in rows)
    return {(row["arm"], row["seed"]): (row["end"], row["sum_of_weights"]) for row in rows}


@pytest.mark.parametrize("arm", ["stock", "uniform", "signal", "coba"])
def test_the_table_is_that_of_the_runs(ends, arm):
    own = [ends[arm, seed][0] for seed in range(4)]
    gains = [100 * (end - ends["uniform", seed][0]) for seed, end in enumerate(own)]
    interval = mean_interval(gains)
    line = next(
        x for x in (ROOT / "docs/trl.md").read_text().splitlines() if x.startswith(f"| {arm} |")
    )
    assert f"| {25 * sum(own):.1f} % |" in line
    if arm != "uniform":
        assert f"{interval.mean:+.2f} ± {(interval.high - interval.low) / 2:.2f} |" in line


def test_uniform_was_the_stock_trainer_to_the_bit(ends):
    for seed in range(4):
        assert ends["uniform", seed] == ends["stock", seed]
