"""From rows to pass rates: one row a prompt, or one row a rollout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.data.cells import count, is_missing, number, rate
from cobasim.data.columns import has, likely_counts, likely_prompts, value_of
from cobasim.data.measured import MeasuredRates, number_of
from cobasim.data.options import DEFAULT, EVIDENCE, RateOptions
from cobasim.data.rows import UNNAMED, BadRow, is_unnamed
from cobasim.errors import InputError

UNSEEN = 0.5  # the rate of a row without a value, under ``missing="unseen"``; its attempts are 0
NEAR = 0.005  # a rate that was rounded to two digits is that far from its fraction


class RateTable:
    """Collects one pass rate from each row."""

    def __init__(self, options: RateOptions) -> None:
        self.options = options
        self.rates: list[float] = []
        self.attempts: list[float] = []
        self.rows: list[int] = []
        self.prompts: list[str] = []
        self.read = self.missing = self.bad = 0
        self.first_bad: str | None = None
        self._column: str | None = None  # of results, once a row has shown it
        self._evidence = options.attempts_column  # column of attempts
        self._no_evidence: set[str] = set()  # columns that hold lists or objects in its place
        self._names: set[str] = set()  # of the last row
        self._signs: dict[bool, str] = {}  # where a rate first had a percent sign, and had none
        self._prompt_column: str | None = None  # that tells prompts apart, as far as names tell
        self._prompts_seen: set[int] = set()
        self._repeats = 0
        self._attempts_perhaps: list[str] = []

    def add(self, where: str, row: Mapping[str, Any] | BadRow) -> None:
        """Take one row. Raises KeyError for a column that the file does not have."""
        self.read += 1
        try:
            if isinstance(row, BadRow):
                raise ValueError(str(row))
            if self._column is None:
                self._column = self._find(row)
            if (self._column != UNNAMED and is_unnamed(row)) or (
                self._column == UNNAMED and UNNAMED not in row
            ):
                raise ValueError("plain values and rows with columns are mixed: give one of them")
            if row.keys() != self._names:
                self._names = set(row)
                self._look_for_attempts(row)
                self._look_for_prompts(row)
            self._take(row)
            self._note(where, row)
        except RecursionError:
            self._bad(where, "the row is nested too deeply")
        except ValueError as error:
            self._bad(where, str(error))

    def _bad(self, where: str, why: str) -> None:
        self.bad += 1
        self.first_bad = self.first_bad or f"{where}: {why}"

    def _find(self, row: Mapping[str, Any]) -> str:
        """The column of results. Raises KeyError for any column that the row does not have."""
        options = self.options
        column = options.passes or options.failures or options.column
        if column is None:
            column = UNNAMED if is_unnamed(row) else DEFAULT
        for name in (column, options.attempts_column, options.prompt):
            if name is not None and not has(row, name):
                raise KeyError(name)
        return column

    def _look_for_attempts(self, row: Mapping[str, Any]) -> None:
        """Note the column of attempts, if none was named and the row has one. Raises InputError."""
        if self.options.attempts_column is not None or self.options.same_attempts is not None:
            return
        present = [name for name in EVIDENCE if has(row, name)]
        lists = [name for name in present if isinstance(value_of(row, name), list | dict)]
        self._no_evidence.update(lists)
        present = [name for name in present if name not in lists]
        if self._evidence is not None and self._evidence not in present:
            present.append(self._evidence)
        if len(present) > 1:
            raise InputError(
                f"both columns {' and '.join(present)} may hold the attempts: name one with "
                "--attempts"
            )
        self._evidence = present[0] if present else None

    def _look_for_prompts(self, row: Mapping[str, Any]) -> None:
        """Note the columns that may hold the prompts and, if none are known, the attempts."""
        found = likely_prompts(row)
        self._prompt_column = self.options.prompt or (found[0] if found else None)
        if self._evidence is None and not self._attempts_perhaps:
            self._attempts_perhaps = [name for name in likely_counts(row) if name != self._column]

    def _note(self, where: str, row: Mapping[str, Any]) -> None:
        """What a reader should be told of a row that was read. Raises ValueError."""
        if self._prompt_column is not None:
            prompt = _cell(row, self._prompt_column)
            if not _is_blank(prompt):
                key, before = hash(_text(prompt)), len(self._prompts_seen)
                self._prompts_seen.add(key)
                self._repeats += len(self._prompts_seen) == before
        value = _cell(row, self._column)
        if self.options.passes or self.options.failures or not isinstance(value, str):
            return
        text = value.strip()
        if is_missing(text) or "/" in text or text.strip("0.,% ") == "":
            return  # 0 is the same with a sign and without one
        self._signs.setdefault(text.endswith("%"), where)
        if len(self._signs) == 2:
            raise ValueError(
                f"{text!r} in a column that has percent signs in some rows and none in others "
                f"({self._signs[True]}, {self._signs[False]}): write them alike"
            )

    def _take(self, row: Mapping[str, Any]) -> None:
        """One row's rate and attempts. Raises ValueError."""
        value = _cell(row, self._column)
        prompt = None if self.options.prompt is None else _cell(row, self.options.prompt)
        if self.options.prompt is not None and _is_blank(prompt):
            raise ValueError(f"no value in column {self.options.prompt!r}")
        attempts: float | None = self.options.same_attempts
        if self._evidence is not None:
            attempts = self._attempts(_cell(row, self._evidence))
        if is_missing(value) or attempts == 0:
            self._take_missing(value, attempts, prompt)
            return
        if self._evidence is not None and attempts is None:
            raise ValueError(f"no attempts in column {self._evidence!r}")
        if self.options.passes or self.options.failures:
            assert attempts is not None
            share = self._counted(value, attempts)
        else:
            share, own = rate(value, self.options.notation)
            if own is not None and attempts is not None and own != attempts:
                raise ValueError(
                    f"{value!r} has {own:g} attempts, another column says {attempts:g}"
                )
            attempts = own if attempts is None else attempts
        inverted = bool(self.options.invert or self.options.failures)
        self._keep(1.0 - share if inverted else share, attempts, prompt)

    def _attempts(self, value: Any) -> float | None:
        """The attempts in a cell; None if it is empty. Raises ValueError."""
        if is_missing(value):
            return None
        try:
            return count(value, self.options.notation)
        except ValueError as error:
            named = self.options.attempts_column is not None
            advice = "" if named else "; --attempts N or --attempts COLUMN says otherwise"
            raise ValueError(f"{error} (attempts in column {self._evidence!r}{advice})") from None

    def _counted(self, value: Any, attempts: float) -> float:
        counted = count(value, self.options.notation)
        if counted > attempts:
            raise ValueError(f"{counted:g} of {attempts:g} attempts")
        return counted / attempts

    def _take_missing(self, value: Any, attempts: float | None, prompt: Any) -> None:
        self.missing += 1
        if self.options.missing == "error":
            empty = value is None or not str(value).strip()
            what = "0 attempts" if attempts == 0 else "no value" if empty else repr(value)
            raise ValueError(f"{what}; to leave such rows out, add --missing skip")
        if self.options.missing == "unseen":
            self._keep(UNSEEN, 0.0, prompt)

    def _keep(self, share: float, attempts: float | None, prompt: Any) -> None:
        self.rates.append(share)
        self.attempts.append(np.nan if attempts is None else attempts)
        self.rows.append(self.read - 1)
        if prompt is not None:
            self.prompts.append(_text(prompt))

    def measured(self, source: str, options: RateOptions) -> MeasuredRates:
        """What was collected. Raises InputError for bad rows, and if nothing is left."""
        if self.first_bad is not None:
            more = f" (and {number_of(self.bad - 1, 'more row')})" if self.bad > 1 else ""
            raise InputError(f"{self.first_bad}{more}")
        if not self.rates:
            left = "" if self.read == 0 else f": {self.missing:,} of {self.read:,} have no value"
            raise InputError(f"no rows with a pass rate{left}")
        chosen = _chosen(len(self.rates), options)
        rates, attempts = np.array(self.rates), np.array(self.attempts)
        remarks = self._remarks(rates, attempts)
        rates, attempts = rates[chosen], attempts[chosen]
        known = _known(attempts)
        counts = attempts if known else None
        return MeasuredRates(
            rates,
            counts,
            np.array(self.rows, dtype=np.int64)[chosen],
            source,
            self.read,
            self._words(),
            self.missing,
            (*remarks, *_notes(rates, counts)),
            tuple(self.prompts[i] for i in chosen) if self.prompts else None,
        )

    def _remarks(self, rates: FloatArray, attempts: FloatArray) -> list[str]:
        """What was left out besides rows without a value, and what may be meant otherwise.

        ``rates`` and ``attempts`` (n,) of all rows that were kept; NaN: not known.
        """
        found = [
            f"column {name} holds lists or objects: not read as attempts"
            for name in EVIDENCE
            if name in self._no_evidence
        ]
        if self._repeats:
            found.append(
                f"column {self._prompt_column} repeats in {number_of(self._repeats, 'row')}: each "
                "row is taken for a prompt of its own"
            )
        counted = self.options.passes or self.options.failures
        if not counted and np.array_equal(np.unique(rates), (0.0, 1.0)):
            found.append(
                "all rates are 0 or 1: if a row is one rollout, give --group-by PROMPT --score "
                "COLUMN; if they are counts, --passes COLUMN with --attempts or --out-of"
            )
        elif self._attempts_perhaps and np.isnan(attempts).all():
            found.append(f"perhaps --attempts {' or '.join(self._attempts_perhaps[:3])}")
        return found

    def _words(self) -> str:
        """What was read, in words."""
        options, column = self.options, self._column
        text = "numbers without a name" if column == UNNAMED else f"column {column}"
        if options.failures:
            text = f"failures in {text}"
        elif options.passes:
            text = f"passes in {text}"
        if options.invert:
            text += ", taken as failures"
        if options.percent:
            text += ", percent"
        if self._evidence is not None:
            text += f", attempts in column {self._evidence}"
        return text


