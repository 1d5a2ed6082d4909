"""What a person should know of an import: how the log was read, and what it does not show."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from cobasim.importing.log import LeftOut, Log
from cobasim.importing.options import ImportOptions
from cobasim.importing.outcome import ClassRow
from cobasim.importing.validation import Validation


def counted(number: int, what: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def readings(log: Log, validation: Validation | None, options: ImportOptions) -> list[str]:
    """How the log was read: what counted as a pass and as a group, and what was assumed."""
    columns = log.columns
    lines = [f"passes: column {columns.score}, {log.rule.words}"]
    if columns.reward not in (None, columns.score):
        lines.append(f"rewards: column {columns.reward}")
    if columns.advantage is not None:
        lines.append(f"groups without a gradient: those whose {columns.advantage} is the same")
    if log.other_rewards:
        lines.append(
            f"rewards: column {columns.score} alone, not {', '.join(log.other_rewards)}: a group "
            "that seems to teach nothing may have differed there"
        )
    composed = ", read as UID_SESSION_OUTPUT" if log.composed else ""
    lines.append(
        f"groups: rollouts of a step with the same {columns.group or columns.prompt}{composed}"
    )
    if validation is not None:
        lines.append(
            f"evaluations: {len(validation.accuracy)} of {validation.source}, "
            f"{counted(validation.rollouts, 'rollout')}; column {validation.score}, "
            f"{validation.rule.words}"
        )
    lines.append(
        f"taken as given: allocator {options.allocator}, weighting {options.weighting}, seed "
        f"{options.seed} (--allocator, --weighting, --seed)"
    )
    return lines


def losses(left_out: LeftOut, what: str = "") -> Iterator[str]:
    """What was left out, a line for each reason; ``what`` names the log if there are two."""
    if left_out.malformed:
        yield (
            f"{what}left out: {counted(left_out.malformed, 'row')} that cannot be read, the first: "
            f"{left_out.first_malformed}"
        )
    if left_out.unscored:
        yield (
            f"{what}left out: {counted(left_out.unscored, 'rollout')} without a score, the first: "
            f"{left_out.first_unscored}"
        )
    for names, reason in (
        (left_out.cut, "the last row, cut off in the middle, of"),
        (left_out.empty, "without rows:"),
        (left_out.ignored, "not part of the log:"),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            yield f"{what}left out, {reason} {', '.join(names[:3])}{more}"
    if left_out.replaced:
        yield f"{what}left out: {counted(left_out.replaced, 'rollout')} of steps that came again"
    if left_out.reused:
        yield (
            f"{what}left out: {counted(len(left_out.reused), 'step')} (from "
            f"{left_out.reused[0]}) whose rollouts are those of the step before, logged again"
        )
    if left_out.outputs:
        yield f"{what}counted once: {counted(left_out.outputs, 'further output')} of a rollout"
    if left_out.padding:
        yield f"{what}left out: {counted(left_out.padding, 'row')} that fill up batches of verl"
    if left_out.evaluated:
        yield (
            f"{what}left out: {counted(left_out.evaluated, 'rollout')} that are those of an "
            "evaluation"
        )


def cautions(log: Log, total: ClassRow) -> Iterator[str]:
    """What the log does not show, or what makes it doubtful; ``total``: the row of all prompts."""
    steps = log.steps
    budgets = np.concatenate([step.budgets for step in steps])
    low, high = int(budgets.min()), int(budgets.max())
    missing = steps[-1].step - len(steps) - len(log.left_out.reused)
    if missing:
        yield (
            f"{missing:,} of {steps[-1].step:,} steps are not in the log: the rollouts so far are "
            "those that were logged, and beliefs are older than the trainer's"
        )
    if high == 1:
        yield (
            "every group has one rollout: a table of unique prompts, or is the column of groups "
            "wrong (--group)?"
        )
    elif low != high:
        yield f"groups have {low} to {high} rollouts"
    if log.layout.mixes and len({step.rollouts for step in steps}) > 1:
        yield (
            "steps differ in size: TRL overwrites the file of a step at which it evaluates; "
            "--eval-steps N leaves those steps out"
        )
    if total.mixed == total.rollouts:
        yield (
            "every group is mixed: if groups were filtered before they were logged (dynamic "
            "sampling), the rollouts that taught nothing are not in the log"
        )
    if total.graded:
        yield (
            f"{counted(total.graded, 'rollout')} are in groups that all passed or all failed with "
            "rewards that differ: these do have a gradient"
        )
