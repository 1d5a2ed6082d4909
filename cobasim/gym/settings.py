"""Settings of the environment's runs, by flat names; and the cheap runs of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cobasim.errors import InputError, unknown_name
from cobasim.loop import LoopConfig
from cobasim.runs import RunConfig
from cobasim.settings import validated
from cobasim.world import WorldConfig

SMALL: dict[str, dict[str, Any]] = {
    "world": {"num_prompts": 2048, "num_heldout": 512},
    "loop": {"batch_size": 64, "total_budget": 1024, "steps": 100},
}
"""The environment's default."""

CHEAP: dict[str, dict[str, Any]] = {
    "world": {"num_prompts": 512, "num_heldout": 1000, "learning_rate": 6e-3},
    "loop": {"steps": 60, "batch_size": 64, "total_budget": 1024},
}
"""The run that training repeats. A prompt is visited as often as in the default comparison, at
five times its learning rate in a fifth of its steps."""


class UnknownKeyword(InputError, TypeError):
    """A keyword that the environment does not take."""


def run_config(values: Mapping[str, Any], settings: Mapping[str, Any]) -> RunConfig:
    """The RunConfig of ``values`` (its fields), changed by flat names of the world and the loop.

    Raises UnknownKeyword for an unknown name, InputError for a bad value.
    """
    changed = dict(values)
    for name, value in settings.items():
        for part, kind in (("world", WorldConfig), ("loop", LoopConfig)):
            if name in kind.model_fields:
                changed[part] = dict(changed.get(part, {})) | {name: value}
                break
        else:
            known = [*WorldConfig.model_fields, *LoopConfig.model_fields]
            raise UnknownKeyword(str(unknown_name("setting", name, known)))
    return validated(RunConfig, changed)


def cheap_config(settings: Mapping[str, Any], **chosen: Any) -> RunConfig:
    """The run that training repeats: CHEAP, changed by flat names of the world and the loop.

    Args:
        settings: names and values; they win over ``chosen``.
        **chosen: the same; None: not chosen. A world other than the logistic one gets five times
            its own default learning rate, unless a rate is given.

    Raises InputError for an unknown name or a bad value.
    """
    given = {name: value for name, value in chosen.items() if value is not None} | dict(settings)
    if given.get("world", "logistic") != "logistic" and "learning_rate" not in given:
        given["learning_rate"] = 5.0 * WorldConfig(world=given["world"]).learning_rate
    return run_config({"allocator": "uniform", **CHEAP}, given)
