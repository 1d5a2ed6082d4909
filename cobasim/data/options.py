"""How the pass rates of a file are to be read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cobasim.data.cells import MOST, Notation
from cobasim.errors import InputError
from cobasim.settings import Frozen


class RateOptions(Frozen):
    """Which columns hold what, in which notation, and which rows are used.

    By default: a column ``pass_rate``, with the attempts of a column ``attempts`` or ``rollouts``
    if there is one.
    """

    column: str | None = None  # of pass rates; dots for nested ones, letter case ignored
    passes: str | None = None  # column of counts of passes
    failures: str | None = None  # column of counts of failures
    attempts: str | None = None  # column of counts of attempts, or one number for all rows
    out_of: Annotated[int, Field(ge=1, le=MOST)] | None = None  # attempts of every row
    group_by: str | None = None  # one row a rollout: the column that names its prompt
    score: str | None = None  # one row a rollout: the column of its score
    threshold: float | None = None  # a score of at least this is a pass; None: scores are 0 or 1
    prompt: str | None = None  # column of the prompt's text, where prompts must be told apart
    invert: bool = False  # the column counts failures: 1 - rate is used
    percent: bool = False
    decimal_comma: bool = False
    missing: Literal["error", "skip", "unseen"] = "error"
    limit: Annotated[int, Field(ge=1)] | None = None  # the first rows only
    sample: Annotated[int, Field(ge=1)] | None = None  # this many rows, drawn at random
    seed: Annotated[int, Field(ge=0)] = 0  # of the sample
    split: str | None = None  # of a dataset folder

    @model_validator(mode="after")
    def _consistent(self) -> RateOptions:
        given = {
            name: getattr(self, name)
            for name in ("column", "passes", "failures", "score")
            if getattr(self, name) is not None
        }
        if len(given) > 1:
            flags = " and ".join(f"--{name}" for name in given)
            raise InputError(f"{flags} exclude each other: name one column of results")
        if (self.group_by is None) != (self.score is None):
            raise InputError("--group-by and --score belong together: one row a rollout")
        if self.prompt is not None and self.group_by is not None:
            raise InputError("--group-by already names the prompt: leave out prompt")
        if self.threshold is not None and self.score is None:
            raise InputError("--threshold belongs to --score: one row a rollout")
        if self.attempts is not None and self.out_of is not None:
            raise InputError("--attempts and --out-of exclude each other")
        if self.same_attempts is not None and self.same_attempts > MOST:
            raise InputError(f"--attempts {self.attempts}: the most is {MOST:,}")
        counted = self.passes or self.failures
        if counted and self.attempts is None and self.out_of is None:
            raise InputError("counts need their attempts: add --attempts COLUMN or --out-of N")
        if self.score is not None and (self.attempts or self.out_of or self.percent):
            raise InputError(
                "--score counts rollouts itself: leave out --attempts, --out-of and --percent"
            )
        if counted and self.percent:
            raise InputError("--percent is for rates, not for counts")
        if self.failures is not None and self.invert:
            raise InputError("--failures already counts failures: leave out --invert")
        return self

    @property
    def flags(self) -> list[str]:
        """The words of a command line that give these options."""
        words: list[str] = []
        for name, value in self.model_dump(exclude_defaults=True).items():
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
        return words

    @property
    def notation(self) -> Notation:
        """How numbers are written."""
        return Notation(self.percent, self.decimal_comma)

    @property
    def same_attempts(self) -> int | None:
        """Attempts that are the same for all rows, if they were given as a number."""
        if self.out_of is not None:
            return self.out_of
        text = (self.attempts or "").strip()
        if text.isascii() and text.isdigit():
            return int(text[:20])  # Python converts no number of thousands of digits
        return None

    @property
    def attempts_column(self) -> str | None:
        """The column of attempts, if one was named."""
        return None if self.same_attempts is not None else self.attempts

    @property
    def wanted(self) -> tuple[str, ...]:
        """The columns that are needed."""
        names = (self.column, self.passes, self.failures, self.score, self.group_by,
                 self.prompt, self.attempts_column)  # fmt: skip
        named = tuple(name for name in names if name is not None)
        if self.column is None and not (self.passes or self.failures or self.score):
            named += (DEFAULT,)
        return named + (() if self.attempts or self.out_of or self.score else EVIDENCE)


DEFAULT = "pass_rate"
EVIDENCE = ("attempts", "rollouts")
"""Columns that are read as attempts without being named."""
