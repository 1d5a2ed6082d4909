"""Rollouts that taught nothing, by difficulty; last known and pooled pass rates."""

from __future__ import annotations

import numpy as np
import pytest
from trainer_logs import write_lines

from cobasim.data import RateOptions, read_measured
from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.importing import PASS_RATES, ImportOptions, import_log

GROUPS = {
    # step: prompt -> rollouts, passes
    1: {"never": (8, 0), "always": (8, 8), "half": (8, 4)},
    2: {"never": (4, 0), "half": (8, 0), "rare": (16, 1)},
    3: {"rare": (4, 0), "half": (8, 8), "often": (8, 7)},
}


@pytest.fixture
def done(tmp_path):
    rows = [
        {"step": step, "prompt": prompt, "score": int(k < passes)}
        for step, groups in GROUPS.items()
        for prompt, (budget, passes) in groups.items()
        for k in range(budget)
    ]
    return import_log("jsonl", write_lines(tmp_path / "log.jsonl", rows), tmp_path / "run")


def test_rollouts_in_groups_of_one_outcome_by_class(done):
    table = {
        row.name: (row.prompts, row.rollouts, row.mixed, row.all_passed, row.all_failed)
        for row in done.classes
    }
    assert table == {
        "extremely hard": (1, 12, 0, 0, 12),
        "hard": (1, 20, 16, 0, 4),
        "medium": (1, 24, 8, 8, 8),
        "easy": (1, 8, 8, 0, 0),
        "extremely easy": (1, 8, 0, 8, 0),
        "all": (5, 72, 32, 16, 24),
    }
    assert [row.taught_nothing for row in done.classes] == [12, 4, 16, 0, 8, 40]
    assert done.headline == "Rollouts that taught nothing: 40 of 72 (55.6%)"


def test_classes_add_up(done):
    assert [row.name for row in done.classes] == [*DIFFICULTY_CLASSES, "all"]
    for name in ("prompts", "rollouts", "mixed", "all_passed", "all_failed", "taught_nothing"):
        *parts, whole = (getattr(row, name) for row in done.classes)
        assert sum(parts) == whole
    for row in done.classes:
        assert row.mixed + row.all_passed + row.all_failed == row.rollouts


def test_pooled_and_last_pass_rates_are_read_as_measured_ones(done):
    file = str(done.out / PASS_RATES)
    pooled = read_measured(file)
    assert pooled.whole
    assert pooled.attempts.tolist() == [12, 8, 24, 20, 8]
    np.testing.assert_allclose(pooled.pass_rate * pooled.attempts, [0, 8, 12, 1, 7])
    last = read_measured(file, RateOptions(column="last_pass_rate", attempts="last_attempts"))
    assert last.pass_rate.tolist() == [0.0, 1.0, 1.0, 0.0, 0.875]
    assert last.attempts.tolist() == [4, 8, 8, 4, 8]


def test_graded_rewards_of_a_group_with_one_outcome_teach_something(tmp_path):
    rows = [
        {"step": 1, "prompt": prompt, "score": k / 4 if prompt == "graded" else 0.0}
        for prompt in ("graded", "flat")
        for k in range(3)
    ]
    file = write_lines(tmp_path / "log.jsonl", rows)
    done = import_log("jsonl", file, tmp_path / "run", ImportOptions(passed=0.9))
    assert (done.total.all_failed, done.total.taught_nothing, done.total.graded) == (6, 3, 3)
    assert any("these do have a gradient" in note for note in done.notes)
