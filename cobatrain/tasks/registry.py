"""The kinds of tasks, and how a config becomes one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from pydantic import TypeAdapter, ValidationError

from cobasim.errors import InputError, unknown_name
from cobatrain.tasks.arithmetic import ArithmeticConfig, make_arithmetic
from cobatrain.tasks.files import FilesConfig, make_files
from cobatrain.tasks.gym import GymConfig, make_gym
from cobatrain.tasks.task import Task
from cobatrain.tasks.words import WordsConfig, make_words

TaskConfig: TypeAlias = ArithmeticConfig | WordsConfig | GymConfig | FilesConfig

TASKS: dict[str, tuple[type[Any], Callable[[Any, int], Task]]] = {
    "arithmetic": (ArithmeticConfig, make_arithmetic),
    "words": (WordsConfig, make_words),
    "reasoning-gym": (GymConfig, make_gym),
    "files": (FilesConfig, make_files),
}
"""kind -> (its config, its maker)."""


def parse_task_config(config: Mapping[str, Any]) -> TaskConfig:
    """The validated config of a mapping; InputError for an unknown kind or wrong settings."""
    kind = config.get("kind", "arithmetic")
    if kind not in TASKS:
        raise unknown_name("task kind", str(kind), TASKS)
    try:
        parsed: TaskConfig = TypeAdapter(TASKS[kind][0]).validate_python(config)
    except ValidationError as error:
        problems = "; ".join(_problem(e, TASKS[kind][0]) for e in error.errors())
        raise InputError(f"task config of kind {kind!r}: {problems}") from error
    return parsed


def _problem(error: Mapping[str, Any], model: type[Any]) -> str:
    """One validation error in words; for an unknown key of the config itself, the nearest key."""
    where = ".".join(map(str, error["loc"])) or "task"
    if error["type"] == "extra_forbidden" and len(error["loc"]) == 1:
        return str(unknown_name("key", where, model.model_fields))
    return f"{where}: {error['msg'].removeprefix('Value error, ')}"


def make_task(config: TaskConfig | Mapping[str, Any], seed: int) -> Task:
    """The task of a config; the same config and seed give the same task.

    Raises InputError if the config or the data behind it cannot be used.
    """
    if isinstance(config, Mapping):
        config = parse_task_config(config)
    return replace(
        TASKS[config.kind][1](config, seed),
        overlong=config.overlong,
        refused=config.refused,
        unfinished=config.unfinished,
    )
