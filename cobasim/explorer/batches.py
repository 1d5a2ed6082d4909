"""A batch of prompts as the app composes it, and the budgets it gets as a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import numpy as np

from cobasim.allocation import Observation
from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.records import Run, StepRecord
from cobasim.whatif import Outcome

EXACT = 1e6  # attempts that a true pass rate is presented with


def estimated(
    true: FloatArray, rollouts: int | None, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Estimates and attempts (m,) from ``rollouts`` rollouts per prompt; None: the true rates."""
    if rollouts is None:
        return true, np.full(true.shape, EXACT)
    return rng.binomial(rollouts, true) / rollouts, np.full(true.shape, float(rollouts))


def mark_unseen(attempts: FloatArray, percent: float, rng: np.random.Generator) -> FloatArray:
    """Attempts (m,) with 0 for so many percent of the prompts, drawn at random."""
    marked = attempts.copy()
    marked[rng.permutation(marked.size)[: round(marked.size * percent / 100)]] = 0.0
    return marked


def nearest_step(run: Run, number: int) -> StepRecord:
    """The recorded step with budgets that is nearest to ``number``. InputError if none has any."""
    steps = [step for step in run.steps if step.bins is not None]
    if not steps:
        raise InputError("this run has not recorded any budgets yet; choose another run")
    return min(steps, key=lambda step: abs(step.step - number))


def budgets_csv(obs: Observation, outcomes: Sequence[Outcome]) -> str:
    """One row per prompt: pass rate, attempts, and the budget from each allocator."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["pass_rate", "attempts", *(outcome.allocator for outcome in outcomes)])
    columns = [outcome.budgets.tolist() for outcome in outcomes]
    writer.writerows(zip(obs.pass_rate.tolist(), obs.attempts.tolist(), *columns, strict=True))
    return text.getvalue()
