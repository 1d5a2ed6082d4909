"""A model of how long a run would take on a cluster, from its records. Pure.

Rollouts are not the only cost: every round waits for its longest response, and what is trained on
is paid for again. So allocators can also be compared at equal time, under numbers that are stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cobasim.errors import InputError
from cobasim.records import Run

Array = NDArray[np.float64]


@dataclass(frozen=True)
class WallTime:
    """Seconds of a step: rounds x latency + generated / rate + trained / rate + overhead.

    The defaults are round numbers for a step of a few thousand long responses on one node, not a
    measurement: about a third each for waiting on the tail, generating and training at 8192
    rollouts. Give your own.

    Attributes:
        round_latency: seconds that a round takes beyond its throughput: its longest response.
        generated_per_second: rollouts sampled in a second when the engine is full.
        trained_per_second: rollouts that the update goes through in a second.
        step_overhead: seconds of a step for weights to the engine, rewards and the like.
    """

    round_latency: float = 60.0
    generated_per_second: float = 100.0
    trained_per_second: float = 100.0
    step_overhead: float = 10.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            rate = name.endswith("per_second")
            if not (value > 0.0 if rate else value >= 0.0) or not np.isfinite(value):
                wanted = "above 0" if rate else "at least 0"
                raise InputError(f"{name} must be a finite number {wanted}, got {value}")

    def seconds(self, run: Run) -> Array:
        """Modelled seconds since the start of the run, (records,), evaluation not counted.

        A record that does not say otherwise is of one round of rollouts of mean length, all of
        which were trained on.
        """
        rollouts = np.array([step.rollouts for step in run.steps], dtype=np.float64)
        number = np.diff(rollouts, prepend=0.0)
        pairs = list(zip(run.steps, number, strict=True))
        generated = np.array([step.learner.get("tokens", each) for step, each in pairs])
        rounds = np.array([step.rounds or 1 for step in run.steps])
        trained = np.array(
            [
                each if step.trained_rollouts is None else step.trained_rollouts
                for step, each in pairs
            ]
        )
        updates = np.diff([float(step.step) for step in run.steps], prepend=0.0)  # 0 at the start
        each = updates * (rounds * self.round_latency + self.step_overhead)
        each += generated / self.generated_per_second + trained / self.trained_per_second
        return np.asarray(np.cumsum(each))


def accuracy_at(run: Run, seconds: float, model: WallTime, key: str = "heldout") -> float | None:
    """Accuracy after ``seconds`` of modelled time, linear between evaluations.

    None where the run does not reach so far, or was never evaluated.
    """
    times, accuracy = curve(run, model, key)
    if not times.size or not times[0] <= seconds <= times[-1]:
        return None
    return float(np.interp(seconds, times, accuracy))


def curve(run: Run, model: WallTime, key: str = "heldout") -> tuple[Array, Array]:
    """Modelled seconds and accuracy, (evaluations,) each; as ``scores.accuracy_curve``."""
    points = [
        (at, step.evaluation[key])
        for at, step in zip(model.seconds(run), run.steps, strict=True)
        if step.evaluation is not None and step.evaluation.get(key) is not None
    ]
    table = np.array(points, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]
