"""What the logs of each trainer look like: their files, and the names of their columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cobasim.importing.finding import LogFiles, numbered_files, table_files, trl_files
from cobasim.plugins import Registry


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a log; None: the log has none, or none is read.

    Attributes:
        step, prompt, score: as in ``ImportOptions``; score None: it has to be found.
        response, length, group: likewise.
        reward: what the trainer optimises; None: the score.
        advantage: what the update weighed the rollout by; None: it follows from the reward.
        answer: the right answer, only to be shown.
    """

    step: str = "step"
    prompt: str = "prompt"
    score: str | None = "score"
    response: str | None = None
    length: str | None = None
    group: str | None = None
    reward: str | None = None
    advantage: str | None = None
    answer: str | None = None


@dataclass(frozen=True)
class Layout:
    """The log of one kind of trainer.

    Attributes:
        name: as on the command line.
        trainer: in words.
        files: finds the files of a path.
        columns: default names.
        mixes: whether rollouts of evaluations stand among those of training, and a batch may be
            logged at several steps.
        first_step: the number of the first update; None: 0 or 1, as the log has it.
    """

    name: str
    trainer: str
    files: Callable[[Path], LogFiles]
    columns: Columns
    mixes: bool = False
    first_step: int | None = None


LAYOUTS: Registry[Layout] = Registry(
    "layout",
    {
        "verl": Layout(
            "verl",
            "verl (trainer.rollout_data_dir)",
            numbered_files,
            Columns(prompt="input", response="output", group="uid", reward="score", answer="gts"),
            first_step=1,
        ),
        "trl": Layout(
            "trl",
            "TRL (log_completions=True)",
            trl_files,
            Columns(score=None, response="completion", advantage="advantage"),
            mixes=True,
            first_step=1,
        ),
        "jsonl": Layout(
            "jsonl", "a table with one row a rollout", table_files, Columns(response="response")
        ),
    },
)
