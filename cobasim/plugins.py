"""Classes of other packages, named by import path ``module:Class``."""

from __future__ import annotations

import importlib
from inspect import isabstract
from typing import Any

from cobasim.errors import InputError


def import_class(kind: str, path: str, base: type[Any]) -> type[Any]:
    """The class that an import path names, a subclass of ``base`` that can be built.

    Args:
        kind: what it is to be, for messages ("allocator", "world").
        path: ``module:Class``; the module is imported, which runs its code: never pass on a path
            that came over a network.
        base: what it must derive from.

    Raises InputError when it cannot be imported or is no such class.
    """
    module, _, attribute = str(path).partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # importing runs code of others, which may fail in any way
        reason = f"{type(error).__name__}: {error}"
        raise InputError(f"cannot import {kind} {path!r}: {reason}") from error
    if not (isinstance(found, type) and issubclass(found, base)) or isabstract(found):
        where = base.__module__.rpartition(".")[0]
        raise InputError(f"{path!r} is no subclass of {where}.{base.__name__} that can be built")
    return found
