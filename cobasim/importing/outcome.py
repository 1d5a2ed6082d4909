"""What the rollouts of a log taught, by the difficulty of their prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import DIFFICULTY_CLASSES, difficulty_class
from cobasim.importing.collecting import LoggedStep
from cobasim.importing.history import by_prompt


@dataclass(frozen=True)
class ClassRow:
    """Rollouts of the prompts of one difficulty class; all of them together are ``all``.

    Attributes:
        name: of the class.
        prompts: distinct ones.
        rollouts: of them.
        mixed, all_passed, all_failed: how many of these were in groups with both outcomes, with
            passes only, with failures only.
        taught_nothing: how many were in groups whose rewards (or logged advantages) are all equal.
        graded: how many were in groups with one outcome whose rewards differ: an advantage still.
    """

    name: str
    prompts: int
    rollouts: int
    mixed: int
    all_passed: int
    all_failed: int
    taught_nothing: int
    graded: int

    @property
    def share(self) -> float | None:
        """Share of the rollouts that taught nothing; None without rollouts."""
        return self.taught_nothing / self.rollouts if self.rollouts else None


@dataclass(frozen=True, eq=False)
class PromptCounts:
    """Counts of all prompts (P,) over a log.

    Attributes:
        rollouts, passes: over all steps.
        last_rollouts, last_passes: of the last step in which the prompt came up.
        visits: steps in which it came up.
    """

    rollouts: IntArray
    passes: IntArray
    last_rollouts: IntArray
    last_passes: IntArray
    visits: IntArray

    @property
    def pass_rate(self) -> FloatArray:
        """Pooled over the whole log."""
        return np.asarray(self.passes / self.rollouts)


def count_prompts(steps: Sequence[LoggedStep], num_prompts: int) -> PromptCounts:
    """Counts of every prompt; each of them has come up."""
    counts = PromptCounts(*(np.zeros(num_prompts, dtype=np.int64) for _ in range(5)))
    for step in steps:
        prompts, budgets, passes = by_prompt(step)
        counts.rollouts[prompts] += budgets
        counts.passes[prompts] += passes
        counts.last_rollouts[prompts] = budgets
        counts.last_passes[prompts] = passes
        counts.visits[prompts] += 1
    return counts


def class_rows(steps: Sequence[LoggedStep], counts: PromptCounts) -> list[ClassRow]:
    """A row for each class of DIFFICULTY_CLASSES by pooled pass rate, and one for all prompts."""
    prompts = np.concatenate([step.prompts for step in steps])
    budgets = np.concatenate([step.budgets for step in steps])
    passes = np.concatenate([step.passes for step in steps])
    equal = np.concatenate([step.equal for step in steps])
    kind = difficulty_class(counts.pass_rate)  # (P,)
    kinds = kind[prompts]  # (groups,)
    mixed = (passes > 0) & (passes < budgets)
    groups = {
        "mixed": mixed,
        "all_passed": passes == budgets,
        "all_failed": passes == 0,
        "taught_nothing": equal,
        "graded": ~mixed & ~equal,
    }
    rows = []
    for number, name in [*enumerate(DIFFICULTY_CLASSES), (None, "all")]:
        own = np.ones(kinds.size, dtype=np.bool_) if number is None else kinds == number
        rows.append(
            ClassRow(
                name=name,
                prompts=int(np.count_nonzero(kind == number)) if number is not None else kind.size,
                rollouts=int(budgets[own].sum()),
                **{each: int(budgets[own & mask].sum()) for each, mask in groups.items()},
            )
        )
    return rows
