"""``cobasim benchmark`` reports what it measured; no test depends on a speed."""

from __future__ import annotations

import json

import pytest


def test_benchmark_prints_every_figure(cobasim):
    answer = cobasim("benchmark", "--size", "small", "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    cases = {(row["prompts"], row["solver"]): row for row in found["solvers"]}
    assert set(cases) == {
        (512, "dp"), (512, "heap"), (512, "threshold"), (8192, "heap"), (8192, "threshold"),
    }  # fmt: skip
    assert all(row["milliseconds"] > 0 for row in found["solvers"])
    row = cases[512, "threshold"]
    assert row["ratio"] == pytest.approx(cases[512, "heap"]["milliseconds"] / row["milliseconds"])
    assert found["step_ratio"] > 1.0
    assert [row["allocator"] for row in found["ledger"]] == ["coba", "signal"]
    assert all(row["ask_ms"] > row["allocate_ms"] > 0 < row["tell_ms"] for row in found["ledger"])
    assert found["ledger_keys"] is None
    assert found["million_threshold_ms"] is None  # left out, not zero
