"""A model of how long a run would take on a cluster, from its records.

Rollouts are not the only cost: every round waits for its longest response, and whatever is
trained on costs again. This model lets allocators be compared at equal time as well, under
numbers that are stated.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.records import Run
from cobasim.scores.curves import evaluated


@dataclass(frozen=True)
class WallTime:
    """Seconds of a step: rounds x latency + generated / rate + trained / rate + overhead.

    The defaults are round numbers for a step of a few thousand long responses on one node, not a
    measurement: at 8192 rollouts, waiting for the longest responses, generating and training take
    about a third each. Give your own.

    Attributes:
        round_latency: seconds that a round takes beyond its throughput: its longest response.
        generated_per_second: rollouts sampled per second when the engine is full.
        trained_per_second: rollouts that the update processes per second.
        step_overhead: seconds per step for sending weights to the engine, rewards and so on.
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

    def seconds(self, run: Run) -> FloatArray:
        """Modelled seconds since the start of the run, (records,); evaluation is not counted.

        Unless a record says otherwise, its rollouts came in one round, had mean length, and were
        all trained on.
        """
        rollouts = np.array([step.rollouts for step in run.steps], dtype=np.float64)
        pairs = list(zip(run.steps, np.diff(rollouts, prepend=0.0), strict=True))
        generated = np.array([step.learner.get("tokens", number) for step, number in pairs])
        rounds = np.array([step.rounds or 1 for step in run.steps])
        trained = np.array(
            [
                number if step.trained_rollouts is None else step.trained_rollouts
                for step, number in pairs
            ]
        )
        updates = np.diff([float(step.step) for step in run.steps], prepend=0.0)  # 0 at the start
        seconds = updates * (rounds * self.round_latency + self.step_overhead)
        seconds += generated / self.generated_per_second + trained / self.trained_per_second
        return np.asarray(np.cumsum(seconds))


def wall_time_curve(
    run: Run, model: WallTime, key: str = "heldout"
) -> tuple[FloatArray, FloatArray]:
    """Modelled seconds and accuracy, (evaluations,) each, where ``key`` was evaluated."""
    positions, accuracy = evaluated(run, key)
    return model.seconds(run)[positions], accuracy
