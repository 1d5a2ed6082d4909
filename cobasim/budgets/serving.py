"""Which allocators a ledger can serve: those that give all budgets before any rollout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cobasim.allocation import (
    ALLOCATORS,
    NEEDS,
    Allocator,
    find_allocator,
    make_allocator,
    served_by,
)
from cobasim.errors import InputError

SERVED = served_by(None)  # what is needed of the loop only, not of a learner


def usable_allocators() -> list[str]:
    """The names in ALLOCATORS that a ledger can serve; own ones (``module:Class``) may do, too."""
    return [name for name, kind in ALLOCATORS.items() if kind.exact and kind.needs <= SERVED]


def build(name: str, parameters: Mapping[str, Any], steps: int | None) -> Allocator:
    """The allocator of a ledger.

    Raises InputError as ``make_allocator``, and, by name, for an allocator that a ledger cannot
    serve: one that needs more than beliefs, skips or chooses prompts, or follows the progress of a
    run whose ``steps`` are not known.
    """
    kind = find_allocator(name)
    for need in sorted(kind.needs - SERVED):
        raise _refused(name, f"{NEEDS.find(need).phrase}, which a ledger cannot give it")
    if not kind.exact:
        raise _refused(name, "may skip prompts and spend less or more than the total")
    built = make_allocator(name, **parameters)
    if built.candidates() > 1:
        raise _refused(name, "chooses among further prompts, and a ledger has only those asked for")
    if "progress" in kind.needs and steps is None:
        raise InputError(
            f"allocator {name!r} {NEEDS['progress'].phrase}: say how many steps the run has "
            "(steps=...), or choose another allocator"
        )
    return built


def _refused(name: str, reason: str) -> InputError:
    return InputError(f"allocator {name!r} {reason}: use {', '.join(usable_allocators())}")
