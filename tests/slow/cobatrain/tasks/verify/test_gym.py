"""Answers to reasoning-gym, judged by worker processes."""

import time

import numpy as np
import pytest
from judging import CALL
from optional import needs_gym

from cobatrain.tasks import make_task


def gym(name: str, size: int = 4, **config: object) -> dict:
    source = {"name": name, "config": config}
    return {
        "kind": "reasoning-gym",
        "sources": [source],
        "train_size": size,
        "heldout_size": 1,
        "workers": 1,
    }


@needs_gym
@pytest.mark.parametrize(
    "name",
    [
        "countdown",
        "puzzle24",
        "simple_integration",
        "polynomial_multiplication",
        "string_insertion",
        "spiral_matrix",
        "binary_matrix",
        "n_queens",
        "number_sorting",
        "bitwise_arithmetic",
    ],
)
def test_generators_that_evaluate_answers_score_right_ones_and_run_none(name, tmp_path):
    """The scorers of these call eval or sympy's parse_expr in 0.1.25."""
    task = make_task(gym(name), 0)
    right = [f"So <answer>{p.answer}</answer>" for p in task.train]
    np.testing.assert_array_equal(task.score(task.train, right), 1.0)
    victim = tmp_path / "touched"
    for call in (CALL.format(victim), f"open('{victim}','w')", f"[open('{victim}','w')]"):
        texts = [f"<answer>{call}</answer>"] * len(task.train)
        np.testing.assert_array_equal(task.score(task.train, texts), 0.0)
    assert not victim.exists()
    assert task.reward.stats.crashes == 0
    task.close()


@needs_gym
def test_a_gym_answer_needs_its_tags_unless_told_otherwise():
    task = make_task(gym("leg_counting"), 0)
    prompt = task.train[0]
    assert "<answer>" in prompt.text
    assert task.reward(prompt, f"<answer>1</answer> no: <answer> {prompt.answer}\n</answer>") == 1.0
    assert task.reward(prompt, prompt.answer) == 0.0
    assert task.reward(prompt, f"<answer>{prompt.answer}") == 0.0
    task.close()
    plain = make_task({**gym("leg_counting"), "answer_format": "plain"}, 0)
    assert plain.reward(plain.train[0], f" {plain.train[0].answer}\n") == 1.0
    assert "<answer>" not in plain.train[0].text
    plain.close()


@needs_gym
def test_reward_is_one_only_from_the_threshold_on():
    """Most scorers give part of the points for an answer that only contains the right one."""
    strict = make_task(gym("basic_arithmetic"), 0)
    lenient = make_task({**gym("basic_arithmetic"), "threshold": 0.001}, 0)
    prompt = strict.train[0]
    text = f"<answer>it is {prompt.answer}, surely</answer>"
    assert strict.reward(prompt, text) == 0.0
    assert lenient.reward(lenient.train[0], text) == 1.0
    strict.close()
    lenient.close()


@needs_gym
@pytest.mark.parametrize(
    "answer", ["9**9**9", "9" * 19_000, "(" * 9_000, "<answer>" * 30_000, "sin(" * 300 + ")" * 300]
)
def test_a_hostile_gym_answer_costs_bounded_time(answer):
    task = make_task(gym("countdown", size=1), 0)
    start = time.monotonic()
    assert task.reward(task.train[0], f"<answer>{answer}</answer>") == 0.0
    assert time.monotonic() - start < 20.0
    task.close()
