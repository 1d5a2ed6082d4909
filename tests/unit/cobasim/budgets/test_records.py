"""The run directory of a ledger: read like any other, and gone on with after a crash."""

from __future__ import annotations

import fcntl

import numpy as np
import pytest

from cobasim.budgets import BudgetLedger
from cobasim.errors import InputError
from cobasim.experiments.calibration import RealRuns
from cobasim.explorer import describe_run, state
from cobasim.files import LOCK
from cobasim.records import STEPS_FILE, RunExistsError, columns, read_run

KEYS = ["a", "b", "c", "d"]


def made(folder, **settings):
    return BudgetLedger(
        32, **({"allocator": "coba", "records": folder, "model": "small"} | settings)
    )


def step(ledger, number):
    budgets = ledger.ask(KEYS)
    passes = np.random.default_rng(number).binomial(budgets, 0.4)
    return ledger.tell(KEYS, budgets, passes, learner={"loss": 0.5}, evaluation={"heldout": 0.25})


def test_a_run_is_read_like_any_other(tmp_path):
    folder = tmp_path / "new" / "run"
    with made(folder, steps=3) as ledger:
        assert read_run(folder).steps == ()  # there before the first step
        told = [step(ledger, 1), step(ledger, 2)]
        assert read_run(folder).steps == tuple(told)  # while it goes on
        with (folder / LOCK).open() as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    run = read_run(folder)
    assert (run.header.source, run.header.allocator, run.header.world) == (
        "ledger",
        "coba",
        "small",
    )
    assert (run.header.estimator, run.header.weighting, run.header.seed) == ("last", "rollout", 0)
    assert run.header.config["loop"]["batch_size"] is None
    assert columns(run)["learner.loss"].tolist() == [0.5, 0.5]
    row = describe_run(str(folder))
    assert (row["steps"], row["planned"], row["held-out (%)"]) == (2, 3, 25.0)
    assert state(row, 0.0) == "running"
    with pytest.raises(InputError, match="do not say batch_size, as those that a BudgetLedger"):
        RealRuns.of([run])


def test_records_go_on_after_a_crash_as_if_there_had_been_none(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    ledger, crashing = made(whole), made(broken)
    expected = [step(ledger, number).rollouts for number in range(5)]
    for number in range(4):
        step(crashing, number)
        if number == 1:
            kept = crashing.state_dict()
    with (broken / STEPS_FILE).open("a") as file:
        file.write('{"step": 5, "roll')  # killed in the middle of a line
    resumed = made(broken)
    with pytest.raises(InputError, match="holds 4 steps of this run, of which this ledger knows"):
        resumed.ask(KEYS)
    resumed.load_state_dict(kept)
    for number in range(2, 5):
        step(resumed, number)
    assert [record.rollouts for record in read_run(broken).steps] == expected
    numbers = [columns(read_run(folder)) for folder in (whole, broken)]
    assert numbers[0].keys() == numbers[1].keys()
    for name in numbers[0].keys() - {"allocate_ms"}:
        np.testing.assert_array_equal(numbers[0][name], numbers[1][name], err_msg=name)


def test_a_run_that_made_no_step_starts_again(tmp_path):
    made(tmp_path / "run").close()
    again = made(tmp_path / "run")
    assert step(again, 0).step == 1
    assert len(read_run(tmp_path / "run").steps) == 1


def test_folders_of_others_are_left_alone(tmp_path):
    made(tmp_path / "run").close()
    with pytest.raises(InputError, match="not this ledger's run with the same settings"):
        made(tmp_path / "run", high=32)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(RunExistsError, match="is not empty"):
        made(tmp_path / "notes")


def test_without_records_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    step(BudgetLedger(32, allocator="coba"), 0)
    assert list(tmp_path.iterdir()) == []


def test_closed_records_take_no_step(tmp_path):
    ledger = made(tmp_path / "run")
    step(ledger, 0)
    ledger.ask(KEYS)
    kept = ledger.state_dict()
    ledger.close()
    with pytest.raises(InputError, match="were closed: load_state_dict"):
        ledger.tell(KEYS, [8] * 4, [4] * 4)
    ledger.withdraw()
    with pytest.raises(InputError, match="were closed: load_state_dict"):
        ledger.ask(KEYS)
    assert ledger.step == 1
    ledger.load_state_dict(kept)
    ledger.tell(KEYS, [8] * 4, [4] * 4)
    assert [record.step for record in read_run(tmp_path / "run").steps] == [1, 2]


@pytest.mark.parametrize("value", [45.0, -0.1, 1.01, float("inf")])
def test_accuracies_are_shares(value):
    ledger = BudgetLedger(32, allocator="coba")
    budgets = ledger.ask(KEYS)
    with pytest.raises(InputError, match=r"evaluation\['heldout'\] is .*share from 0 to 1"):
        ledger.tell(KEYS, budgets, [0] * 4, evaluation={"heldout": value})
    assert ledger.tell(KEYS, budgets, [0] * 4, evaluation={"heldout": 1}).evaluation == {
        "heldout": 1.0
    }


def test_a_prompt_without_a_rollout_was_not_visited_and_has_no_group():
    ledger = BudgetLedger(8, allocator="uniform")
    ledger.ask(["a", "b"])
    record = ledger.tell(["a"], [4], [2])
    assert (record.mixed_share, record.never_mixed) == (1.0, 0.0)
    ledger.ask(["a", "b"])
    record = ledger.tell(["b"], [4], [4])
    assert (record.mixed_share, record.never_mixed) == (0.0, 0.5)
