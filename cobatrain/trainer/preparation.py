"""Making the tiny model of a config before anything is trained."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.tasks import make_task

EXAMPLES = 17  # stream of the supervised examples
PROBE = 256  # examples that the pass rate is measured on


def prepare(config: TrainConfig, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Make the tiny model of a config and warm it up on the task's train side.

    The folder appears under its name only when the model is complete. Raises InputError if the
    config has no ``model.tiny``, or the folder exists already.
    """
    from cobatrain.tiny import WarmUp, build_tiny, save, warm_up

    tiny, path = config.model.tiny, Path(config.model.path)
    if tiny is None:
        raise InputError("model.tiny is not given: only a tiny model can be prepared")
    if path.exists():
        raise InputError(f"{path} exists already; remove it, or give another model.path")
    task = make_task(config.task, config.task_seed)
    # from the train side of the operand pairs: the split depends on task_seed alone
    rng = np.random.default_rng([config.task_seed, EXAMPLES])
    examples = task.supervised_examples(tiny.examples, rng)
    probe = task.supervised_examples(PROBE, rng)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    model, tokenizer = build_tiny(
        aside,
        config.task_seed,
        hidden=tiny.hidden,
        layers=tiny.layers,
        heads=tiny.heads,
        tied=tiny.tied,
    )
    settings = WarmUp(tiny.target_pass_rate, config.task_seed, max_steps=tiny.max_steps)
    rows = warm_up(model, tokenizer, examples, probe, settings)
    save(aside, model, tokenizer)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside.rename(path)
    task.close()
    say(
        f"tiny model in {path}: pass rate {rows[-1].pass_rate:.2f} after {rows[-1].step} "
        f"supervised steps, {rows[-1].seconds:.0f} s"
    )
    return path


def prepare_if_missing(config: TrainConfig, *, say: Callable[[str], None]) -> None:
    """``prepare`` for a config of a tiny model whose folder does not exist yet."""
    if config.model.tiny is not None and not Path(config.model.path).exists():
        prepare(config, say=say)
