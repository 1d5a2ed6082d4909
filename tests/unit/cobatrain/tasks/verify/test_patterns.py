"""Patterns of one's own: checked when the config is read, bounded when they are slow."""

import pytest

from cobasim.errors import InputError
from cobatrain.tasks import make_task, parse_task_config
from cobatrain.tasks.verify import check_pattern

REFUSED = {
    "(": "no regular expression",
    "answer": "0 groups",
    "(a)(b)": "2 groups",
    "(.*)": "matches an empty text",
    "(x?)": "matches an empty text",
    "(?P<n>\\d+": "no regular expression",
    "[z-a](x)": "no regular expression",
}


@pytest.mark.parametrize("pattern", REFUSED)
def test_patterns_that_cannot_be_used_are_refused(pattern):
    with pytest.raises(ValueError, match=REFUSED[pattern]):
        check_pattern(pattern)
    with pytest.raises(InputError, match="answer_pattern"):
        parse_task_config({"kind": "files", "train": "x.jsonl", "answer_pattern": pattern})


def test_a_pattern_takes_the_place_of_answer_from(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": "#### 6"}\n')
    config = {"kind": "files", "train": str(tmp_path / "a.jsonl"), "workers": 1}
    task = make_task({**config, "answer_pattern": "<answer>(.*?)</answer>"}, 0)
    texts = ["<answer>6</answer>", "<answer> 6.0 </answer> \\boxed{7}", "\\boxed{6}"]
    texts += ["<answer>6</answer> no, <answer>7</answer>", "<answer></answer>"]
    try:
        assert task.score([task.train[0]] * 5, texts).tolist() == [1.0, 1.0, 0.0, 0.0, 0.0]
    finally:
        task.close()


def test_a_catastrophic_pattern_costs_bounded_time(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": "#### 6"}\n')
    config = {"kind": "files", "train": str(tmp_path / "a.jsonl"), "workers": 1}
    task = make_task({**config, "cpu_seconds": 0.3, "answer_pattern": "((?:a+)+)b"}, 0)
    try:
        assert task.score([task.train[0]], ["a" * 5000]).tolist() == [0.0]
        assert task.reward.stats.timeouts == 1
    finally:
        task.close()
