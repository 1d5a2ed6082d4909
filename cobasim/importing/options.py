"""How a log is to be read, and what is known of the run beside it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cobasim.allocation import find_allocator
from cobasim.errors import InputError
from cobasim.settings import Frozen

LayoutName = Literal["verl", "trl", "jsonl"]


class ImportOptions(Frozen):
    """Which columns hold what, what is done about bad rows, and what the log does not say.

    Columns may be nested (``info.acc``), letter case is ignored; None: the layout's default.

    Raises InputError for an unknown allocator and for options that do not go together.
    """

    step: str | None = None  # column of the step's number
    prompt: str | None = None
    score: str | None = None  # column that says whether a rollout passed
    response: str | None = None
    length: str | None = None  # column of response lengths, in tokens
    group: str | None = None  # rollouts of a step with one value of it are one group
    reward: str | None = None  # what the trainer optimises; None: the layout's, else the score
    advantage: str | None = None  # tells which groups had no gradient; None: rewards tell it
    # a score of at least this is a pass; None: scores are -1, 0, 1
    passed: Annotated[float, Field(allow_inf_nan=False)] | None = None
    malformed: Literal["error", "skip"] = "error"  # rows that cannot be read, or have no score
    repeated_step: Literal["error", "last", "join"] = "error"
    eval_steps: Annotated[int, Field(ge=1)] | None = None  # TRL's setting of this name
    validation: str | None = None  # file or folder of validation rollouts
    validation_score: str | None = None  # its column of scores, if it is another one
    allocator: str = "uniform"
    weighting: Literal["rollout", "prompt", "token"] = "rollout"
    seed: Annotated[int, Field(ge=0)] = 0
    low: Annotated[int, Field(ge=0)] | None = None  # bounds of the budgets; None: as logged
    high: Annotated[int, Field(ge=1)] | None = None
    model: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> ImportOptions:
        if self.validation_score is not None and self.validation is None:
            raise InputError("--validation-score belongs to --validation: name its file or folder")
        find_allocator(self.allocator)
        return self
