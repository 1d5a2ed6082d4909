"""A batch of prompts as the app composes it, and the budgets it gets as a file."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cobasim.allocation import Observation
from cobasim.arrays import FloatArray
from cobasim.data import read_pass_rates
from cobasim.errors import InputError
from cobasim.records import Run, StepRecord
from cobasim.whatif import Outcome


def estimate_rates(true: FloatArray, rollouts: int | None, rng: np.random.Generator) -> FloatArray:
    """Estimates (m,) from pass counts of ``rollouts`` rollouts per prompt; None: the true rates."""
    if rollouts is None:
        return true
    return np.asarray(rng.binomial(rollouts, true) / rollouts)


def mark_unseen(size: int, percent: float, rng: np.random.Generator) -> FloatArray:
    """Attempts (size,): 0 for so many percent of the prompts, drawn at random, and 1 for others."""
    attempts = np.ones(size)
    attempts[rng.permutation(size)[: round(size * percent / 100)]] = 0.0
    return attempts


def nearest_step(run: Run, number: int) -> StepRecord:
    """The recorded step with budgets that is nearest to ``number``. InputError if none has any."""
    steps = [step for step in run.steps if step.bins is not None]
    if not steps:
        raise InputError("this run has not recorded any budgets yet; choose another run")
    return min(steps, key=lambda step: abs(step.step - number))


def read_upload(name: str, content: bytes) -> FloatArray:
    """Pass rates (m,) of an uploaded file. Raises InputError with the file's name."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("upload" + Path(name).suffix)
        path.write_bytes(content)
        try:
            return read_pass_rates(str(path))
        except InputError as error:
            raise InputError(str(error).replace(str(path), name)) from None


def budgets_csv(obs: Observation, outcomes: Sequence[Outcome]) -> str:
    """One row per prompt: pass rate, attempts, and the budget from each allocator."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["pass_rate", "attempts", *(outcome.allocator for outcome in outcomes)])
    columns = [outcome.budgets.tolist() for outcome in outcomes]
    writer.writerows(zip(obs.pass_rate.tolist(), obs.attempts.tolist(), *columns, strict=True))
    return text.getvalue()
