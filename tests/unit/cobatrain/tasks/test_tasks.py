"""Tasks and their rewards: scores in order, configs, what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.tasks import TASKS, Prompt, Task, make_task, parse_task_config, passed, self_check
from cobatrain.tasks.task import check_disjoint
from cobatrain.tasks.verify import ExactMatch


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.sampled_from(["", " ", "\n"]))
def test_exact_match_is_the_canonical_integer_only(answer, given_, space):
    prompt, reward = Prompt("q", str(answer), "l", "s"), ExactMatch()
    assert reward(prompt, f"{space}{given_}{space}") == float(given_ == answer)
    for wrong in (f"+{answer}", f"{answer}.0", f"0{answer}", f"{answer} {answer}", "", "-0 "):
        assert reward(prompt, wrong) == 0.0
    assert (
        reward(prompt, "".join(chr(0xFF10 + int(c)) if c != "-" else c for c in str(answer))) == 0
    )


def test_scores_come_in_order_and_lengths_are_checked():
    task = make_task({"kind": "arithmetic", "train_size": 20}, 0)
    texts = [p.answer if i % 3 else p.answer + "0" for i, p in enumerate(task.train)]
    np.testing.assert_array_equal(task.score(task.train, texts), [i % 3 > 0 for i in range(20)])
    with pytest.raises(ValueError, match="20 prompts but 1 text:"):
        task.score(task.train, ["1"])
    check = self_check(task, task.train)
    assert (check.checked, check.failed) == (20, ())


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kind": "arithmetik"}, "did you mean 'arithmetic'"),
        ({"kind": "arithmetic", "trian_size": 3}, "did you mean 'train_size'"),
        ({"levels": ["4*4"]}, "at most 6 digits"),
        ({"levels": ["2+1", "2+1"]}, "twice"),
        ({"levels": ["2+1"], "shares": [1, 2]}, "2 shares for 1 level:"),
        ({"levels": ["2+1"], "shares": [-1]}, "positive"),
        ({"train_size": 0}, "train_size"),
        ({"reward": {"function": "no_colon"}}, "import path"),
        ({"kind": "files", "train": "/nowhere.jsonl"}, "no such file: /nowhere.jsonl"),
    ],
)
def test_bad_configs_are_named(config, words):
    with pytest.raises(InputError, match=words):
        make_task(config, 0)
    with pytest.raises(InputError, match="negative"):
        make_task({}, -1)


def test_every_kind_has_a_config_with_its_own_discriminator():
    for kind, (model, _) in TASKS.items():
        assert model.model_fields["kind"].default == kind
    assert parse_task_config({}).kind == "arithmetic"


def test_the_check_on_the_text_catches_what_construction_missed():
    one = Prompt("a  b", "1", "l", "s")
    with pytest.raises(InputError, match="shares a prompt"):
        check_disjoint(Task("t", [one], {"h": [Prompt("a\nb", "2", "l", "s")]}, ExactMatch()))
    with pytest.raises(InputError, match="no prompts"):
        check_disjoint(Task("t", [], {}, ExactMatch()))
    with pytest.raises(InputError, match="empty"):
        check_disjoint(Task("t", [one], {"h": []}, ExactMatch()))


def test_a_bare_function_is_a_reward_and_is_checked():
    prompts = [Prompt("q", "1", "l", "s")] * 2
    task = Task("t", prompts, {}, lambda prompt, text: float(text))
    np.testing.assert_array_equal(task.score(prompts, ["0.5", "-7"]), [0.5, -7.0])
    for bad in ("inf", "nan"):
        with pytest.raises(RuntimeError, match=f"returned {bad}: a reward is a finite number"):
            task.score(prompts, ["0", bad])


@given(st.lists(st.floats(-9, 9), min_size=4, max_size=4))
def test_a_pass_is_a_reward_above_one_half(rewards):
    flat = passed(np.array(rewards))
    assert flat.tolist() == [reward > 0.5 for reward in rewards]
    np.testing.assert_array_equal(passed(np.reshape(rewards, (2, 2))), flat.reshape(2, 2))
    assert passed(np.array([0.0, 0.5, 1.0])).tolist() == [False, False, True]
