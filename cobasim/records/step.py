"""What one step of a run writes down."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any, Final

from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.errors import InputError
from cobasim.records.bins import PASS_RATE_BINS
from cobasim.records.encoding import decode, encode
from cobasim.records.old_names import lift, rename


@dataclass(frozen=True)
class StepRecord:
    """One line of ``steps.jsonl``, written after ``step`` updates; None = not measured.

    Step 0 comes before any update and holds only the first evaluation.
    """

    step: int
    """Policy updates made so far."""
    rollouts: int
    """Rollouts sampled so far in the whole run, evaluation not counted."""
    prompts: int | None = None
    """Prompts in this step's batch (M)."""
    alpha: float | None = None
    """First shape of the preference density (Eq. 7 of arXiv 2602.03048)."""
    beta: float | None = None
    """Second shape."""
    failure_rate: float | None = None
    """Failure rate of this step's rollouts: the mean over prompts, not over rollouts."""
    smoothed_failure_rate: float | None = None
    """The failure rate that the allocator was told."""
    mixed_share: float | None = None
    """Share of this step's groups with both outcomes, that is with a gradient."""
    budget_min: int | None = None
    budget_max: int | None = None
    budget_gini: float | None = None
    """Gini coefficient of the budgets: 0 = all equal."""
    bins: dict[str, list[int]] | None = None
    """What ``bin_counts`` returns."""
    never_mixed: float | None = None
    """Share of the prompts visited so far that never had a group with both outcomes."""
    allocate_ms: float | None = None
    """Milliseconds spent allocating in this step."""
    rounds: int | None = None
    """Rounds in which this step sampled; None for allocators that sample once."""
    trained_rollouts: int | None = None
    """Rollouts that the update got; None for allocators that train on all of them."""
    tokens: float | None = None
    """Response tokens sampled so far in the whole run, evaluation not counted; None: not counted.
    In a simulated world the unit is the pool's mean response."""
    length_min: float | None = None
    """Shortest mean response of a group of this step."""
    length_median: float | None = None
    length_max: float | None = None
    learner: dict[str, float] = field(default_factory=dict)
    """The learner's own numbers, such as grad_norm; non-finite ones are read back as NaN."""
    evaluation: dict[str, Any] | None = None
    """Accuracies (``heldout``, ``hard``, ``pool``; others allowed) and ``transitions``: 5 x 5
    counts over the pool, rows = class at step 0, columns = class now (DIFFICULTY_CLASSES)."""
    extra: dict[str, Any] = field(default_factory=dict)
    """Keys of the line that this version does not know; written back beside the others."""

    def to_json(self) -> str:
        """Return the record as one line of JSON without the newline; NaN and inf become null."""
        payload = dict(vars(self))
        extra = payload.pop("extra")
        if extra:
            payload = {**extra, **payload}  # a known field wins over a key of the same name
        return encode(payload, f"step {self.step}")

    @classmethod
    def from_json(cls, text: str | bytes) -> StepRecord:
        """Parse one line; ValueError says what is wrong with it."""
        return cls.from_dict(decode(text))

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> StepRecord:
        """Check a parsed line and make a record of it; ValueError says what is wrong with it."""
        if type(payload) is not dict:
            raise InputError(f"expected a JSON object, got {type(payload).__name__}")
        lift(rename(payload))
        for name in ("step", "rollouts"):
            if type(payload.get(name)) is not int or payload[name] < 0:
                raise InputError(
                    f"{name!r} is {payload.get(name)!r}, expected an integer of at least 0"
                )
        for name in NUMBERS:
            if type(payload.get(name)) not in _NUMBER_OR_NONE:
                raise InputError(f"{name!r} is {payload[name]!r}, expected a number or null")
        if payload.get("bins") is not None:
            _check_bins(payload["bins"])
        if payload.get("evaluation") is not None:
            _check_evaluation(payload["evaluation"])
        learner = payload.get("learner")
        if learner is None:
            payload["learner"] = {}
        elif type(learner) is not dict:
            raise InputError(f"'learner' is {learner!r}, expected an object of numbers")
        else:
            for name, value in learner.items():
                if type(value) not in _NUMBER_OR_NONE:
                    raise InputError(f"'learner' {name!r} is {value!r}, expected a number or null")
                if value is None:
                    learner[name] = math.nan
        extra = {name: payload.pop(name) for name in payload.keys() - _STEP_NAMES}
        return cls(**payload, extra=extra)


_STEP_NAMES: Final = {item.name for item in fields(StepRecord)} - {"extra"}
NUMBERS: Final = (
    "prompts",
    "alpha",
    "beta",
    "failure_rate",
    "smoothed_failure_rate",
    "mixed_share",
    "budget_min",
    "budget_max",
    "budget_gini",
    "never_mixed",
    "allocate_ms",
    "rounds",
    "trained_rollouts",
    "tokens",
    "length_min",
    "length_median",
    "length_max",
)
_NUMBER_OR_NONE: Final = frozenset((int, float, type(None)))
_INTEGERS: Final = frozenset((int,))


def _check_bins(bins: Any) -> None:
    size = len(PASS_RATE_BINS)
    optional = ("attempts", "tokens") if type(bins) is dict else ()
    known = [name for name in optional if bins.get(name) is not None]
    for name in ("prompts", "rollouts", "mixed", *known):
        counts = bins.get(name) if type(bins) is dict else None
        if (
            type(counts) is not list
            or len(counts) != size
            or not _INTEGERS.issuperset(map(type, counts))
        ):
            raise InputError(f"'bins' {name!r} is {counts!r}, expected {size} integers")


def _check_evaluation(evaluation: Any) -> None:
    if type(evaluation) is not dict:
        raise InputError(f"'evaluation' is {evaluation!r}, expected an object")
    for name in ("heldout", "hard", "pool"):
        if type(evaluation.get(name)) not in _NUMBER_OR_NONE:
            raise InputError(
                f"'evaluation' {name!r} is {evaluation[name]!r}, expected a number or null"
            )
    rows = evaluation.get("transitions")
    size = len(DIFFICULTY_CLASSES)
    if rows is not None and not (
        type(rows) is list
        and len(rows) == size
        and all(
            type(row) is list and len(row) == size and _INTEGERS.issuperset(map(type, row))
            for row in rows
        )
    ):
        raise InputError(f"'transitions' is {rows!r}, expected {size} x {size} integers")
