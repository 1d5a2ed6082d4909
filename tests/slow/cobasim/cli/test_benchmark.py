"""The benchmark command reports what it measured; no test depends on a speed."""

from __future__ import annotations

import json
import sys

import pytest

from cobasim import cli
from cobasim.experiments.benchmark import median_ms


def test_median_counts_all_but_the_first_call():
    calls = []
    assert median_ms(lambda: calls.append(1), 5) >= 0
    assert len(calls) == 6


@pytest.mark.slow
def test_benchmark_prints_every_figure(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cobasim", "benchmark", "--size", "small", "--json"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    found = json.loads(capsys.readouterr().out)
    cases = {(row["prompts"], row["solver"]): row for row in found["solvers"]}
    assert set(cases) == {
        (512, "dp"), (512, "heap"), (512, "threshold"), (8192, "heap"), (8192, "threshold"),
    }  # fmt: skip
    assert all(row["milliseconds"] > 0 for row in found["solvers"])
    row = cases[512, "threshold"]
    assert row["ratio"] == pytest.approx(cases[512, "heap"]["milliseconds"] / row["milliseconds"])
    assert found["step_ratio"] > 1.0
    assert found["million_threshold_ms"] is None  # left out, not zero
