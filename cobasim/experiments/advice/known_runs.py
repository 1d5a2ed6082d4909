"""What worlds predicted and real runs showed, and the error that follows for the next prediction.

The rows are those of docs/real/measured; scripts there write them. Predictions of measured worlds
were committed before the runs; those of drawn worlds (from pass rates, from a uniform run) were
made after them, without reading them. Real differences are taken as slope x predicted + error, with
an error of variance base^2 + (share x predicted)^2 beside the prediction's own spread, apart for
allocators that spread rollouts and for those that choose prompts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np

from cobasim.allocation import find_allocator
from cobasim.arrays import FloatArray
from cobasim.scores import t_factor

SEEDS = 4  # of each real condition
LEVEL = 0.9
"""Of all intervals of advice."""
SLOPE = (1.0, 0.5)
"""Mean and standard deviation of the slope before any run was seen."""


@dataclass(frozen=True)
class Known:
    """One arm of a real condition, in points minus uniform.

    Attributes:
        kind: what the prediction was made from: "pass rates", "run" or "measured".
        condition, weighting, allocator: which.
        real, half: mean over four seeds, and half of its 95 % interval.
        predicted, spread: mean over worlds or simulated seeds, and its standard deviation.
    """

    kind: str
    condition: str
    weighting: str
    allocator: str
    real: float
    half: float
    predicted: float
    spread: float

    @property
    def error(self) -> float:
        """Standard error of ``real``."""
        return self.half / t_factor(SEEDS)


@dataclass(frozen=True)
class ModelError:
    """How real differences scatter around predicted ones; see the module.

    Attributes:
        slope, slope_error: real over predicted, and its standard error.
        base, share: of the error.
        freedom: degrees of freedom: conditions less the three numbers that were fitted.
        pair: standard deviation of the difference of one pair of real runs around its mean, the
            median of the rows.
    """

    slope: float
    slope_error: float
    base: float
    share: float
    freedom: int
    pair: float

    def expected(self, predicted: float, spread: float) -> tuple[float, float]:
        """Mean and standard deviation of the real difference, in points.

        Args:
            predicted: points minus uniform.
            spread: standard deviation of the prediction.

        A slope of 0 says that predictions told nothing: real differences then scatter by ``base``,
        whatever was predicted.
        """
        if self.slope == 0.0:
            return 0.0, self.base
        parts = (spread, self.base, self.share * predicted, self.slope_error * predicted)
        return self.slope * predicted, float(np.linalg.norm(parts))


@cache
def known() -> tuple[Known, ...]:
    """The rows that ship."""
    text = resources.files(__package__).joinpath("known.json").read_text()
    return tuple(Known(**row) for row in json.loads(text))


def chooses(allocator: str) -> bool:
    """Whether an allocator chooses the prompts of a step, and so may give a prompt nothing."""
    return not find_allocator(allocator).exact


def fit(rows: Iterable[Known]) -> ModelError:
    """The most likely slope and error, of rows of one class. Raises ValueError for none."""
    table = list(rows)
    if not table:
        raise ValueError("no rows to fit the error of predictions to")
    x, s = (np.array([getattr(row, name) for row in table]) for name in ("predicted", "spread"))
    y, e = (np.array([getattr(row, name) for row in table]) for name in ("real", "error"))

    def variance(log: FloatArray) -> FloatArray:
        return np.asarray(e**2 + s**2 + np.exp(2 * log[0]) + (np.exp(log[1]) * x) ** 2)

    def slope_of(log: FloatArray) -> tuple[float, float]:
        precision = (x**2 / variance(log)).sum() + SLOPE[1] ** -2
        return float(((x * y / variance(log)).sum() + SLOPE[0] * SLOPE[1] ** -2) / precision), (
            float(precision**-0.5)
        )

    def loss(log: FloatArray) -> float:
        v, (slope, _) = variance(log), slope_of(log)
        prior = ((slope - SLOPE[0]) / SLOPE[1]) ** 2
        return float(0.5 * ((y - slope * x) ** 2 / v + np.log(v)).sum() + 0.5 * prior)

    from scipy import optimize  # slow to import

    starts = [np.log([a, b]) for a in (0.1, 0.5) for b in (0.1, 0.5)]
    bounds = [(np.log(0.1), np.log(20.0)), (np.log(0.01), np.log(3.0))]
    found = [optimize.minimize(loss, s, bounds=bounds, method="L-BFGS-B") for s in starts]
    best = min(found, key=lambda result: float(result.fun)).x
    slope, error = slope_of(best)
    freedom = max(2, len({row.condition for row in table}) - 3)
    pair = SEEDS**0.5 * float(np.median(e))
    if slope > 0.0:
        base, share = np.exp(best).tolist()
        return ModelError(slope, error, base, share, freedom, pair)

    # a prediction that says nothing is no prediction of the contrary
    def scatter(log: float) -> float:
        v = e**2 + np.exp(2 * log)
        return float(0.5 * (y**2 / v + np.log(v)).sum())

    alone = optimize.minimize_scalar(scatter, bounds=bounds[0], method="bounded").x
    return ModelError(0.0, 0.0, float(np.exp(alone)), 0.0, freedom, pair)


@cache
def model_error(kind: str, choosing: bool) -> ModelError:
    """Of all rows of a kind that ship."""
    return fit(r for r in known() if r.kind == kind and chooses(r.allocator) == choosing)
