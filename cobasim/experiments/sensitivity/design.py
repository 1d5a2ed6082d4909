"""The plan of a sensitivity study: a box of settings, and a sample of it that is a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.runs import Parameter, Sweep, point_at

METHODS = ("morris", "sobol")
LEVELS = 4  # of a Morris trajectory

BOX = (
    "kappa=4:30", "gamma=2:40:log", "tau=1:64:log", "window=1:30:log:int", "low=0:4:int",
    "high=32:256:log:int", "total_budget=1024:8192:log:int", "estimator=last,window,posterior",
    "noise=1:60:log", "prompt_noise=0:30", "transfer=0.1:0.9", "learning_rate=4e-4:1e-2:log",
    "interference=0:1",
)  # fmt: skip
"""The default box, for M = 256: the allocator's knobs, the loop's, and the world's."""


def problem(names: Sequence[str]) -> dict[str, Any]:
    """What SALib calls a problem: shares in [0, 1] of the ranges of the named settings."""
    return {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}


def sample(names: Sequence[str], method: str, size: int, seed: int) -> FloatArray:
    """Shares (points, settings) in [0, 1]: ``size`` trajectories, or a Saltelli design.

    Args:
        names: of the settings; at least two.
        method: "morris": size (D + 1) points; "sobol": size (D + 2) points, size a power of 2.
        size: N.
        seed: fixes the sample.

    Raises InputError for an unknown method, fewer than two settings, or a size below 2 (with sobol:
    or not a power of 2).
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if len(names) < 2:
        raise InputError(f"sensitivity needs at least two settings to vary, got {len(names)}")
    if size < 2 or (method == "sobol" and size & (size - 1)):
        raise InputError(
            f"samples must be at least 2, and a power of 2 for sobol, got {size}: try "
            f"{1 << max(1, size.bit_length())}"
        )
    if method == "morris":
        from SALib.sample import morris

        shares = morris.sample(problem(names), size, num_levels=LEVELS, seed=seed)
    else:
        from SALib.sample import sobol

        shares = sobol.sample(problem(names), size, calc_second_order=False, seed=seed)
    return np.asarray(shares, dtype=np.float64)


@dataclass(frozen=True)
class Design:
    """A sample of a box of settings, and the sweep that evaluates it.

    Attributes:
        parameters: the settings that vary, with their ranges.
        method: a name in METHODS.
        size: N, as for ``sample``.
        seed: of the sample.
        sweep: its points are the sample.
    """

    parameters: tuple[Parameter, ...]
    method: str
    size: int
    seed: int
    sweep: Sweep

    @property
    def names(self) -> list[str]:
        """Names of the settings."""
        return [parameter.name for parameter in self.parameters]

    @property
    def shares(self) -> FloatArray:
        """The sample (points, settings) as shares of the ranges."""
        return sample(self.names, self.method, self.size, self.seed)


def plan(
    parameters: Sequence[Parameter],
    method: str,
    size: int,
    seed: int,
    *,
    preset: str,
    settings: Mapping[str, Any],
    chosen: Mapping[str, Any],
) -> Design:
    """The design of a box of settings.

    Args:
        parameters, method, size, seed: as in ``Design``.
        preset, settings, chosen: what holds at every point, as in ``Sweep``.

    Raises InputError as ``sample`` does.
    """
    shares = sample([parameter.name for parameter in parameters], method, size, seed)
    points = tuple(point_at(parameters, row) for row in shares)
    sweep = Sweep(preset, dict(settings), dict(chosen), points)
    return Design(tuple(parameters), method, size, seed, sweep)
