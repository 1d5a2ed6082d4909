"""Swept settings: lists and ranges of values, and the points of a grid or a sample of them."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.errors import InputError
from cobasim.settings import read_value

METHODS = ("grid", "random", "lhs", "sobol")

Point = dict[str, Any]
"""Settings by flat name."""


@dataclass(frozen=True)
class Parameter:
    """One swept setting: a list of values, or a range.

    Attributes:
        name: flat name, as in ``--set``.
        values: the values of a list; empty for a range.
        low, high: ends of a range, both included.
        log: equal steps, or equal density, in the logarithm.
        whole: rounded to whole numbers.
        levels: how many values of a range a grid takes; None: five.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    levels: int | None = None

    @classmethod
    def parse(cls, text: str) -> Parameter:
        """``kappa=7,11,15`` or ``tau=1:64[:log][:int][:LEVELS]``; InputError if malformed."""
        name, equals, given = text.partition("=")
        name = name.strip()
        if not equals or not name or not given.strip():
            raise InputError(
                f"a swept parameter reads name=1,2,3 or name=LOW:HIGH[:log][:int][:LEVELS], "
                f"got {text!r}"
            )
        return cls._range(name, given) if ":" in given else cls._list(name, given)

    @classmethod
    def _list(cls, name: str, given: str) -> Parameter:
        values = tuple(read_value(item.strip()) for item in given.split(",") if item.strip())
        if len({json.dumps(value) for value in values}) < len(values):
            raise InputError(f"{name}: a value is given twice in {given!r}")
        if not values:
            raise InputError(f"{name}: no values in {given!r}")
        return cls(name, values)

    @classmethod
    def _range(cls, name: str, given: str) -> Parameter:
        first, last, *rest = given.split(":")
        try:
            low, high = float(first), float(last)
        except ValueError:
            raise InputError(f"{name}: a range needs two numbers, got {given!r}") from None
        log, whole, levels = False, False, None
        for word in rest:
            if word == "log":
                log = True
            elif word == "int":
                whole = True
            elif word.isdigit() and int(word) >= 1:
                levels = int(word)
            else:
                raise InputError(
                    f"{name}: after the range come log, int or a number of levels, got {word!r}"
                )
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"{name}: the range {given!r} is empty; give LOW below HIGH")
        if log and low <= 0:
            raise InputError(f"{name}: a logarithmic range must begin above 0, got {first}")
        return cls(name, (), low, high, log=log, whole=whole, levels=levels)

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1] of the way from the first to the last."""
        if self.values:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        if self.log:
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(f"{value:.12g}")

    def share(self, value: float) -> float:
        """The inverse of ``at`` for a range: the share of the way at which a value lies."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def grid(self) -> list[Any]:
        """The values that a grid takes, without repeats."""
        if self.values:
            return list(self.values)
        levels = 5 if self.levels is None else self.levels
        shares = [0.5] if levels == 1 else [k / (levels - 1) for k in range(levels)]
        return list(dict.fromkeys(self.at(share) for share in shares))


def points(
    parameters: Sequence[Parameter], method: str = "grid", *, samples: int = 64, seed: int = 0
) -> list[Point]:
    """The settings to try.

    Args:
        parameters: distinct names.
        method: "grid": every combination; "random", "lhs" (Latin hypercube) or "sobol" (a
            scrambled Sobol sequence): ``samples`` points of the box.
        samples: ignored by a grid.
        seed: of the sample.

    Raises InputError for a repeated name, an unknown method, or no samples.
    """
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise InputError(f"a parameter is swept twice: {', '.join(names)}")
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if not parameters:
        return [{}]
    if method == "grid":
        grids = [parameter.grid() for parameter in parameters]
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*grids)]
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    from scipy.stats import qmc

    size = len(parameters)
    if method == "sobol":
        power = max(0, math.ceil(math.log2(samples)))
        shares = qmc.Sobol(size, rng=seed).random_base2(power)[:samples]
    elif method == "lhs":
        shares = qmc.LatinHypercube(size, rng=seed).random(samples)
    else:
        shares = np.random.default_rng(seed).random((samples, size))
    return [point_at(parameters, row) for row in shares]


def point_at(parameters: Sequence[Parameter], shares: Sequence[float]) -> Point:
    """The settings at one share of the way for each parameter."""
    return {
        parameter.name: parameter.at(float(share))
        for parameter, share in zip(parameters, shares, strict=True)
    }


def read_plan(file: Path) -> tuple[list[str], dict[str, Any]]:
    """(texts for ``Parameter.parse``, settings) of a YAML plan: ``param:`` and ``set:``.

    Raises InputError if the file is missing, malformed, or has other keys.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("param"), dict):
        raise InputError(f"{file}: expected a key 'param' with names and values below it")
    if others := set(content) - {"param", "set"}:
        raise InputError(f"{file}: unknown keys {', '.join(sorted(map(str, others)))}")
    texts = []
    for name, given in content["param"].items():
        values = given if isinstance(given, list) else [given]
        texts.append(
            f"{name}=" + ",".join(v if isinstance(v, str) else json.dumps(v) for v in values)
        )
    return texts, dict(content.get("set") or {})
