"""A reward function of the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar, Literal

from cobasim.errors import InputError
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import checked_reward


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
        self.resolve()

    def judge(self, prompt: Prompt, answer: str) -> float:
        """The function's value, checked."""
        return checked_reward(self.resolve()(prompt, answer), "it")

    def ideals(self, prompt: Prompt) -> tuple[str, ...]:
        """None is known."""
        return ()
