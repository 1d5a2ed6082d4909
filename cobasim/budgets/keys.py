"""Keys of prompts, and their numbers in the pool, which grows as they come."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from itertools import compress, repeat
from typing import Any

import numpy as np

from cobasim.arrays import IntArray
from cobasim.errors import InputError

BY_IDENTITY: Any = object.__hash__


class KeyPool:
    """Keys, numbered from 0 in the order in which they first came."""

    def __init__(self, keys: Iterable[Hashable] = ()) -> None:
        self._number: dict[Hashable, int] = {}
        self.add(keys)

    def __len__(self) -> int:
        return len(self._number)

    @property
    def keys(self) -> list[Hashable]:
        """All keys by number."""
        return list(self._number)

    def add(self, keys: Iterable[Hashable]) -> None:
        """Number further keys."""
        for number, key in enumerate(keys, start=len(self._number)):
            self._number[key] = number

    def find(self, keys: list[Hashable]) -> IntArray:
        """Numbers (m,) of keys; -1 for those that are new."""
        return np.fromiter(map(self._number.get, keys, repeat(-1)), np.int64, len(keys))

    def number(self, keys: list[Hashable]) -> tuple[IntArray, list[Hashable]]:
        """Numbers (m,) that keys have, or would have if new ones were added; and the new ones."""
        numbers = self.find(keys)
        new = numbers < 0
        numbers[new] = np.arange(len(self), len(self) + int(np.count_nonzero(new)))
        return numbers, list(compress(keys, new))


def as_keys(given: Any) -> list[Hashable]:
    """Distinct keys of the prompts of a batch, as a list.

    Numbers of numpy and of tensors become those of Python. Raises InputError for what cannot tell
    prompts apart: no list, nothing in it, the same key twice, a key that cannot be hashed, that is
    missing (None, NaN), or that only its own object is equal to.
    """
    if isinstance(given, (str, bytes)):
        raise InputError(
            f"keys must be a list with one key for each prompt, got the text {given!r}"[:200]
        )
    try:
        keys = list(given.tolist() if hasattr(given, "tolist") else given)
    except TypeError:
        raise InputError(
            f"keys must be a list with one key for each prompt, got {type(given).__name__}"
        ) from None
    if not keys:
        raise InputError("keys are empty: give one key for each prompt of the batch")
    kinds = set(map(type, keys))
    if any(hasattr(kind, "tolist") for kind in kinds):  # scalars of numpy, of tensors
        keys = [key.tolist() if hasattr(key, "tolist") else key for key in keys]
        kinds = set(map(type, keys))
    for kind in kinds:
        if kind is type(None):
            raise InputError(f"key {keys.index(None)} is None (counting from 0): name every prompt")
        if kind.__hash__ is BY_IDENTITY:
            raise InputError(
                f"keys of type {kind.__name__} are equal to themselves only, so no prompt would be "
                "known again: use ids, dataset indices or hashes of the text"
            )
    if float in kinds and any(key != key for key in keys):
        raise InputError("a key is NaN, which is equal to nothing: use ids or dataset indices")
    try:
        distinct = len(set(keys))
    except TypeError as error:
        raise InputError(
            f"keys must be hashable, such as ids, dataset indices or hashes of the text: {error}"
        ) from None
    if distinct != len(keys):
        raise _twice(keys)
    return keys


def _twice(keys: list[Hashable]) -> InputError:
    """The error for keys of which one comes again."""
    first: dict[Hashable, int] = {}
    for at, key in enumerate(keys):
        if first.setdefault(key, at) != at:
            break
    return InputError(
        f"key {key!r} comes twice (entries {first[key]} and {at}, counting from 0): give each "
        "prompt of a batch once; its rollouts are one group"
    )
