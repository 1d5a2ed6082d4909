"""A reward function of the user's own."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from cobasim.errors import InputError
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import RewardColumns, checked_reward


@dataclass(frozen=True)
class CustomReward:
    """A function of the user's, named by import path; it may return any finite number."""

    name: ClassVar[str] = "custom"
    function: str
    on_error: Literal["raise", "zero"] = "raise"

    def __post_init__(self) -> None:
        module, _, name = self.function.partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
            raise InputError(
                f"reward function {self.function!r}: expected an import path "
                "`package.module:function`"
            )

    def resolve(self) -> Any:
        """The function. Raises InputError if it cannot be imported or called."""
        module, _, name = self.function.partition(":")
        try:
            function: Any = import_module(module)
            for part in name.split("."):
                function = getattr(function, part)
        except Exception as error:
            raise InputError(
                f"reward function {self.function!r} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not callable(function):
            raise InputError(
                f"reward function {self.function!r} is of type {type(function).__name__}, "
                "which cannot be called: name a function(prompt, text)"
            )
        return function

    def screen(self, prompt: Prompt, text: str) -> float | str | None:
        """The whole text: nothing is known about it."""
        return text

    def load(self) -> None:
        """Imports the function."""
        self.columns()

    def columns(self) -> RewardColumns:
        """The columns that the function takes. Raises InputError as ``resolve`` and ``taken``."""
        return taken(self.resolve(), self.function)

    def judge(self, prompt: Prompt, answer: str) -> float:
        """The function's value, checked."""
        columns = prompt.metadata.get("columns", {})
        return checked_reward(self.resolve()(prompt, answer, **columns), "it")

    def ideals(self, prompt: Prompt) -> tuple[str, ...]:
        """None is known."""
        return ()


def taken(function: Callable[..., Any], name: str) -> RewardColumns:
    """The columns that a reward function takes after prompt and text, by its signature.

    One that takes anything, (*arguments, **named), gets none: it may be a wrapper around another.
    Raises InputError, with the function's ``name``, if it cannot be called like that.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C do not say
        return RewardColumns(name)
    one = inspect.Parameter
    arguments = signature.parameters.values()
    by_place = [a for a in arguments if a.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    first, rest = by_place[:2], by_place[2:]
    rest += [a for a in arguments if a.kind is one.KEYWORD_ONLY]
    nameless = [a for a in rest if a.kind is one.POSITIONAL_ONLY]
    too_few = len(first) < 2 and all(a.kind is not one.VAR_POSITIONAL for a in arguments)
    if too_few or any(a.default is one.empty for a in nameless):
        raise InputError(
            f"reward function {name!r} takes {signature}: expected (prompt, text), followed by "
            "names of columns if it takes any"
        )
    named = [a for a in rest if a not in nameless]
    return RewardColumns(
        name,
        required=tuple(a.name for a in named if a.default is one.empty),
        optional=tuple(a.name for a in named if a.default is not one.empty),
        every=len(first) == 2 and any(a.kind is one.VAR_KEYWORD for a in arguments),
        own=tuple(a.name for a in first if a.kind is one.POSITIONAL_OR_KEYWORD),
    )
