"""Settings that change where a run is resumed: which may, and what is recorded of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cobasim.errors import InputError
from cobasim.records import CHANGES_FILE, read_run, write_atomically
from cobatrain.config import Change, TrainConfig, difference, stored_changes, stored_config
from cobatrain.parallel import read_meta

MAY_CHANGE = ("loop.steps", "update.learning_rate", "evaluation", "checkpoint", "track")
"""By dotted name, or by the name of what a setting is part of."""


def check_may_change(names: list[str], whose: object) -> None:
    """Raise InputError if one of the settings that differ from those of ``whose`` may not."""
    fixed = [
        name
        for name in names
        if not any(name == one or name.startswith(f"{one}.") for one in MAY_CHANGE)
    ]
    if fixed:
        raise InputError(
            f"{', '.join(fixed[:5])} differ{'s' if len(fixed) == 1 else ''} from {whose}: a run "
            f"keeps all settings but {', '.join(MAY_CHANGE)}; start a new run"
        )


def accept_changes(
    run: Path, config: TrainConfig, checkpoint: Path | None, *, say: Callable[[str], None]
) -> None:
    """Record in the run's folder what of ``config`` is new, from the checkpoint's step on.

    Raises InputError, and records nothing, for a setting that may not change, and for
    ``loop.steps`` that the run has made already.
    """
    stored = stored_config(run)
    before = stored.model_dump(mode="json")
    names = difference(config, before)
    if not names:
        return
    check_may_change(names, run)
    step = 0 if checkpoint is None else int(read_meta(checkpoint)["step"])
    if "loop.steps" in names:
        made = [(one.rollouts, one.tokens) for one in read_run(run).steps if one.step == step]
        if step > 0 and made and config.loop.finished(step, *made[0]):
            raise InputError(
                f"loop.steps is {config.loop.steps}, and {run} has made {step} steps: give more, "
                "or a new run"
            )
    after = config.model_dump(mode="json")
    change = Change(
        after_step=step,
        settings={name: _at(after, name) for name in names},
        before={name: _at(before, name) for name in names},
    )
    changes = [one.model_dump(mode="json") for one in [*stored_changes(run), change]]
    write_atomically(run / CHANGES_FILE, json.dumps(changes, indent=1) + "\n")
    told = [f"{name} {change.before[name]} -> {change.settings[name]}" for name in names]
    say(f"changed after step {step}: {', '.join(told)}")


def _at(values: Any, name: str) -> Any:
    for part in name.split("."):
        values = values[part]
    return values
