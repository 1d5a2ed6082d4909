"""Numbers of a run as JSON, and back."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from cobasim.errors import InputError


def _plain(value: object) -> object:
    """Turn numpy values and paths into what JSON knows (the encoder's hook)."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


_ENCODER: Final = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain)


def _finite(value: object) -> object:
    """Copy a JSON value with None in place of NaN and infinities, which JSON does not have."""
    if isinstance(value, (np.generic, np.ndarray)):
        value = value.tolist()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value


def encode(payload: Mapping[str, Any], what: str) -> str:
    """One line of JSON; NaN and infinities become null. Raises InputError for other values."""
    try:
        try:
            return _ENCODER.encode(payload)
        except ValueError:  # NaN or infinity somewhere, which is rare: store null there
            return _ENCODER.encode(_finite(payload))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{what} cannot be stored as JSON: {error}; pass plain numbers, texts, lists and dicts"
        ) from error


def decode(text: str | bytes) -> Any:
    """Parse JSON; NaN and infinities, which are not JSON but seen in the wild, become None."""
    return json.loads(text, parse_constant=lambda _: None)
