"""Indices of settings: Morris' elementary effects, or Sobol's shares of the variance (SALib).

Settings are shares in [0, 1] of their ranges (of a range's logarithm where it is logarithmic), so
an index holds for these ranges only.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.experiments.sensitivity.design import LEVELS, problem


@dataclass(frozen=True)
class Index:
    """Indices of one setting.

    Attributes:
        name: the setting.
        main: Sobol: first-order index S1, the share of the variance that this setting explains
            alone. Morris: mu, the mean elementary effect (its sign is the direction).
        total: Sobol: total index ST, interactions included. Morris: mu*, the mean absolute
            effect, in units of the metric over the setting's whole range.
        main_half, total_half: half widths of 95 % bootstrap intervals (Morris: of mu* only).
        spread: Morris: sigma, the spread of effects (interaction or curvature); Sobol: None.
    """

    name: str
    main: float
    main_half: float | None
    total: float
    total_half: float
    spread: float | None = None


def indices(
    names: Sequence[str], method: str, shares: FloatArray, values: FloatArray, *, seed: int = 0
) -> list[Index]:
    """Indices of each setting, the largest first.

    Args:
        names: of the settings.
        method: "morris" or "sobol".
        shares: (points, settings) from ``sample``.
        values: (points,) of the metric; if it does not vary at all, every index is 0.
        seed: of the bootstrap.
    """
    if np.ptp(values) == 0.0:
        return [Index(name, 0.0, 0.0, 0.0, 0.0) for name in names]
    quiet = contextlib.redirect_stdout(io.StringIO())
    with quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = (
            _morris(names, shares, values, seed)
            if method == "morris"
            else _sobol(names, values, seed)
        )
    return sorted(rows, key=lambda row: -row.total)


def _morris(names: Sequence[str], shares: FloatArray, values: FloatArray, seed: int) -> list[Index]:
    from SALib.analyze import morris

    result = morris.analyze(
        problem(names), shares, values, num_levels=LEVELS, seed=seed, num_resamples=1000
    )
    columns = ("mu", "mu_star", "mu_star_conf", "sigma")
    return [
        Index(name, float(mu), None, float(star), float(half), float(sigma))
        for name, mu, star, half, sigma in zip(
            names, *(result[key] for key in columns), strict=True
        )
    ]


def _sobol(names: Sequence[str], values: FloatArray, seed: int) -> list[Index]:
    from SALib.analyze import sobol

    result = sobol.analyze(
        problem(names), values, calc_second_order=False, seed=seed, num_resamples=1000
    )
    columns = ("S1", "S1_conf", "ST", "ST_conf")
    return [
        Index(name, *(float(value) for value in row))
        for name, *row in zip(names, *(result[key] for key in columns), strict=True)
    ]
