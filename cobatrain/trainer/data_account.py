"""What a run says of its data before the first step, and stores: rows, drops, the self-check."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cobasim.records import write_atomically
from cobatrain.tasks import SelfCheck, Task, sample_check

TASK_FILE = "task.json"


def question_task(task: Task, *, say: Callable[[str], None]) -> SelfCheck:
    """Say what became of the rows of each data set, and whether reference answers are rewarded.

    Raises RewardError if the reward's workers cannot start.
    """
    for line in account_lines(task):
        say(line)
    check = sample_check(task)
    say(check.finding)
    return check


def account_lines(task: Task) -> list[str]:
    """Each data set on a line, with three pairs of problem and answer and rows that were left out.

    For tasks that are made, not read, what was removed or repeated.
    """
    lines = [line for data_set in task.data_sets for line in data_set.lines()]
    return lines or list(task.notes)


def store_account(folder: Path, task: Task, check: SelfCheck) -> None:
    """Write all of it to ``task.json`` of a run, with the rows that were left out."""
    account = {
        "name": task.name,
        "fingerprint": task.fingerprint(),
        "train": len(task.train),
        "heldout": {name: len(prompts) for name, prompts in task.heldout.items()},
        "counts": dict(task.counts),
        "notes": list(task.notes),
        "data_sets": {data_set.name: data_set.to_dict() for data_set in task.data_sets},
        "self_check": check.to_dict(),
    }
    write_atomically(folder / TASK_FILE, json.dumps(account, indent=1) + "\n")
