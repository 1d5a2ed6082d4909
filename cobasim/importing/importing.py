"""A log of another trainer as a run directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from cobasim.errors import InputError
from cobasim.importing.folder import (
    GROUPS,
    PASS_RATES,
    SAMPLES,
    check_new,
    check_outside,
    whole_folder,
    write_groups,
    write_pass_rates,
    write_run,
    write_samples,
)
from cobasim.importing.history import ESTIMATOR, loop_settings, step_records
from cobasim.importing.layouts import LAYOUTS
from cobasim.importing.log import Log, read_log
from cobasim.importing.notes import cautions, losses, readings
from cobasim.importing.options import ImportOptions
from cobasim.importing.outcome import ClassRow, class_rows, count_prompts
from cobasim.importing.validation import Validation, read_validation
from cobasim.loop import LoopConfig
from cobasim.records import RunHeader
from cobasim.settings import validated

SOURCE = "import"
"""``source`` in the header of an imported run."""


@dataclass(frozen=True, eq=False)
class Imported:
    """What was read, written and found.

    Attributes:
        out: the run directory.
        log: as read; steps are numbered as in the run.
        validation: the evaluations; None if there are none.
        notes: how the log was read, what was left out, what it does not show.
        classes: what rollouts taught, by difficulty class; the last row is of all prompts.
    """

    out: Path
    log: Log
    validation: Validation | None
    notes: tuple[str, ...]
    classes: tuple[ClassRow, ...]

    @property
    def accuracy(self) -> dict[int, float]:
        """Held-out accuracy by step."""
        return {} if self.validation is None else self.validation.accuracy

    @property
    def total(self) -> ClassRow:
        """The row of all prompts."""
        return self.classes[-1]

    @property
    def headline(self) -> str:
        """The outcome in one line."""
        total = self.total
        assert total.share is not None
        return (
            f"Rollouts that taught nothing: {total.taught_nothing:,} of {total.rollouts:,} "
            f"({total.share:.1%})"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        log, total = self.log, self.total
        steps = log.steps
        return {
            "run": str(self.out),
            "trainer": log.layout.name,
            "source": str(log.source),
            "files": log.files,
            "rows": log.rows,
            "rollouts": total.rollouts,
            "groups": sum(step.prompts.size for step in steps),
            "prompts": total.prompts,
            "steps": len(steps),
            "first_step": steps[0].step,
            "last_step": steps[-1].step,
            "evaluations": self.accuracy,
            "left_out": log.left_out.to_json(),
            "notes": list(self.notes),
            "classes": [asdict(row) | {"share": row.share} for row in self.classes],
            "rollouts_that_taught_nothing": total.taught_nothing,
            "share_that_taught_nothing": total.share,
        }


def import_log(
    layout: str,
    source: str | Path,
    out: str | Path,
    options: ImportOptions | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Turn the log of another trainer into a run directory, which appears whole or not at all.

    Args:
        layout: a name in LAYOUTS.
        source: the log, a file or a folder.
        out: the run directory; missing, or an empty folder.
        options: how the log is read, and what it does not say.
        on_bytes: gets the number of bytes just read; ``log_size`` says how many there are.

    Raises InputError, with file and line, for anything that cannot be used as it is.
    """
    options = options or ImportOptions()
    kind, source, out = LAYOUTS.find(layout), Path(source), Path(out)
    if not kind.mixes and options.eval_steps is not None:
        raise InputError(f"--eval-steps is for trl; {layout} logs evaluations elsewhere")
    if kind.mixes and options.validation is not None:
        raise InputError(
            f"--validation is not for {layout}, which dumps no rollouts of evaluations"
        )
    check_new(out)
    check_outside(out, source)
    if options.validation is not None:
        check_outside(out, Path(options.validation))
    log, shift = _counted_from_1(read_log(kind, source, options, on_bytes))
    validation = read_validation(kind, options, on_bytes)
    if shift and validation is not None:
        shift.append("evaluations: at the steps that the log names, not counted from 1")
    counts = count_prompts(log.steps, len(log.prompts))
    classes = tuple(class_rows(log.steps, counts))
    notes = [*readings(log, validation, options), *shift, *losses(log.left_out)]
    if validation is not None:
        notes += losses(validation.left_out, f"{validation.source}, ")
    notes += cautions(log, classes[-1])
    imported = Imported(out, log, validation, tuple(notes), classes)
    with whole_folder(out) as folder:
        records = step_records(log.steps, len(log.prompts), imported.accuracy)
        write_run(folder, _header(imported, options), records)
        write_groups(folder / GROUPS, log.steps)
        write_pass_rates(folder / PASS_RATES, log.prompts, counts)
        write_samples(folder / SAMPLES, log.samples)
    return imported


def _counted_from_1(log: Log) -> tuple[Log, list[str]]:
    """The log with steps from 1, as runs count them; and a note if they were counted from 0."""
    if log.steps[0].step > 0:
        return log, []
    steps = [replace(step, step=step.step + 1) for step in log.steps]
    return replace(log, steps=steps), ["steps: from 0 in the log, from 1 in the run"]


def _header(imported: Imported, options: ImportOptions) -> RunHeader:
    """What is known of the run: what was given, and what the log shows."""
    log = imported.log
    loop = loop_settings(log.steps, imported.accuracy, (options.low, options.high))
    validated(LoopConfig, loop)
    return RunHeader.create(
        source=SOURCE,
        seed=options.seed,
        allocator=options.allocator,
        estimator=ESTIMATOR,
        weighting=options.weighting,
        world=options.model,
        config={
            "loop": loop,
            "import": {
                "trainer": log.layout.name,
                "source": str(log.source.resolve()),
                "columns": asdict(log.columns),
                "options": options.model_dump(mode="json", exclude_defaults=True),
                "notes": list(imported.notes),
            },
        },
    )


def log_size(layout: str, source: str | Path, options: ImportOptions | None = None) -> int:
    """Bytes of a log and its evaluations, as stored. Raises InputError as ``import_log``."""
    find = LAYOUTS.find(layout).files
    validation = None if options is None else options.validation
    return find(Path(source)).size + (0 if validation is None else find(Path(validation)).size)
