"""How the benchmark takes a time."""

from __future__ import annotations

from cobasim.experiments.benchmark import median_ms


def test_median_counts_all_but_the_first_call():
    calls = []
    assert median_ms(lambda: calls.append(1), 5) >= 0
    assert len(calls) == 6
