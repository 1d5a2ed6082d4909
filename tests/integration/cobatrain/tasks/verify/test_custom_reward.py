"""Reward functions of one's own."""

import numpy as np
import pytest
from optional import needs_gym
from task_files import write

from cobasim.errors import InputError
from cobatrain.tasks import RewardError, make_task


def custom(function: str, on_error: str = "raise", **more: float) -> dict:
    return {
        "train_size": 10,
        "heldout_size": 5,
        "reward": {"function": f"odd_judges:{function}", "on_error": on_error, **more},
    }


def test_a_custom_reward_is_called_by_its_import_path():
    task = make_task(custom("half"), 0)
    np.testing.assert_array_equal(task.score(task.train, ["x"] * 10), 0.5)
    task.close()


@pytest.mark.parametrize(("function", "value"), [("two", 2.0), ("minus", -1.5)])
def test_any_finite_number_is_a_reward(function, value):
    task = make_task(custom(function, workers=1), 0)
    np.testing.assert_array_equal(task.score(task.train[:2], ["x"] * 2), value)
    task.close()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("boom", "raised KeyError: 'missing thing'"),
        ("endless", "gave no reward: it returned inf"),
        ("nothing", "gave no reward: it returned NoneType"),
        ("exits", "raised SystemExit"),
        ("dies", "crashed its worker"),
        ("hang", "exceeded its time limit"),
    ],
)
def test_a_broken_reward_function_is_named_or_gives_nothing(function, words):
    strict = make_task(custom(function, time_limit=0.5, workers=1), 0)
    with pytest.raises(RewardError) as caught:
        strict.score(strict.train[:1], ["x"])
    assert f"'odd_judges:{function}'" in str(caught.value)
    assert words in str(caught.value)
    strict.close()
    lenient = make_task(custom(function, "zero", time_limit=0.5, workers=1), 0)
    np.testing.assert_array_equal(lenient.score(lenient.train[:2], ["x", "y"]), 0.0)
    lenient.close()


@pytest.mark.parametrize(
    ("function", "words"), [("absent", "no attribute"), ("number", "is of type int")]
)
def test_a_reward_function_that_is_not_there_is_known_before_training(function, words):
    with pytest.raises(InputError, match=words):
        make_task(custom(function), 0)
    with pytest.raises(InputError, match=r"takes \(prompt\): expected \(prompt, text\)"):
        make_task(custom("one_argument"), 0)
    with pytest.raises(InputError, match="no_such_module"):
        make_task({"reward": {"function": "no_such_module:f"}}, 0)


def from_files(path, function: str, **more) -> dict:
    reward = {"function": f"odd_judges:{function}", "workers": 1}
    return {"kind": "files", "train": str(path), "heldout_size": 1, "reward": reward, **more}


def test_a_reward_sees_the_other_columns_of_its_row(tmp_path):
    """``prompt`` is a column too, and an argument of the function's own."""
    rows = [
        {"prompt": f"q{i}", "answer": "1", "tests": list(range(i)), "strict": i == 2, "id": i}
        for i in range(4)
    ]
    task = make_task(from_files(write(tmp_path, "parquet", rows), "by_columns"), 0)
    asked = [*task.train, *task.heldout["heldout"]]
    number = [int(prompt.text[1:]) for prompt in asked]
    expected = [i + 10 * (i == 2) + 200 for i in number]  # `answer` and `id` are others
    np.testing.assert_array_equal(task.score(asked, ["x"] * 4), expected)
    assert "the reward takes tests, strict, all others" in task.data_sets[0].lines()[0]
    changed = [row | {"tests": [0]} for row in rows]
    other = make_task(from_files(write(tmp_path, "jsonl", changed), "by_columns"), 0)
    assert other.fingerprint() != task.fingerprint()
    task.close()
    other.close()


def test_a_column_that_is_not_there_is_refused_before_training(tmp_path):
    rows = [{"problem": f"q{i}", "answer": "1", "extra": i} for i in range(3)]
    words = "no column 'tests', which the reward function 'odd_judges:wants_tests' takes; there are"
    for kind in ("jsonl", "csv", "parquet"):
        with pytest.raises(InputError, match=f"{words}: problem, answer, extra") as caught:
            make_task(from_files(write(tmp_path, kind, rows), "wants_tests"), 0)
        assert "\n" not in str(caught.value)
    rows += [rows[0] | {"problem": "q3", "tests": []}, rows[0] | {"problem": "q4", "tests": [1]}]
    few = write(tmp_path, "json", [rows[i] for i in (3, 0, 4)])
    with pytest.raises(InputError, match="row 2: no column 'tests', which the reward function"):
        make_task(from_files(few, "wants_tests"), 0)
    task = make_task(from_files(few, "wants_tests", on_bad_row="skip"), 0)
    assert len(task.train) == 1
    task.close()
    with pytest.raises(InputError, match=r"'arithmetic', which has no rows: no column 'tests'"):
        make_task(custom("wants_tests"), 0)


@needs_gym
def test_the_entry_of_a_generator_is_a_row():
    sources = [{"name": "leg_counting"}]
    settings = {"kind": "reasoning-gym", "sources": sources, **custom("wants_tests", workers=1)}
    with pytest.raises(InputError, match="there are: question, answer, metadata"):
        make_task(settings, 0)
