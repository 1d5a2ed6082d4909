"""The accuracy curve of one run, and the numbers read off it."""

from __future__ import annotations

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.records import Run


def evaluated(run: Run, key: str = "heldout") -> tuple[list[int], FloatArray]:
    """Return where ``key`` was evaluated: positions in ``run.steps``, and accuracies."""
    shares = {
        position: step.evaluation[key]
        for position, step in enumerate(run.steps)
        if step.evaluation is not None and step.evaluation.get(key) is not None
    }
    return list(shares), np.array(list(shares.values()), dtype=np.float64)


def accuracy_curve(run: Run, key: str = "heldout") -> tuple[FloatArray, FloatArray]:
    """Return cumulative rollouts and accuracy, (evaluations,) each, where ``key`` was evaluated."""
    positions, accuracy = evaluated(run, key)
    return np.array([run.steps[at].rollouts for at in positions], dtype=np.float64), accuracy


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
