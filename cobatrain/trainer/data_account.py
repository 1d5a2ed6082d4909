"""What a run says of its data before the first step, and stores: rows, drops, the self-check."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cobasim.records import write_atomically
from cobatrain.config import EvaluationConfig
from cobatrain.tasks import SelfCheck, Task, sample_check

TASK_FILE = "task.json"


def question_task(
    task: Task, evaluation: EvaluationConfig | None = None, *, say: Callable[[str], None]
) -> SelfCheck:
    """Say what became of the rows of each data set, and whether reference answers are rewarded.

    With the settings of the evaluation: also which sets are smaller than it asks for.

    Raises RewardError if the reward's workers cannot start.
    """
    for line in [*account_lines(task), *smaller_sets(task, evaluation)]:
        say(line)
    check = sample_check(task)
    say(check.finding)
    return check


def account_lines(task: Task) -> list[str]:
    """Each data set on a line, with three pairs of problem and answer and rows that were left out.

    For tasks that are made, not read, what was removed or repeated. Then the prompts that the
    run's model or its lengths do not take, by number, and the first few.
    """
    lines = [line for data_set in task.data_sets for line in data_set.lines()]
    return [*(lines or task.notes), *map(str, task.left_out)]


def smaller_sets(task: Task, evaluation: EvaluationConfig | None) -> list[str]:
    """A line for each held-out set with fewer prompts than ``evaluation.prompts`` asks for.

    None where that is the default, which nobody asked for.
    """
    if evaluation is None or evaluation.prompts == EvaluationConfig().prompts:
        return []
    return [
        f"evaluation.prompts is {evaluation.prompts:,}, but held-out set {name!r} has "
        f"{len(prompts):,}: all of them are evaluated"
        for name, prompts in task.heldout.items()
        if len(prompts) < evaluation.prompts
    ]


def store_account(folder: Path, task: Task, check: SelfCheck) -> None:
    """Write all of it to ``task.json`` of a run, with the rows that were left out."""
    account = {
        "name": task.name,
        "fingerprint": task.fingerprint(),
        "train": len(task.train),
        "heldout": {name: len(prompts) for name, prompts in task.heldout.items()},
        "counts": dict(task.counts),
        "notes": list(task.notes),
        "left_out": [one.to_dict() for one in task.left_out],
        "data_sets": {data_set.name: data_set.to_dict() for data_set in task.data_sets},
        "self_check": check.to_dict(),
    }
    write_atomically(folder / TASK_FILE, json.dumps(account, indent=1) + "\n")
