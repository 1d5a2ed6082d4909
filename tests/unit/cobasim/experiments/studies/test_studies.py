"""Studies before any run: plans, contrasts, first crossings."""

from __future__ import annotations

import numpy as np
import pytest
from best_budgets import study_options

from cobasim import runs as sweeps
from cobasim.experiments.studies import SIZES, STUDIES, against, first_crossing


@pytest.mark.parametrize("preset", SIZES)
@pytest.mark.parametrize("name", STUDIES)
def test_plans_are_valid_and_not_too_long(name, preset, tmp_path):
    more = ("coba-released",) if STUDIES.find(name).open_to_more else ()
    options = study_options(STUDIES.find(name), tmp_path, preset, *more)
    runs = sum(one.num_runs for one in STUDIES.find(name).plan(options).values())
    assert runs <= sweeps.MOST_RUNS


def test_a_contrast_is_paired_by_seed_and_corrected_within_its_group():
    noise = np.random.default_rng(0).normal(0, 1e-3, 6)
    rows = [
        {"world": world, "weighting": "prompt", "seed": seed, "allocator": name,
         "score": 0.1 * seed + gain + noise[seed] * (name == "b")}
        for world in ("x", "y")
        for seed in range(6)
        for name, gain in (("a", 0.0), ("b", 0.01), ("c", 0.0))
    ]  # fmt: skip
    rows.append({"world": "x", "weighting": "prompt", "seed": 9, "allocator": "b", "score": None})
    found = against(
        rows, "score", variant=lambda row: row["allocator"], reference=lambda _: "a"
    )  # fmt: skip
    assert [(one.group[0], one.what) for one in found] == [
        ("x", "b"), ("x", "c"), ("y", "b"), ("y", "c"),
    ]  # fmt: skip
    b, c = found[:2]
    assert b.mean == pytest.approx(1.0 + 100 * noise.mean())
    assert b.beyond
    assert not c.beyond
    assert c.p == 1.0


def test_first_crossing_lies_between_evaluations():
    assert first_crossing([10, 20, 30], [0.0, 0.5, 1.0], 0.25) == 15
    assert first_crossing([10, 20], [0.0, 0.5], -1.0) == 10
    assert first_crossing([10, 20], [0.0, 0.5], 2.0) == 20
