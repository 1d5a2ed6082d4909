"""What a comparison would find, predicted by the measured world of its model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.errors import InputError
from cobasim.gradients import MeasuredGradients, read_measured_files
from cobasim.loop import Loop
from cobasim.records import Run
from cobasim.runs import CompareConfig, settle
from cobasim.scores import late_gradient_norm
from cobasim.settings import validated
from cobasim.world import MEASURED
from cobatrain.comparison.plan import ALIKE, Plan
from cobatrain.comparison.translation import TAKEN_OVER, check_translatable
from cobatrain.config import TrainConfig

SIZE = "train_size"  # of a generated task: the one setting in which it may differ


def predicted(
    plan: Plan, files: str, seeds: int, settings: Mapping[str, Any] | None = None
) -> CompareConfig:
    """The simulated comparison of the same loop, update, allocators and weightings.

    Args:
        plan: the real comparison.
        files: of ``cobatrain gradients`` with the same model and task, comma-separated.
        seeds: simulated ones.
        settings: of the world, in place of what follows from the plan.

    Raises InputError for a file of another model or task, for a weighting per token, and for every
    other setting that a measured world has not (``check_translatable``).
    """
    config = plan.config
    measured = read_measured_files(files)[0]
    _check_same(measured, config, files)
    other = [name for name in plan.weightings if name not in ALIKE]
    if other:
        raise InputError(
            f"a measured world weighs prompts per rollout or per prompt, not per {other[0]}: the "
            "lengths of wrong responses are not in the file (docs/measured.md)"
        )
    loop = config.loop.model_dump()
    known = {name: loop[name] for name in loop if f"loop.{name}" in TAKEN_OVER}
    norm = config.update.max_grad_norm
    world = {
        "world": f"{MEASURED}{files}",
        "num_prompts": _pool(measured, config),
        "update": config.update.advantage,
        "learning_rate": config.update.learning_rate,
        "warmup_steps": config.update.warmup_steps,
        "clip_norm": 1e300 if norm is None else norm,
    }
    values = settle(
        "quick",
        {**known, **world, **config.parameters, **(settings or {})},
        allocators=plan.allocators,
        weightings=plan.weightings,
        seeds=seeds,
    )
    return validated(CompareConfig, values)


def remarks(config: TrainConfig, files: str) -> list[str]:
    """What a reader of a prediction must know of the run and the files, in a line each."""
    lines = []
    measured = read_measured_files(files)
    if measured[-1].step >= config.loop.steps:
        lines.append(
            f"features of step {measured[-1].step} come too late for a run of {config.loop.steps} "
            "steps to learn by them: measure earlier"
        )
    part = measured[0].info.get("parameters measured")
    if part is not None:
        lines.append(
            f"{files} was measured on the parameters {part!r} alone: this predicts a run that "
            "trains no others"
        )
    if config.task.get("reward") is not None:
        lines.append(
            "the task has a reward function of its own: the prediction is right only if it gives "
            "nothing but 0 and 1"
        )
    return lines


def _pool(measured: MeasuredGradients, config: TrainConfig) -> int:
    """The number of prompts to train on: of the task, if it says so, else as measured."""
    size = config.task.get(SIZE)
    return int(np.count_nonzero(~measured.heldout)) if size is None else int(size)


def _check_same(measured: MeasuredGradients, config: TrainConfig, file: str) -> None:
    """Model and task must be those of the measurement; a pool may be smaller or larger."""
    stored = measured.info.get("config", {})
    if not {"model", "task", "task_seed"} <= stored.keys():
        raise InputError(f"{file} does not say what it was measured on: measure again")
    if Path(stored["model"]["path"]).name != Path(config.model.path).name:
        raise InputError(
            f"{file} was measured on the model {stored['model']['path']}, not {config.model.path}"
        )
    ours = {name: value for name, value in config.task.items() if name != SIZE}
    theirs = {name: value for name, value in stored["task"].items() if name != SIZE}
    if ours != theirs:
        names = sorted(n for n in {*ours, *theirs} if ours.get(n) != theirs.get(n))
        raise InputError(
            f"{file} was measured on another task ({', '.join(names)} differ): measure this one"
        )
    if stored["task_seed"] != config.task_seed:
        raise InputError(f"{file} was measured with task_seed {stored['task_seed']}")
    check_translatable(config, stored, file)


def norm_of_second_half(run: Run, _loop: Loop | None = None) -> dict[str, float]:
    """The mean gradient norm of a run's second half, as a column of its row."""
    return {"norm": late_gradient_norm(run.steps)}
