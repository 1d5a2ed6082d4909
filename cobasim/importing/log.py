"""A log as a whole: its steps, its prompts, and what was left out on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cobasim.data import BadRow, has, value_of
from cobasim.errors import InputError
from cobasim.importing.collecting import Collector, LoggedStep
from cobasim.importing.finding import LogFiles
from cobasim.importing.layouts import Columns, Layout
from cobasim.importing.options import ImportOptions
from cobasim.importing.passing import OtherScoreError, PassRule
from cobasim.importing.reading import LogReader, LogRow
from cobasim.importing.resolving import binary_columns, number_columns, resolve, sample_rows
from cobasim.importing.rollouts import NoScoreError, PaddingError, Rollout, RolloutReader, text_of

SAMPLES = 40
"""Rollouts at the end of a log that are kept as text."""
LONGEST_SAMPLE = 4000
"""Characters that are kept of each text."""


@dataclass
class LeftOut:
    """What a log holds that was not used.

    Attributes:
        malformed: rows that could not be read, and the place of the first.
        unscored: rollouts without a score, and the place of the first.
        cut: files that end in the middle of a row.
        empty: files without rows.
        ignored: files beside those of the log.
        replaced: rollouts of steps that came again later.
        reused: steps that show the rollouts of the step before once more.
        outputs: further outputs of one rollout.
        padding: rows that fill up a batch.
        evaluated: rollouts of steps whose rows are those of an evaluation.
    """

    malformed: int = 0
    first_malformed: str | None = None
    unscored: int = 0
    first_unscored: str | None = None
    cut: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    replaced: int = 0
    reused: list[int] = field(default_factory=list)
    outputs: int = 0
    padding: int = 0
    evaluated: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is 0 or empty is left out."""
        return {name: value for name, value in asdict(self).items() if value}


@dataclass(frozen=True, eq=False)
class Log:
    """A log as read.

    Attributes:
        layout: of which kind.
        source: where it was read.
        files: how many files with rows.
        rows: rows read.
        columns: which of them hold what.
        composed: whether names of groups were read as UID_SESSION_OUTPUT.
        other_rewards: further columns that may hold rewards, where those are summed up.
        rule: what counted as a pass.
        steps: by their numbers.
        prompts: texts by number.
        left_out: what was not used.
        samples: the last rollouts as text.
    """

    layout: Layout
    source: Path
    files: int
    rows: int
    columns: Columns
    composed: bool
    other_rewards: tuple[str, ...]
    rule: PassRule
    steps: list[LoggedStep]
    prompts: list[str]
    left_out: LeftOut
    samples: list[dict[str, Any]]


