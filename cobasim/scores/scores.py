"""Records -> numbers: accuracy at equal rollouts, intervals paired by seed, verdicts.

Everything here is a pure function.  A missing measurement is None (NaN inside arrays), never 0.
Accuracies are shares in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.errors import InputError
from cobasim.records import Run

Array = NDArray[np.float64]

ORACLE_PREFIX = "oracle-"
"""Allocators of this prefix were shown the true pass rates: an upper reference, no competitor."""

LEVEL = 0.05
"""Level of the tests; 1 - LEVEL is the coverage of the intervals."""


def is_oracle(allocator: str) -> bool:
    """Whether an allocator was shown the true pass rates."""
    return allocator.startswith(ORACLE_PREFIX)


# --- one run ---------------------------------------------------------------------------------


def accuracy_curve(run: Run, key: str = "heldout") -> tuple[Array, Array]:
    """Return cumulative rollouts and accuracy, (evaluations,) each, where ``key`` was evaluated."""
    points = [
        (step.rollouts, step.evaluation[key])
        for step in run.steps
        if step.evaluation is not None and step.evaluation.get(key) is not None
    ]
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def final_accuracy(run: Run, key: str = "heldout") -> float | None:
    """Return the accuracy at the last evaluation; None if never evaluated."""
    _, accuracy = accuracy_curve(run, key)
    return float(accuracy[-1]) if accuracy.size else None


def best_accuracy(run: Run, key: str = "heldout") -> float | None:
    """Return the highest accuracy of all evaluations; None if never evaluated."""
    _, accuracy = accuracy_curve(run, key)
    return float(accuracy.max()) if accuracy.size else None


def area_under_curve(run: Run, key: str = "heldout", rollouts: float | None = None) -> float | None:
    """Return the mean accuracy over rollouts: the trapezoid area divided by the span.

    rollouts: where to stop (interpolated; at most the run's last evaluation), so that runs of
    different lengths are compared at equal rollouts.  None with fewer than two evaluations, or
    if the run does not reach ``rollouts``.
    """
    x, y = accuracy_curve(run, key)
    if x.size < 2:
        return None
    if rollouts is not None:
        if not x[0] < rollouts <= x[-1]:
            return None
        inside = x < rollouts
        y = np.append(y[inside], np.interp(rollouts, x, y))
        x = np.append(x[inside], rollouts)
    return float(np.trapezoid(y, x) / (x[-1] - x[0]))


def rollouts_to_reach(run: Run, target: float, key: str = "heldout") -> float | None:
    """Return the rollouts at the first crossing of ``target``, linear between evaluations.

    None if the run never reaches it.
    """
    x, y = accuracy_curve(run, key)
    reached = np.flatnonzero(y >= target)
    if not reached.size:
        return None
    after = int(reached[0])
    if after == 0:
        return float(x[0])
    before = after - 1
    share = (target - y[before]) / (y[after] - y[before])
    return float(x[before] + share * (x[after] - x[before]))


def _mean_of(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def effective_ratio(run: Run) -> float | None:
    """Return the mean over steps of the share of groups with both outcomes."""
    return _mean_of(step.effective_ratio for step in run.steps)


def budget_gini(run: Run) -> float | None:
    """Return the mean over steps of the budgets' Gini coefficient (0 = all equal)."""
    return _mean_of(step.budget_gini for step in run.steps)


def allocate_ms(run: Run) -> float | None:
    """Return the mean milliseconds per step spent allocating."""
    return _mean_of(step.allocate_ms for step in run.steps)


def never_mixed(run: Run) -> float | None:
    """Return the last known share of visited prompts that never had a mixed group."""
    known = [step.never_mixed for step in run.steps if step.never_mixed is not None]
    return known[-1] if known else None


def transition_counts(run: Run) -> NDArray[np.int64] | None:
    """Return the (5, 5) counts of the last evaluation: rows = class at step 0, columns = then."""
    for step in reversed(run.steps):
        if step.evaluation is not None and step.evaluation.get("transitions") is not None:
            return np.array(step.evaluation["transitions"], dtype=np.int64)
    return None


def transition_shares(counts: ArrayLike) -> Array:
    """Divide (..., 5, 5) transition counts by their row sums (Figure 7 of arXiv 2602.03048).

    A row without prompts is NaN.
    """
    table = np.asarray(counts, dtype=np.float64)
    size = len(DIFFICULTY_CLASSES)
    if table.shape[-2:] != (size, size):
        raise InputError(f"transition counts have shape {table.shape}, expected (..., 5, 5)")
    totals = table.sum(axis=-1, keepdims=True)
    shares = np.full(table.shape, np.nan)
    np.divide(table, totals, out=shares, where=totals > 0)
    return shares


@dataclass(frozen=True)
class RunScores:
    """The numbers of one run; None = not measured."""

    weighting: str
    allocator: str
    seed: int
    oracle: bool
    steps: int
    rollouts: int
    first_heldout: float | None
    final_heldout: float | None
    best_heldout: float | None
    final_hard: float | None
    auc: float | None
    effective_ratio: float | None
    never_mixed: float | None
    budget_gini: float | None
    allocate_ms: float | None


def summarise(run: Run, rollouts: float | None = None) -> RunScores:
    """Score one run; ``rollouts`` limits the area under the curve (see area_under_curve)."""
    _, heldout = accuracy_curve(run)
    return RunScores(
        weighting=run.header.weighting,
        allocator=run.header.allocator,
        seed=run.header.seed,
        oracle=is_oracle(run.header.allocator),
        steps=run.steps[-1].step if run.steps else 0,
        rollouts=run.steps[-1].rollouts if run.steps else 0,
        first_heldout=float(heldout[0]) if heldout.size else None,
        final_heldout=final_accuracy(run),
        best_heldout=best_accuracy(run),
        final_hard=final_accuracy(run, "hard"),
        auc=area_under_curve(run, rollouts=rollouts),
        effective_ratio=effective_ratio(run),
        never_mixed=never_mixed(run),
        budget_gini=budget_gini(run),
        allocate_ms=allocate_ms(run),
    )


# --- over seeds ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Interval:
    """A mean over n seeds with its 95 % Student-t interval; low and high are None if n = 1."""

    mean: float
    low: float | None
    high: float | None
    n: int


def mean_interval(values: ArrayLike) -> Interval:
    """Return the mean of (n,) values with its 95 % Student-t interval.

    Raises ValueError for no values or for values that are not finite.
    """
    data = np.asarray(values, dtype=np.float64)
    if data.ndim != 1 or not data.size or not np.isfinite(data).all():
        raise InputError(
            f"got values {values!r}, expected a flat list of finite numbers, not empty"
        )
    mean = float(data.mean())
    if data.size == 1:
        return Interval(mean, None, None, 1)
    half = t_factor(data.size) * float(data.std(ddof=1)) / data.size**0.5
    return Interval(mean, mean - half, mean + half, data.size)


def t_factor(n: int) -> float:
    """Return the Student-t quantile of a two-sided 95 % interval over n >= 2 values."""
    return float(special.stdtrit(n - 1, 1 - LEVEL / 2))


def paired_difference(a: ArrayLike, b: ArrayLike) -> Interval:
    """Return the mean of a - b with its 95 % interval; (n,) values each, paired by position."""
    left, right = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if left.shape != right.shape:
        raise InputError(f"paired values have shapes {left.shape} and {right.shape}, expected one")
    return mean_interval(left - right)


def paired_p_value(a: ArrayLike, b: ArrayLike) -> float | None:
    """Return the two-sided p-value of the paired t-test; None if there are fewer than two pairs.

    Differences that are all the same number give 0 (or 1 if that number is zero).
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if differences.size < 2:
        return None
    mean, deviation = float(differences.mean()), float(differences.std(ddof=1))
    if deviation == 0.0:
        return 1.0 if mean == 0.0 else 0.0
    statistic = mean / (deviation / differences.size**0.5)
    return float(2 * special.stdtr(differences.size - 1, -abs(statistic)))


def as_p_values(found: Iterable[float | None]) -> list[float]:
    """Return p-values with 1 for each test that could not be made: it shows nothing."""
    return [1.0 if value is None else value for value in found]


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number by Holm's step-down rule (Holm 1979)."""
    order = np.argsort(p_values, kind="stable")
    count = len(order)
    factors = np.arange(count, 0, -1)
    sorted_values = np.asarray(p_values, dtype=np.float64)[order]
    adjusted = np.empty(count)
    adjusted[order] = np.minimum(np.maximum.accumulate(sorted_values * factors), 1.0)
    return [float(value) for value in adjusted]


def false_discovery(p_values: ArrayLike) -> Array:
    """Return p-values (...,) adjusted by Benjamini and Hochberg's rule (1995), over all of them.

    Of the differences called real at adjusted p < 5 %, at most 5 % are expected not to be.
    """
    values = np.asarray(p_values, dtype=np.float64)
    if not values.size:
        return values.copy()
    return np.asarray(stats.false_discovery_control(values.ravel())).reshape(values.shape)


def mean_ranks(values: ArrayLike) -> Array:
    """Return ranks (blocks, methods) of values (blocks, methods, seeds): 1 is the highest value.

    Ranks are taken within a block and a seed, ties averaged, then averaged over seeds.
    """
    ranks = np.asarray(stats.rankdata(-np.asarray(values, dtype=np.float64), axis=1))
    return np.asarray(ranks.mean(axis=2), dtype=np.float64)


def friedman(values: ArrayLike) -> tuple[float, float] | None:
    """Return Friedman's statistic and p-value for values (blocks, methods).

    None for fewer than three methods or two blocks, or if all values of every block are tied.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.shape[0] < 2 or table.shape[1] < 3 or bool(np.all(np.ptp(table, axis=1) == 0.0)):
        return None
    found = stats.friedmanchisquare(*table.T)
    return float(found.statistic), float(found.pvalue)


def critical_difference(methods: int, blocks: int) -> float:
    """Return Nemenyi's critical difference of mean ranks at 5 % (Demsar 2006, section 3.2.2)."""
    quantile = float(stats.studentized_range.ppf(1 - LEVEL, methods, np.inf)) / np.sqrt(2)
    return float(quantile * np.sqrt(methods * (methods + 1) / (6 * blocks)))


@dataclass(frozen=True)
class Row:
    """One allocator under one weighting, over its seeds; None = not measured or not comparable.

    Differences are to the baseline, paired by seed; the baseline's own are None.
    """

    weighting: str
    allocator: str
    oracle: bool
    """Was shown the true pass rates: a reference, never a winner."""
    baseline: bool
    seeds: tuple[int, ...]
    """Seeds with a held-out accuracy, in increasing order."""
    final_by_seed: tuple[float, ...]
    """Final held-out accuracy of each of ``seeds``."""
    heldout: Interval | None
    """Final held-out accuracy."""
    heldout_difference: Interval | None
    hard: Interval | None
    """Final accuracy on the harder held-out set."""
    hard_difference: Interval | None
    auc: Interval | None
    """Mean held-out accuracy over rollouts, up to where all runs of the weighting got."""
    auc_difference: Interval | None
    rollouts_to_baseline: float | None
    """Rollouts to the baseline's final accuracy of the same seed; mean over seeds that did."""
    reached_baseline: float | None
    """Share of the seeds that reached it."""
    effective_ratio: float | None
    never_mixed: float | None
    budget_gini: float | None
    allocate_ms: float | None
    rollouts: float
    """Rollouts of a run, mean over seeds."""


def comparison_table(runs: Iterable[Run], baseline: str = "uniform") -> list[Row]:
    """Score runs by weighting and allocator, paired with the baseline by seed.

    Rows come grouped by weighting, the baseline first and oracles last, otherwise in the order
    in which the runs name them.  Raises ValueError if a weighting, allocator and seed come twice.
    """
    table: dict[str, dict[str, dict[int, Run]]] = {}
    for run in runs:
        head = run.header
        seeds = table.setdefault(head.weighting, {}).setdefault(head.allocator, {})
        if head.seed in seeds:
            raise InputError(
                f"{seeds[head.seed].path} and {run.path} are both {head.allocator}, weighting "
                f"{head.weighting}, seed {head.seed}; compare runs of one setting at a time"
            )
        seeds[head.seed] = run
    rows = []
    for allocators in table.values():
        ends = [_last_evaluation(run) for seeds in allocators.values() for run in seeds.values()]
        common = min((end for end in ends if end is not None), default=None)
        scores = {
            name: {seed: summarise(run, common) for seed, run in sorted(seeds.items())}
            for name, seeds in allocators.items()
        }
        order = sorted(scores, key=lambda name: (name != baseline, is_oracle(name)))
        rows += [
            _row(name, baseline, allocators[name], scores[name], scores.get(baseline, {}))
            for name in order
        ]
    return rows


def _last_evaluation(run: Run) -> float | None:
    """Return where a run's curve ends; None if it has none (a run that was only just started)."""
    rollouts, _ = accuracy_curve(run)
    return float(rollouts[-1]) if rollouts.size > 1 else None


def _row(
    name: str,
    baseline: str,
    runs: Mapping[int, Run],
    own: Mapping[int, RunScores],
    reference: Mapping[int, RunScores],
) -> Row:
    def level(get: Callable[[RunScores], float | None]) -> Interval | None:
        values = [value for score in own.values() if (value := get(score)) is not None]
        return mean_interval(values) if values else None

    def difference(get: Callable[[RunScores], float | None]) -> Interval | None:
        if name == baseline:
            return None
        pairs = [(get(own[seed]), get(reference[seed])) for seed in own if seed in reference]
        values = [a - b for a, b in pairs if a is not None and b is not None]
        return mean_interval(values) if values else None

    reached = [
        rollouts_to_reach(runs[seed], target)
        for seed in own
        if seed in reference
        and own[seed].final_heldout is not None
        and (target := reference[seed].final_heldout) is not None
    ]
    finals = {
        seed: score.final_heldout for seed, score in own.items() if score.final_heldout is not None
    }
    return Row(
        weighting=next(iter(own.values())).weighting,
        allocator=name,
        oracle=is_oracle(name),
        baseline=name == baseline,
        seeds=tuple(finals),
        final_by_seed=tuple(finals.values()),
        heldout=level(lambda score: score.final_heldout),
        heldout_difference=difference(lambda score: score.final_heldout),
        hard=level(lambda score: score.final_hard),
        hard_difference=difference(lambda score: score.final_hard),
        auc=level(lambda score: score.auc),
        auc_difference=difference(lambda score: score.auc),
        rollouts_to_baseline=_mean_of(reached),
        reached_baseline=_mean_of([float(value is not None) for value in reached]),
        effective_ratio=_mean_of(score.effective_ratio for score in own.values()),
        never_mixed=_mean_of(score.never_mixed for score in own.values()),
        budget_gini=_mean_of(score.budget_gini for score in own.values()),
        allocate_ms=_mean_of(score.allocate_ms for score in own.values()),
        rollouts=float(np.mean([score.rollouts for score in own.values()])),
    )


# --- verdicts --------------------------------------------------------------------------------


def winner(rows: Iterable[Row]) -> tuple[str | None, list[str]]:
    """Return the winner among the rows of one weighting, and who is inside the noise of the best.

    The best is the highest mean final held-out accuracy; oracles do not compete.  It wins only
    if paired t-tests against every other allocator, Holm-corrected, all reject at 5 %.  The
    second value names the others that could not be told from the best (or, without two common
    seeds, not tested).
    """
    contenders = [row for row in rows if row.heldout is not None and not row.oracle]
    if len(contenders) < 2:
        return None, []
    best = max(contenders, key=_mean_heldout)
    others = [row for row in contenders if row is not best]
    p_values = [_row_p_value(best, other) for other in others]
    adjusted = holm(as_p_values(p_values))
    close = [
        row.allocator for row, value in zip(others, adjusted, strict=True) if not value < LEVEL
    ]
    return (None if close else best.allocator), close


def _mean_heldout(row: Row) -> float:
    return row.heldout.mean if row.heldout is not None else -np.inf


def _row_p_value(one: Row, other: Row) -> float | None:
    left = dict(zip(one.seeds, one.final_by_seed, strict=True))
    right = dict(zip(other.seeds, other.final_by_seed, strict=True))
    common = sorted(left.keys() & right.keys())
    return paired_p_value([left[seed] for seed in common], [right[seed] for seed in common])


def verdict(rows: Sequence[Row]) -> dict[str, str]:
    """Return one sentence or two per weighting on who won, if anybody can be said to have.

    See ``winner`` for the rule.
    """
    weightings = dict.fromkeys(row.weighting for row in rows)
    return {name: _sentence([row for row in rows if row.weighting == name]) for name in weightings}


def _sentence(rows: Sequence[Row]) -> str:
    contenders = [row for row in rows if row.heldout is not None and not row.oracle]
    if not contenders:
        return "Nothing was evaluated yet."
    best = max(contenders, key=_mean_heldout)
    seeds = len(best.seeds)
    level = f"{100 * _mean_heldout(best):.2f} %"
    if len(contenders) == 1:
        return (
            f"Only {best.allocator} was run ({level}), oracles aside: there is nothing to compare."
        )
    first, close = winner(rows)
    if min(len(row.seeds) for row in contenders) < 2:
        text = (
            f"No winner is named: {best.allocator} has the highest final held-out accuracy "
            f"({level}), but with one seed the noise is not known."
        )
    elif first is not None:
        text = (
            f"{first} wins: its final held-out accuracy ({level}, {seeds} seeds) is above that of "
            "every other allocator beyond the noise (paired t-tests, Holm-corrected, 5 %)."
        )
    else:
        text = (
            f"No winner is named: {best.allocator} has the highest final held-out accuracy "
            f"({level}, {seeds} seeds), but {_listed(close)} {'is' if len(close) == 1 else 'are'} "
            "inside the noise of it (paired t-tests, Holm-corrected, 5 %)."
        )
    spent = [row.rollouts for row in contenders]
    if max(spent) > 1.01 * min(spent):
        text += " Careful: the runs are not of equal length, so final accuracies differ in cost."
    return text


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