class ScoreTable(RateTable):
    """Collects pass rates from one row a rollout."""

    def __init__(self, options: RateOptions) -> None:
        super().__init__(options)
        self._groups: dict[str, list[int]] = {}  # passes and attempts of each prompt
        self._rollouts = self._nobodys = self._unscored = 0

    def _find(self, row: Mapping[str, Any]) -> str:
        assert self.options.score is not None
        assert self.options.group_by is not None
        for name in (self.options.score, self.options.group_by):
            if not has(row, name):
                raise KeyError(name)
        return self.options.score

    def _look_for_attempts(self, row: Mapping[str, Any]) -> None:
        """Rollouts are counted."""

    def _look_for_prompts(self, row: Mapping[str, Any]) -> None:
        """Prompts are named."""

    def _note(self, where: str, row: Mapping[str, Any]) -> None:
        """Each row is a rollout."""

    def _take(self, row: Mapping[str, Any]) -> None:
        assert self.options.group_by is not None
        key, score = _cell(row, self.options.group_by), _cell(row, self._column)
        skip = "to leave such rollouts out, add --missing skip"
        if _is_blank(key):
            self._nobodys += 1
            if self.options.missing != "skip":
                raise ValueError(f"no value in column {self.options.group_by!r}; {skip}")
            return
        counts = self._groups.setdefault(_text(key), [0, 0])
        if is_missing(score):
            self._unscored += 1
            if self.options.missing == "error":
                raise ValueError(f"no score; {skip}")
            return
        passed = self._passed(score)
        counts[0] += passed
        counts[1] += 1

    def _passed(self, score: Any) -> bool:
        if isinstance(score, bool):
            return score != self.options.invert
        given = number(_truth(score), self.options.notation)
        if self.options.threshold is not None:
            return (given >= self.options.threshold) != self.options.invert
        if given not in (0.0, 1.0):
            raise ValueError(f"the score {given:g} is neither 0 nor 1: add --threshold")
        return (given == 1.0) != self.options.invert

    def measured(self, source: str, options: RateOptions) -> MeasuredRates:
        """What was collected, a prompt for each group."""
        self._rollouts, self.read = self.read, len(self._groups)
        for place, (prompt, (passes, attempts)) in enumerate(self._groups.items()):
            self.missing += attempts == 0
            if attempts == 0 and options.missing != "unseen":
                continue
            self.rates.append(passes / attempts if attempts else UNSEEN)
            self.attempts.append(float(attempts))
            self.rows.append(place)
            self.prompts.append(prompt)
        return super().measured(source, options)

    def _remarks(self, rates: FloatArray, attempts: FloatArray) -> list[str]:
        counts = {"score": self._unscored, "prompt": self._nobodys}
        return [
            f"{number_of(times, 'rollout')} without a {what} left out"
            for what, times in counts.items()
            if times
        ]

    def _words(self) -> str:
        options = self.options
        text = f"{number_of(self._rollouts, 'rollout')}, grouped by {options.group_by}, score in "
        text += str(options.score)
        if options.threshold is not None:
            text += f", a pass from {options.threshold:g}"
        return text + (", inverted" if options.invert else "")


