"""The scores of one run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cobasim.records import UNSEEN, Run
from cobasim.scores.curves import accuracy_curve, area_under_curve, best_accuracy, final_accuracy
from cobasim.scores.oracles import is_oracle


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
    """Mean held-out accuracy over rollouts."""
    mixed_share: float | None
    """Share of mixed groups, mean over steps."""
    never_mixed: float | None
    """Last known share of visited prompts that never had a mixed group."""
    budget_gini: float | None
    """Gini coefficient of the budgets (0 = all equal), mean over steps."""
    allocate_ms: float | None
    """Milliseconds per step spent allocating, median over steps: the first one imports."""
    tokens: float | None = None
    """Response tokens of a run with a budget of tokens; None: it had one of rollouts."""


def summarise(run: Run, rollouts: float | None = None) -> RunScores:
    """Score one run; ``rollouts`` limits the area under the curve (see area_under_curve)."""
    _, heldout = accuracy_curve(run)
    never_mixed = [step.never_mixed for step in run.steps if step.never_mixed is not None]
    spent = [step.allocate_ms for step in run.steps if step.allocate_ms is not None]
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
        mixed_share=mean_of_known(step.mixed_share for step in run.steps),
        never_mixed=never_mixed[-1] if never_mixed else None,
        budget_gini=mean_of_known(step.budget_gini for step in run.steps),
        allocate_ms=float(np.median(spent)) if spent else None,
        tokens=_budgeted_tokens(run),
    )


def known_share(run: Run) -> float | None:
    """Share of a run's budgets that were given with an estimate of the prompt's pass rate.

    0: no prompt was visited twice yet. None: not recorded.
    """
    counts = [step.bins["prompts"] for step in run.steps if step.bins is not None]
    total = sum(map(sum, counts))
    return 1.0 - sum(each[UNSEEN] for each in counts) / total if total else None


def _budgeted_tokens(run: Run) -> float | None:
    loop = run.header.config.get("loop")
    budget = loop.get("token_budget") if isinstance(loop, dict) else None
    return None if budget is None or not run.steps else run.steps[-1].tokens


def mean_of_known(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None; None if all are."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None
