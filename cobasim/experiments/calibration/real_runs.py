"""Real runs, reduced to the curves that a simulated world is fitted to and compared by."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.loop import LoopConfig
from cobasim.records import CHANGES_FILE, Run, StepRecord
from cobasim.runs import BASELINE
from cobasim.scores import accuracy_curve, late_gradient_norm
from cobasim.settings import validated

BLOCKS = 4
CURVES = ("heldout", "failure_rate", "mixed")
LABELS = {"failure_rate": "failure rate", "mixed": "share of mixed groups"}
FLOOR = {"heldout": 0.01, "failure_rate": 0.02, "mixed": 0.02, "norm": 0.1}
"""Least standard errors of the targets: what a world with a few knobs need not resolve."""

Key = tuple[str, str]
"""Allocator and weighting."""


@dataclass(frozen=True)
class Series:
    """What one run is compared by.

    Attributes:
        heldout: (evaluations,) held-out accuracy minus the first one.
        failure_rate: (BLOCKS,) means over blocks of steps.
        mixed: (BLOCKS,) share of mixed groups.
        norm: mean gradient norm of the second half; NaN if it was not recorded.
        final: final held-out accuracy.
    """

    heldout: FloatArray
    failure_rate: FloatArray
    mixed: FloatArray
    norm: float
    final: float

    @classmethod
    def of(cls, records: Sequence[StepRecord]) -> Series:
        """Of the records of one finished run."""
        accuracy = np.array([r.evaluation["heldout"] for r in records if r.evaluation is not None])
        steps = [record for record in records if record.step > 0]
        return cls(
            heldout=accuracy[1:] - accuracy[0],
            failure_rate=_blocks([record.failure_rate for record in steps]),
            mixed=_blocks([record.mixed_share for record in steps]),
            norm=late_gradient_norm(records),
            final=float(accuracy[-1]),
        )


def _blocks(values: Sequence[float | None]) -> FloatArray:
    """(BLOCKS,) means over what is known; NaN of a block without."""
    known = np.array([np.nan if value is None else value for value in values])
    parts = (part[~np.isnan(part)] for part in np.array_split(known, BLOCKS))
    return np.array([part.mean() if part.size else np.nan for part in parts])


def _series_of(run: Run) -> Series:
    """Of a finished real run. Raises InputError if a block of its steps has no numbers."""
    series = Series.of(run.steps)
    for name in ("failure_rate", "mixed"):
        empty = int(np.count_nonzero(np.isnan(getattr(series, name))))
        if empty:
            raise InputError(
                f"{run.header.allocator}, seed {run.header.seed}: {empty} of {BLOCKS} parts of its "
                f"{len(run.steps) - 1} steps have no {LABELS[name]}: a fit needs some in each"
            )
    return series


@dataclass(frozen=True)
class RealRuns:
    """Real runs, grouped and checked: the same settings and seeds.

    Attributes:
        loop: their loop, as in the header.
        series: (allocator, weighting) -> seed -> Series.
        uniform: the key of the uniform runs.
        rates: uniform runs at other learning rates: factor -> seed -> Series.
    """

    loop: LoopConfig
    series: dict[Key, dict[int, Series]]
    uniform: Key
    rates: dict[float, dict[int, Series]]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> RealRuns:
        """Group real runs.

        Raises InputError for fewer than two seeds of uniform; if loops differ; if a run was changed
        on the way, is not finished, has fewer than two evaluations or too few steps; if an
        adaptive run has another learning rate than most, or no seed in common with uniform.
        """
        loop = _common_loop(runs)
        every_rate = [_learning_rate(run) for run in runs]
        usual_rate = max(set(every_rate), key=every_rate.count)
        grouped: dict[Key, dict[int, Series]] = {}
        rates: dict[float, dict[int, Series]] = {}
        for run in runs:
            head = run.header
            _check_finished(run, loop)
            series = _series_of(run)
            factor = float(f"{_learning_rate(run) / usual_rate:.6g}")
            if factor == 1.0:
                grouped.setdefault((head.allocator, head.weighting), {})[head.seed] = series
            elif head.allocator == BASELINE:
                rates.setdefault(factor, {})[head.seed] = series
            else:
                raise InputError(
                    f"{head.allocator}, seed {head.seed}: learning rate {factor:g} times that of "
                    "most runs; only uniform runs may differ in it"
                )
        return cls(loop, grouped, _uniform(grouped), dict(sorted(rates.items())))

    @property
    def others(self) -> list[Key]:
        """The adaptive runs."""
        return [key for key in self.series if key != self.uniform]

    @property
    def know_norms(self) -> bool:
        """Whether all runs recorded gradient norms; imported logs did not."""
        groups = self.series.values()
        return all(math.isfinite(run.norm) for group in groups for run in group.values())

    def targets(self, with_norms: bool, seeds: Sequence[int] | None = None) -> FloatArray:
        """(2, t): means of the curves over seeds, and their standard errors.

        Args:
            with_norms: also the gradient norms of adaptive runs over uniform's (logarithms).
            seeds: of uniform, repeats allowed, as a bootstrap draws them; None: all.
        """
        mean, error = [], []
        for group in (self.series[self.uniform], *self.rates.values()):
            own = [seed for seed in seeds or () if seed in group] or list(group)
            for name in CURVES:
                curves = {seed: getattr(series, name) for seed, series in group.items()}
                sem: FloatArray | float = 0.0
                if len(curves) > 1:
                    sem = np.std(list(curves.values()), axis=0, ddof=1) / math.sqrt(len(curves))
                mean.append(np.mean([curves[seed] for seed in own], axis=0))
                error.append(np.maximum(sem, np.full(mean[-1].shape, FLOOR[name])))
        if with_norms:
            for key in self.others:
                ratios = self._norm_ratios(key, seeds)
                mean.append(np.array([np.mean(ratios)]))
                spread = float(np.std(ratios, ddof=1)) if len(ratios) > 1 else 0.0
                error.append(np.array([max(spread / math.sqrt(len(ratios)), FLOOR["norm"])]))
        return np.stack([np.concatenate(mean), np.concatenate(error)])

    def _norm_ratios(self, key: Key, seeds: Sequence[int] | None) -> list[float]:
        base, own = self.series[self.uniform], self.series[key]
        both = [seed for seed in own if seed in base]
        shared = [seed for seed in seeds or () if seed in both] or both
        return [log_ratio(own[seed].norm, base[seed].norm) for seed in shared]


def log_ratio(a: float, b: float) -> float:
    """log(a / b) of gradient norms, which are 0 once nothing is learned any more."""
    return math.log(max(a, 1e-6) / max(b, 1e-6))


def _common_loop(runs: Sequence[Run]) -> LoopConfig:
    loops = {json.dumps(run.header.config.get("loop"), sort_keys=True) for run in runs}
    if len(loops) != 1:
        raise InputError(
            f"the runs have {len(loops)} different loops (batch, budget, steps); calibrate on "
            "the runs of one comparison"
        )
    loop = json.loads(loops.pop()) or {}
    unknown = [name for name in ("steps", "batch_size") if loop.get(name, 1) is None]
    if unknown:
        raise InputError(
            f"the runs' headers do not say {' and '.join(unknown)}, as those that a BudgetLedger "
            "recorded: calibrate on runs of `cobatrain compare`, or on imported logs"
        )
    return validated(LoopConfig, loop)


def _check_finished(run: Run, loop: LoopConfig) -> None:
    name = f"{run.header.allocator}, seed {run.header.seed}"
    last = run.steps[-1] if run.steps else None
    if (run.path / CHANGES_FILE).is_file():
        raise InputError(f"{name}: its settings were changed on the way ({CHANGES_FILE})")
    if last is None or not loop.finished(last.step, last.rollouts, last.tokens):
        raise InputError(f"{name}: the run is not finished; resume it, or leave it out")
    evaluations = accuracy_curve(run)[0].size
    if evaluations < 2:
        raise InputError(f"{name}: fewer than two evaluations")
    expected = 1 + -(-loop.steps // loop.eval_every)
    if run.header.allocator == BASELINE and evaluations != expected:
        raise InputError(
            f"{name}: {evaluations} evaluations, expected {expected}: before the first step, every "
            f"{loop.eval_every} steps and at the end"
        )


def _uniform(grouped: dict[Key, dict[int, Series]]) -> Key:
    uniform = next((key for key in grouped if key[0] == BASELINE), None)
    if uniform is None:
        raise InputError("there is no uniform run: give some, the world is fitted to them")
    if len(grouped[uniform]) < 2:
        raise InputError("standard errors need at least two seeds of uniform, got one")
    for (allocator, weighting), group in grouped.items():
        if not group.keys() & grouped[uniform].keys():
            raise InputError(f"{allocator} per {weighting} has no seed in common with uniform")
    return uniform


def _learning_rate(run: Run) -> float:
    """Of the update of a real run; of the world of a simulated one."""
    config = run.header.config
    rate = (config.get("update") or config.get("world") or {}).get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else 1.0
