"""Runs -> one row per weighting and allocator, paired with a baseline by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from cobasim.errors import InputError
from cobasim.records import Run
from cobasim.scores.curves import accuracy_curve, rollouts_to_reach
from cobasim.scores.intervals import Interval, mean_interval
from cobasim.scores.oracles import is_oracle
from cobasim.scores.run_scores import RunScores, known_share, mean_of_known, summarise


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
    """Mean held-out accuracy over rollouts, up to the shortest run of the weighting."""
    auc_difference: Interval | None
    rollouts_to_baseline: float | None
    """Rollouts to the baseline's final accuracy of the same seed; mean over the seeds that
    reach it."""
    reached_baseline: float | None
    """Share of the seeds that reach it."""
    mixed_share: float | None
    """Share of mixed groups."""
    never_mixed: float | None
    budget_gini: float | None
    allocate_ms: float | None
    rollouts: float
    """Rollouts of a run, mean over seeds."""
    tokens: float | None = None
    """Response tokens of a run, likewise, where runs had a budget of tokens."""
    known_share: float | None = None
    """Share of the budgets given with an estimate of the prompt; 0: nothing was visited twice."""


def comparison_table(runs: Iterable[Run], baseline: str = "uniform") -> list[Row]:
    """Score runs by weighting and allocator, paired with the baseline by seed.

    Rows come grouped by weighting, the baseline first and oracles last, otherwise in the order
    in which the runs name them.  Raises InputError if a weighting, allocator and seed come twice.
    """
    rows = []
    for allocators in _grouped(runs).values():
        ends = [_last_evaluation(run) for seeds in allocators.values() for run in seeds.values()]
        common = min((end for end in ends if end is not None), default=None)
        scored = {
            name: {
                seed: _Scored(run, summarise(run, common)) for seed, run in sorted(seeds.items())
            }
            for name, seeds in allocators.items()
        }
        reference = scored.get(baseline, {})
        order = sorted(scored, key=lambda name: (name != baseline, is_oracle(name)))
        rows += [_row(scored[name], reference, is_baseline=name == baseline) for name in order]
    return rows


@dataclass(frozen=True)
class _Scored:
    run: Run
    scores: RunScores


def _grouped(runs: Iterable[Run]) -> dict[str, dict[str, dict[int, Run]]]:
    """Group runs by weighting, allocator and seed; each combination may come once."""
    groups: dict[str, dict[str, dict[int, Run]]] = {}
    for run in runs:
        head = run.header
        seeds = groups.setdefault(head.weighting, {}).setdefault(head.allocator, {})
        if head.seed in seeds:
            raise InputError(
                f"{seeds[head.seed].path} and {run.path} are both {head.allocator}, weighting "
                f"{head.weighting}, seed {head.seed}; compare runs of one setting at a time"
            )
        seeds[head.seed] = run
    return groups


def _last_evaluation(run: Run) -> float | None:
    """Return where a run's curve ends; None if it has none (a run that was only just started)."""
    rollouts, _ = accuracy_curve(run)
    return float(rollouts[-1]) if rollouts.size > 1 else None


def _row(own: Mapping[int, _Scored], reference: Mapping[int, _Scored], *, is_baseline: bool) -> Row:
    """Make the row of one allocator from its runs and the baseline's, by seed."""
    scores = [item.scores for item in own.values()]

    def level(get: Callable[[RunScores], float | None]) -> Interval | None:
        values = [value for score in scores if (value := get(score)) is not None]
        return mean_interval(values) if values else None

    def difference(get: Callable[[RunScores], float | None]) -> Interval | None:
        if is_baseline:
            return None
        pairs = [
            (get(item.scores), get(reference[seed].scores))
            for seed, item in own.items()
            if seed in reference
        ]
        values = [a - b for a, b in pairs if a is not None and b is not None]
        return mean_interval(values) if values else None

    reached = [
        rollouts_to_reach(item.run, target)
        for seed, item in own.items()
        if seed in reference
        and item.scores.final_heldout is not None
        and (target := reference[seed].scores.final_heldout) is not None
    ]
    finals = {
        score.seed: score.final_heldout for score in scores if score.final_heldout is not None
    }
    return Row(
        weighting=scores[0].weighting,
        allocator=scores[0].allocator,
        oracle=scores[0].oracle,
        baseline=is_baseline,
        seeds=tuple(finals),
        final_by_seed=tuple(finals.values()),
        heldout=level(lambda score: score.final_heldout),
        heldout_difference=difference(lambda score: score.final_heldout),
        hard=level(lambda score: score.final_hard),
        hard_difference=difference(lambda score: score.final_hard),
        auc=level(lambda score: score.auc),
        auc_difference=difference(lambda score: score.auc),
        rollouts_to_baseline=mean_of_known(reached),
        reached_baseline=mean_of_known([float(value is not None) for value in reached]),
        mixed_share=mean_of_known(score.mixed_share for score in scores),
        never_mixed=mean_of_known(score.never_mixed for score in scores),
        budget_gini=mean_of_known(score.budget_gini for score in scores),
        allocate_ms=mean_of_known(score.allocate_ms for score in scores),
        rollouts=float(np.mean([score.rollouts for score in scores])),
        tokens=mean_of_known(score.tokens for score in scores),
        known_share=mean_of_known(known_share(item.run) for item in own.values()),
    )
