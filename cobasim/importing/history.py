"""From the steps of a log to the records of a run: what was believed, what was spent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from cobasim.account import Coverage, step_numbers
from cobasim.allocation import (
    CapabilityWindow,
    Observation,
    make_estimator,
    measured_failure_rate,
)
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.importing.collecting import LoggedStep
from cobasim.loop import LoopConfig
from cobasim.records import StepRecord

ESTIMATOR = "last"
"""How pass rates are estimated: by the last visit of the prompt."""
WINDOW = int(LoopConfig.model_fields["window"].default)
"""Steps in the moving average of the failure rate."""


def step_records(
    steps: Sequence[LoggedStep], num_prompts: int, accuracy: Mapping[int, float]
) -> Iterator[StepRecord]:
    """One record for each step that has rollouts, an evaluation, or both.

    Args:
        steps: of the log, in order.
        num_prompts: distinct prompts of all steps.
        accuracy: held-out accuracy by step.
    """
    by_step = {step.step: step for step in steps}
    estimator = make_estimator(ESTIMATOR, num_prompts)
    capability = CapabilityWindow(WINDOW)
    coverage = Coverage(num_prompts)
    rollouts = 0
    for number in sorted({*by_step, *accuracy}):
        evaluation = {"heldout": accuracy[number]} if number in accuracy else None
        step = by_step.get(number)
        if step is None:
            yield StepRecord(number, rollouts, evaluation=evaluation)
            continue
        believed = estimator.estimate(step.prompts)
        obs = Observation(
            believed.pass_rate, believed.attempts, capability.mean, prompts=step.prompts
        )
        failure_rate = measured_failure_rate(step.passes, step.budgets)
        estimator.update(*by_prompt(step))
        if failure_rate is not None:
            capability.append(failure_rate)
        coverage.add(step.prompts, step.budgets, step.passes)
        rollouts += step.rollouts
        yield StepRecord(
            number,
            rollouts,
            failure_rate=failure_rate,
            never_mixed=coverage.never_mixed,
            evaluation=evaluation,
            learner=_learner_numbers(step),
            **step_numbers(obs, step.budgets, step.passes),
        )


def by_prompt(step: LoggedStep) -> tuple[IntArray, IntArray, IntArray]:
    """Distinct prompts of a step, with the rollouts and passes of all groups of each."""
    prompts, group = np.unique(step.prompts, return_inverse=True)
    budgets = np.zeros(prompts.size, dtype=np.int64)
    passes = np.zeros(prompts.size, dtype=np.int64)
    np.add.at(budgets, group, step.budgets)
    np.add.at(passes, group, step.passes)
    return prompts, budgets, passes


def _learner_numbers(step: LoggedStep) -> dict[str, float]:
    numbers = {"reward": float(step.rewards @ step.budgets / step.rollouts)}
    if not np.isnan(step.lengths).all():
        numbers["response_length"] = _mean(step.lengths, step.budgets)
    return numbers


def _mean(values: FloatArray, weights: IntArray) -> float:
    """Mean over rollouts of values of groups; NaN = not known."""
    known = ~np.isnan(values)
    return float(values[known] @ weights[known] / weights[known].sum())


def loop_settings(
    steps: Sequence[LoggedStep],
    accuracy: Mapping[int, float],
    bounds: tuple[int | None, int | None] = (None, None),
) -> dict[str, Any]:
    """The settings of the loop as far as a log shows them, for ``LoopConfig``.

    Args:
        steps: of the log, in order.
        accuracy: held-out accuracy by step.
        bounds: least and largest budget that the trainer allowed; None: as logged.

    Sizes that vary from step to step are means, rounded down: the run then spent at least steps x
    total_budget rollouts. ``eval_every`` is left out if evaluations are not evenly spaced.

    Raises InputError if budgets of the log are outside the bounds.
    """
    budgets = np.concatenate([step.budgets for step in steps])
    batch = budgets.size // len(steps)
    least, most = int(budgets.min()), int(budgets.max())
    low = least if bounds[0] is None else bounds[0]
    high = most if bounds[1] is None else bounds[1]
    if not low <= least <= most <= high:
        raise InputError(
            f"the log has budgets of {least} to {most} rollouts, outside --low {low} and --high "
            f"{high}"
        )
    settings: dict[str, Any] = {
        "steps": steps[-1].step,
        "batch_size": batch,
        "total_budget": min(int(budgets.sum()) // len(steps), batch * high),
        "low": low,
        "high": high,
        "window": WINDOW,
    }
    every = eval_every([step for step in accuracy if step > 0], steps[-1].step)
    return settings if every is None else settings | {"eval_every": every}


def eval_every(evaluated: Sequence[int], last: int) -> int | None:
    """The distance of evaluations that come at every so many steps and at the end; else None."""
    if not evaluated:
        return None
    every = min(evaluated)
    return every if sorted(evaluated) == sorted({*range(every, last + 1, every), last}) else None
