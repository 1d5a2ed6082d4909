"""Choices by name: registries, and classes of other packages by import path ``module:Class``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from inspect import isabstract
from typing import Any, TypeVar

from cobasim.errors import InputError, unknown_name

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry]):
    """A read-only mapping of names to entries in which no name is ever replaced.

    Args:
        kind: what the entries are, for error messages ("allocator", "world").
        groups: mappings of names to entries, registered in this order.
    """

    def __init__(self, kind: str, *groups: Mapping[str, Entry]) -> None:
        self.kind = kind
        self._entries: dict[str, Entry] = {}
        for group in groups:
            for name, entry in group.items():
                self.register(name, entry)

    def register(self, name: str, entry: Entry) -> None:
        """Add an entry. Raises InputError if the name is taken."""
        if name in self._entries:
            raise InputError(
                f"{self.kind} {name!r} is registered already, as {self._entries[name]!r}: "
                "choose another name"
            )
        self._entries[name] = entry

    def find(self, name: str) -> Entry:
        """The entry of a name. Raises InputError, with the nearest known name, if unknown."""
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def import_class(kind: str, path: str, base: type[Any]) -> type[Any]:
    """The class that an import path names, a concrete subclass of ``base``.

    Args:
        kind: what the class is meant to be, for error messages ("allocator", "world").
        path: ``module:Class``. The module is imported, which runs its code: never pass a path
            that came over a network.
        base: what the class must derive from.

    Raises InputError if the class cannot be imported, or is not a concrete subclass of ``base``.
    """
    module, _, attribute = str(path).partition(":")
    try:
        loaded = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # importing runs foreign code, which may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"cannot import {kind} {path!r}: {reason}") from error
    where = f"{base.__module__.rpartition('.')[0]}.{base.__name__}"
    if not (isinstance(loaded, type) and issubclass(loaded, base)):
        raise InputError(f"{path!r} is not a subclass of {where}: derive the class from it")
    if isabstract(loaded):
        missing = ", ".join(sorted(getattr(loaded, "__abstractmethods__", ())))
        raise InputError(f"{path!r} lacks methods that {where} requires: implement {missing}")
    return loaded