def _cell(row: Mapping[str, Any], column: str | None) -> Any:
    """The value of a row; None if this row lacks the column."""
    assert column is not None
    try:
        return value_of(row, column)
    except KeyError:
        return None


def _is_blank(value: Any) -> bool:
    """Whether a cell is null, NaN or blank: a prompt, unlike a number, may be called ``none``."""
    return not value.strip() if isinstance(value, str) else is_missing(value)


def _known(attempts: FloatArray) -> bool:
    """Whether the attempts of all rows are known. Raises InputError if only those of some are."""
    unknown, unseen = np.isnan(attempts), attempts == 0
    if not unknown.any() or unknown.all():
        return not unknown.any()
    if np.all(unknown | unseen):
        raise InputError(
            "no row has attempts, so that unseen prompts would count like the others: add "
            "--attempts or --out-of, or leave rows without a value out (--missing skip)"
        )
    known = int(np.count_nonzero(~unknown & ~unseen))
    raise InputError(
        f"attempts are known of {number_of(known, 'row')} only: add --attempts or --out-of"
    )


def _text(key: Any) -> str:
    return key if isinstance(key, str) else json.dumps(key, sort_keys=True, default=str)


def _truth(score: Any) -> Any:
    """1 and 0 for the words true and false."""
    words = {"true": 1.0, "false": 0.0}
    return words.get(score.strip().lower(), score) if isinstance(score, str) else score


def _chosen(size: int, options: RateOptions) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Which of the rows are used, in their order."""
    chosen = np.arange(size)
    if options.limit is not None:
        chosen = chosen[: options.limit]
    if options.sample is not None:
        if options.sample > chosen.size:
            raise InputError(
                f"--sample {options.sample} asks for more rows than the {chosen.size:,} there are"
            )
        rng = np.random.default_rng(options.seed)
        chosen = np.sort(rng.choice(chosen, options.sample, replace=False))
    return chosen


def _notes(rates: FloatArray, attempts: FloatArray | None) -> tuple[str, ...]:
    """Whether rates fit the attempts that are said to be behind them."""
    if attempts is None:
        return ()
    passes = rates * attempts
    odd = np.abs(passes - np.rint(passes)) > np.maximum(NEAR * attempts, 1e-6)
    if not odd.any():
        return ()
    rows = number_of(int(np.count_nonzero(odd)), "row")
    return (f"in {rows} rate x attempts is not a whole number: are the attempts right?",)
