"""Completions with their rewards: what one is worth that the maximum length cut off."""

import numpy as np
import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from cobasim.errors import InputError
from cobatrain.engines import Rollouts, SamplingConfig
from cobatrain.learner import Sampler, SampleRequest
from cobatrain.parallel import Single
from cobatrain.tasks import Prompt, Task, make_task, passed

REWARDS = [-2.0, 0.0, 0.4, 0.6, 1.0, 3.0]


class Engine:
    """Answers with the numbers of rollouts; every other one is cut off."""

    def generate(self, prompt_tokens, budgets, seeds, sampling, first):
        n = int(budgets.sum())
        return Rollouts(
            prompt=np.repeat(np.arange(len(budgets)), budgets),
            tokens=[[j % len(REWARDS)] for j in range(n)],
            log_probs=[[0.0]] * n,
            finished=np.arange(n) // len(REWARDS) == 1,
            prompt_tokens=prompt_tokens,
        )


class Numbers:
    def decode(self, row, skip_special_tokens):
        return str(row[0])


def sampled(unfinished):
    prompt = Prompt("q", "1", "l", "s")
    task = Task("t", [prompt], {}, lambda p, text: REWARDS[int(text)], unfinished=unfinished)
    sampler = Sampler(Engine(), Numbers(), task, {"q": [1]}, 0, Single())
    request = SampleRequest(
        prompts=[prompt],
        numbers=np.array([0]),
        budgets=np.array([2 * len(REWARDS)]),
        sampling=SamplingConfig(),
        stream=1,
        step=0,
    )
    return sampler.sample(request)


def test_its_text_is_judged_unless_the_task_fails_it():
    np.testing.assert_array_equal(sampled("judge").rewards, REWARDS * 2)
    failed = sampled("fail")
    cut = ~failed.rollouts.finished
    assert cut.sum() == len(REWARDS)
    assert not passed(failed.rewards[cut]).any()
    np.testing.assert_array_equal(failed.rewards[cut], np.minimum(REWARDS, 0.0))
    np.testing.assert_array_equal(failed.rewards[~cut], REWARDS)


@pytest.mark.parametrize("kind", ["arithmetic", "words"])
def test_every_kind_of_task_has_the_setting(kind):
    small = {"kind": kind, "train_size": 20, "heldout_size": 12}
    assert make_task(small, 0).unfinished == "judge"
    task = make_task({**small, "unfinished": "fail"}, 0)
    answers = [prompt.answer for prompt in task.train]
    whole = np.ones(len(answers), dtype=bool)
    assert (task.score(task.train, answers, whole) == 1).all()
    assert (task.score(task.train, answers, ~whole) == 0).all()
    assert (task.score(task.train, answers) == 1).all()
    with pytest.raises(InputError, match="unfinished"):
        make_task({**small, "unfinished": "pass"}, 0)
