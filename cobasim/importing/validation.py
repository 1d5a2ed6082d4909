"""Rollouts of evaluations, which verl dumps beside those of training, as accuracies by step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cobasim.errors import InputError
from cobasim.importing.layouts import Layout
from cobasim.importing.log import LeftOut, LogScan
from cobasim.importing.options import ImportOptions
from cobasim.importing.passing import PassRule


@dataclass(frozen=True, eq=False)
class Validation:
    """Evaluations of a run.

    Attributes:
        source: where they were read.
        accuracy: step, as logged -> mean of the passes over its rollouts.
        rollouts: of all evaluations.
        rule: what counted as a pass.
        score: the column that said so.
        left_out: what was not used.
    """

    source: Path
    accuracy: dict[int, float]
    rollouts: int
    rule: PassRule
    score: str
    left_out: LeftOut


def read_validation(
    layout: Layout, options: ImportOptions, on_bytes: Callable[[int], None] = lambda _: None
) -> Validation | None:
    """The evaluations that ``options.validation`` names; None if it names none.

    Raises InputError as ``read_log``; also for a step that is evaluated in two places, unless the
    later one counts (``repeated_step`` "last").
    """
    if options.validation is None:
        return None
    chosen = options.model_copy(
        update={
            "score": options.validation_score or options.score,
            **dict.fromkeys(("group", "length", "reward", "advantage")),
        }
    )
    source = Path(options.validation)
    scan = LogScan(layout, source, chosen, on_bytes)
    counts: dict[int, list[int]] = {}  # step -> passes, rollouts
    sessions: set[str] = set()
    last: tuple[Path, int] | None = None
    for row, rollout in scan:
        if last != (row.file.path, rollout.step):
            last = (row.file.path, rollout.step)
            sessions.clear()
            if rollout.step in counts and options.repeated_step == "error":
                raise InputError(
                    f"{row.place}: step {rollout.step} was evaluated before: --repeated-step last "
                    "keeps the later evaluation"
                )
            if options.repeated_step != "join":
                scan.left_out.replaced += counts.pop(rollout.step, [0, 0])[1]
        if rollout.session is not None:
            if rollout.session in sessions:
                scan.left_out.outputs += 1
                continue
            sessions.add(rollout.session)
        counted = counts.setdefault(rollout.step, [0, 0])
        counted[0] += scan.passed(row, rollout)
        counted[1] += 1
    if not counts:
        raise InputError(f"{source}: no rollouts are left ({scan.reader.rows_read:,} rows read)")
    assert scan.columns.score is not None
    return Validation(
        source=source,
        accuracy={step: passes / total for step, (passes, total) in sorted(counts.items())},
        rollouts=sum(total for _, total in counts.values()),
        rule=scan.rule,
        score=scan.columns.score,
        left_out=scan.left_out,
    )
