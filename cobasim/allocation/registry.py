"""Allocators by name: those of this project, of the papers, of other packages, of files."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from cobasim.allocation.base import Allocator
from cobasim.allocation.methods import METHODS
from cobasim.allocation.methods.learned import learned_class
from cobasim.allocation.peers import PEERS
from cobasim.errors import InputError, unknown_name
from cobasim.plugins import Registry, import_class

ALLOCATORS: Registry[type[Allocator]] = Registry("allocator", METHODS, PEERS)
LEARNED = "learned:"  # prefix of a file that `cobasim learn` wrote


def find_allocator(name: str) -> type[Allocator]:
    """The class of a name in ALLOCATORS, of an import path ``module:Class``, or ``learned:FILE``.

    Raises InputError if there is none.
    """
    if name in ALLOCATORS:
        return ALLOCATORS[name]
    if str(name).startswith(LEARNED):
        return learned_class(str(name).removeprefix(LEARNED))
    if ":" not in str(name):
        raise unknown_name("allocator", name, ALLOCATORS)
    return import_class("allocator", name, Allocator)


def make_allocator(name: str, **parameters: Any) -> Allocator:
    """Build an allocator by its name, import path or file; see ``find_allocator``.

    Raises InputError for an unknown name or parameter (the nearest is suggested), or a value out
    of bounds.
    """
    kind = find_allocator(name)
    known = [field.name for field in dataclasses.fields(kind)]
    for given in parameters:
        if given not in known:
            if not known:
                raise InputError(f"allocator {name!r} takes no parameters, got {given!r}")
            raise unknown_name(f"parameter of allocator {name!r}", given, known)
    return kind(**parameters)


def own_parameters(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``parameters`` that the allocator takes. Raises as ``find_allocator``."""
    own = {field.name for field in dataclasses.fields(find_allocator(name))}
    return {key: value for key, value in parameters.items() if key in own}


def one_shot(names: Iterable[str] = ALLOCATORS) -> list[str]:
    """Those of ``names`` whose budgets follow from one observation and meet the total exactly.

    Raises as ``find_allocator``.
    """

    def simple(kind: type[Allocator]) -> bool:
        return kind.exact and not kind.needs & {"rounds", "features"}

    return [name for name in names if simple(find_allocator(name))]


def describe_allocators(names: Iterable[str] = ALLOCATORS) -> list[dict[str, Any]]:
    """One row for each allocator: name, one line, source, estimator, needs, parameters and bounds.

    Raises as ``find_allocator``.
    """
    rows = []
    for name in names:
        kind = find_allocator(name)
        rows.append(
            {
                "name": name,
                "summary": (kind.__doc__ or "").strip().splitlines()[0],
                "source": kind.source,
                "estimator": kind.estimator,
                "exact": kind.exact,
                "needs": sorted(kind.needs),
                "parameters": [
                    {"name": field.name, "default": field.default, **field.metadata}
                    for field in dataclasses.fields(kind)
                ],
            }
        )
    return rows