class LogScan:
    """Goes through the rows of a log that can be used, and keeps account of those that cannot.

    Args:
        layout: of the log.
        source: file or folder.
        options: how it is read.
        on_bytes: gets the number of bytes just read.

    Raises InputError if there are no rows, and for a column that is not there.
    """

    def __init__(
        self,
        layout: Layout,
        source: Path,
        options: ImportOptions,
        on_bytes: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.source, self.options, self._layout = source, options, layout
        self.found: LogFiles = layout.files(source)
        numbered = all(file.step is not None for file in self.found.files)
        self._sample = sample_rows(self.found.files)
        if not self._sample:
            raise InputError(f"{source}: no rollouts, not one whole row")
        try:
            self.columns = resolve(layout, options, self._sample, numbered=numbered)
        except InputError as error:
            raise InputError(f"{self.found.files[0].path}: {error}") from None
        wanted = [name for name in asdict(self.columns).values() if name is not None]
        self.reader = LogReader(self.found.files, wanted, on_bytes)
        self._rollouts = RolloutReader(self.columns)
        self.rule = PassRule(options.passed)
        self.left_out = LeftOut(ignored=[file.name for file in self.found.ignored])

    def __iter__(self) -> Iterator[tuple[LogRow, Rollout]]:
        """Rows with their rollouts. Raises InputError for a bad row, unless they are skipped."""
        rollouts = self._rollouts
        for row in self.reader:
            try:
                if isinstance(row.row, BadRow):
                    raise ValueError(str(row.row))
                rollout = rollouts.read(row.row, row.file.step)
            except PaddingError:
                self.left_out.padding += 1
                continue
            except RecursionError:
                self._bad(row, ValueError("the row is nested too deeply"))
                continue
            except ValueError as error:
                self._bad(row, error)
                continue
            yield row, rollout
        self.left_out.cut = [str(path) for path in self.reader.cut]
        self.left_out.empty = [str(path) for path in self.reader.empty]

    def _bad(self, row: LogRow, error: ValueError) -> None:
        """Count a row that cannot be used. Raises InputError unless such rows are skipped."""
        if self.options.malformed == "error":
            raise InputError(
                f"{row.place}: {error}; to leave such rows out, add --malformed skip"
            ) from None
        left_out = self.left_out
        if isinstance(error, NoScoreError):
            left_out.unscored += 1
            left_out.first_unscored = left_out.first_unscored or row.place
        else:
            left_out.malformed += 1
            left_out.first_malformed = left_out.first_malformed or f"{row.place}: {error}"

    @property
    def composed(self) -> bool:
        """Whether names of groups were read as UID_SESSION_OUTPUT."""
        return self._rollouts.composed

    @property
    def other_rewards(self) -> tuple[str, ...]:
        """Columns that may hold rewards too, where nothing says what all of them sum up to."""
        if not self._layout.mixes or self.columns.advantage is not None:
            return ()
        return tuple(number_columns(self.columns, self._sample))

    def passed(self, row: LogRow, rollout: Rollout) -> bool:
        """Whether a rollout passed. Raises InputError if that is in doubt."""
        try:
            return self.rule.passed(rollout.score)
        except OtherScoreError as error:
            columns = binary_columns(self.columns, self._sample)
            hint = f", or the column that is 0 or 1: --score {columns[0]}" if columns else ""
            raise InputError(
                f"{row.place}: {error} (column {self.columns.score!r}): name the least score of a "
                f"pass with --passed THRESHOLD{hint}"
            ) from None


def read_log(
    layout: Layout,
    source: Path,
    options: ImportOptions,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> Log:
    """Read a log, one row at a time: memory is used for counts and the texts of prompts.

    Args:
        layout: of the log.
        source: file or folder.
        options: how it is read.
        on_bytes: gets the number of bytes just read, as stored.

    Raises InputError, with file and line, for anything that cannot be used as it is.
    """
    scan = LogScan(layout, source, options, on_bytes)
    told_apart = scan.columns.response is not None
    collector = Collector(options.repeated_step, reuses=layout.mixes and told_apart)
    last: deque[tuple[LogRow, Rollout]] = deque(maxlen=SAMPLES)
    for row, rollout in scan:
        if _of_an_evaluation(layout, options, rollout.step):
            scan.left_out.evaluated += 1
            continue
        if layout.first_step is not None and rollout.step < layout.first_step:
            raise InputError(
                f"{row.place}: step {rollout.step}, but {layout.name} counts training steps from "
                f"{layout.first_step}: are these the rollouts of an evaluation?"
            )
        passed = scan.passed(row, rollout)
        collector.add(rollout, passed, row)
        last.append((row, rollout))
    steps, prompts = collector.finish()
    if not steps:
        raise InputError(f"{source}: no rollouts are left ({scan.reader.rows_read:,} rows read)")
    left_out = scan.left_out
    left_out.replaced, left_out.outputs = collector.replaced, collector.outputs
    left_out.reused = collector.reused
    return Log(
        layout=layout,
        source=source,
        files=len(scan.found.files) - len(scan.reader.empty),
        rows=scan.reader.rows_read,
        columns=scan.columns,
        composed=scan.composed,
        other_rewards=scan.other_rewards,
        rule=scan.rule,
        steps=steps,
        prompts=prompts,
        left_out=left_out,
        samples=[_sample(scan.columns, row, rollout) for row, rollout in last],
    )


def _of_an_evaluation(layout: Layout, options: ImportOptions, step: int) -> bool:
    """Whether the rows of a step are those of an evaluation, as TRL logs them."""
    if not layout.mixes:
        return False
    return step == 0 or (options.eval_steps is not None and step % options.eval_steps == 0)


def _sample(columns: Columns, row: LogRow, rollout: Rollout) -> dict[str, Any]:
    """A rollout as text, as ``samples.jsonl`` of a training run has it."""
    assert not isinstance(row.row, BadRow)
    sample: dict[str, Any] = {"step": rollout.step, "prompt": rollout.prompt[:LONGEST_SAMPLE]}
    if columns.answer is not None and has(row.row, columns.answer):
        sample["answer"] = (text_of(value_of(row.row, columns.answer)) or "")[:LONGEST_SAMPLE]
    if rollout.response is not None:
        sample["response"] = rollout.response[:LONGEST_SAMPLE]
    return sample | {"reward": rollout.reward}
