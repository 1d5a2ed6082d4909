"""What a run says of its data and stores."""

import json

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from cobasim.records import RunHeader
from cobatrain.config import EvaluationConfig, load_config
from cobatrain.tasks import LeftOut, Prompt, Task, make_task
from cobatrain.tasks.verify import ExactMatch
from cobatrain.trainer import TASK_FILE, run_header, smaller_sets
from cobatrain.trainer.data_account import account_lines, question_task, store_account


def test_rows_drops_pairs_and_the_self_check_are_said_and_stored(tmp_path):
    rows = [{"question": f"{i}+1?", "answer": f"so\n#### {i + 1}"} for i in range(20)]
    rows += [{"question": "why?", "answer": "proof"}] * 1200
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {"kind": "files", "train": str(path), "on_bad_row": "skip", "heldout_size": 5}
    task, said = make_task(config, 0), []
    check = question_task(task, say=said.append)
    assert said[0] == (
        f"train: {path} (question -> answer): 1,220 rows, 15 used, 1,205 dropped: "
        "1,200 the answer is 'proof'; 5 held out as 'heldout'"
    )
    assert said[1] == "  '0+1?' -> '1'"
    assert "  left out: 1,197 more" in said
    assert said[-1] == "self-check: 20 reference answers, given in another form: all are rewarded"
    store_account(tmp_path, task, check)
    stored = json.loads((tmp_path / TASK_FILE).read_text())
    assert stored["train"] == 15
    assert stored["self_check"] == {"checked": 20, "skipped": 0, "failed": []}
    train = stored["data_sets"]["train"]
    assert (train["rows"], train["used"]) == (1220, 15)
    assert len(train["left_out"]) == 1000
    assert train["left_out"][0] == f"{path}: line 21: the answer is 'proof'"


def test_what_is_left_out_and_sets_smaller_than_asked_for_are_said(tmp_path):
    prompts = [Prompt(f"q{i}", "1", "l", "s") for i in range(4)]
    left_out = (LeftOut("too long", {"train": 3, "h": 1}, ("'a' (s): 9 tokens", "b", "c", "d")),)
    task = Task("t", prompts[:1], {"h": prompts[1:]}, ExactMatch(), left_out=left_out)
    said: list[str] = []
    check = question_task(task, EvaluationConfig(prompts=5), say=said.append)
    assert said[:2] == [
        "left out 4 prompts (3 of train, 1 of h), reason: too long: 'a' (s): 9 tokens; b; c; and 1 "
        "more",
        "evaluation.prompts is 5, but held-out set 'h' has 3: all of them are evaluated",
    ]
    for enough in (EvaluationConfig(prompts=3), EvaluationConfig()):
        assert smaller_sets(task, enough) == []
    store_account(tmp_path, task, check)
    stored = json.loads((tmp_path / TASK_FILE).read_text())["left_out"]
    assert stored == [
        {"reason": "too long", "prompts": {"train": 3, "h": 1}, "first": list(left_out[0].named)}
    ]
    head = run_header(load_config("tiny"), left_out)
    assert RunHeader.from_json(head.to_json()).left_out == stored


def test_tasks_that_are_not_read_say_what_was_repeated():
    task = Task("t", [Prompt("q", "1", "l", "s")], {}, ExactMatch(), notes=("3 repeated",))
    assert account_lines(task) == ["3 repeated"]
