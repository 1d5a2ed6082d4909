"""Reward functions of one's own."""

import numpy as np
import pytest

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
    with pytest.raises(InputError, match="no_such_module"):
        make_task({"reward": {"function": "no_such_module:f"}}, 0)
