"""Folders: what a run starts with, what may resume there, what is kept of a failure."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from cobasim.errors import InputError
from cobasim.records import RunHeader, write_atomically
from cobatrain.config import TrainConfig, difference
from cobatrain.parallel import read_meta, set_usual_permissions
from cobatrain.tasks import LeftOut
from cobatrain.trainer.changing import check_may_change
from cobatrain.update import NonFiniteError

BAD_BATCH = "bad_batch.json"
_NAMED = 5  # prompts that are left out, by name; task.json has more


def check_new(out: Path) -> None:
    """Raise InputError unless ``out`` can become the folder of a new run: missing, or empty."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists and is not empty; runs are never overwritten: choose another --out, "
            f"or resume it with `cobatrain resume {out}`"
        )


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder to make and fill that gets the name ``path`` at the end of the block, or is removed.

    Folders above it are made.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
        set_usual_permissions(aside)
        aside.rename(path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def run_header(config: TrainConfig, left_out: Sequence[LeftOut] = ()) -> RunHeader:
    """What is known of a run before its first step, with the prompts that it leaves out."""
    import transformers

    return RunHeader.create(
        source="train",
        seed=config.seed,
        allocator=config.allocator,
        estimator=config.estimator,
        weighting=config.weighting,
        world=str(config.task.get("kind", "arithmetic")),
        config=config.model_dump(mode="json"),
        versions={"torch": torch.__version__, "transformers": transformers.__version__},
        left_out=[one.to_dict(most=_NAMED) for one in left_out],
    )


def check_same_config(checkpoint: Path, config: TrainConfig) -> None:
    """Raise InputError if a checkpoint was made with another config, but for what may change."""
    check_may_change(difference(config, read_meta(checkpoint).get("config", {})), checkpoint)


def check_same_task(checkpoint: Path, fingerprint: str) -> None:
    """Raise InputError if a checkpoint was made with other prompts."""
    if read_meta(checkpoint).get("task") != fingerprint:
        raise InputError(
            f"{checkpoint} was made with other prompts: the task's data has changed since"
        )


def write_bad_batch(path: Path, error: NonFiniteError) -> None:
    """Save this rank's batch of an update that met NaN or Inf."""
    batch = error.batch
    values = {
        "error": str(error),
        "suspect_rollouts": np.asarray(error.rows).tolist(),
        "prompts": [list(map(int, row)) for row in batch.prompts],
        "responses": [list(map(int, row)) for row in batch.responses],
        "rewards": np.asarray(batch.rewards).tolist(),
        "group": np.asarray(batch.group).tolist(),
        "finished": (~batch.cut_off).tolist(),
    }
    write_atomically(path, json.dumps(values) + "\n")
