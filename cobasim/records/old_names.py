"""Names that fields had in earlier versions; readers accept them."""

from __future__ import annotations

from typing import Any, Final

RENAMED: Final = {"effective_ratio": "mixed_share"}
"""Old name -> name, of fields of ``StepRecord`` and of columns made from them."""

MOVED: Final = ("rounds", "trained_rollouts")
"""Fields of ``StepRecord`` that were filed under ``learner``."""


def rename(values: dict[str, Any]) -> dict[str, Any]:
    """Give fields their present names, in place; a present name wins. Returns ``values``."""
    for old, new in RENAMED.items():
        if old in values:
            value = values.pop(old)
            values.setdefault(new, value)
    return values


def lift(payload: dict[str, Any]) -> None:
    """Move what was filed under ``learner`` to where it belongs, in place."""
    learner = payload.get("learner")
    if type(learner) is dict:
        for name in MOVED:
            if name in learner:
                value = learner.pop(name)
                payload.setdefault(name, value)
