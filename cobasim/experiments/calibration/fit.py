"""The search for the settings of a world, and how far real seeds tell them apart.

The loss is the mean squared distance in standard errors (over the real seeds, with a floor). The
search is a Sobol sample of the box, refined by Nelder and Mead (scipy). Intervals come from a
bootstrap of the real seeds over all settings that were tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.experiments.calibration.problem import Problem, distance
from cobasim.runs import Point, in_parallel, point_at, points


@dataclass(frozen=True)
class Search:
    """How settings are searched.

    Attributes:
        samples: size of the Sobol sample.
        refine: evaluations of Nelder and Mead.
        bootstrap: resamples of the real seeds.
        seed: of the sample and the bootstrap.
    """

    samples: int = 128
    refine: int = 60
    bootstrap: int = 200
    seed: int = 0


@dataclass
class Tried:
    """Settings that were tried, and what they gave; grows during a search.

    Attributes:
        targets: (2, t) of the problem.
        points: settings.
        values: (t,) of each.
    """

    targets: FloatArray
    points: list[Point]
    values: list[FloatArray]

    @property
    def losses(self) -> list[float]:
        """The distance of each to the targets."""
        return [distance(values, self.targets) for values in self.values]

    @property
    def best(self) -> int:
        """The place of the smallest loss."""
        return int(np.argmin(self.losses))


def search(
    problem: Problem,
    how: Search,
    *,
    jobs: int | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Tried:
    """Try a sample of the box, then refine the best of it.

    Args:
        problem: what is fitted to what.
        how: sizes and seed.
        jobs: processes at a time; the outcome does not depend on it.
        on_progress: gets the number of evaluations just done.
    """
    sampled = points(problem.world.box, "sobol", samples=how.samples, seed=how.seed)
    tried = Tried(problem.targets(), sampled, [])
    items = [(point,) for point in sampled]
    for values in in_parallel(problem.evaluate, items, jobs=jobs, ordered=True):
        tried.values.append(values)
        on_progress(1)
    if how.refine:
        _refine(problem, tried, how.refine, on_progress)
        on_progress(max(0, how.samples + how.refine - len(tried.points)))
    return tried


def _refine(
    problem: Problem, tried: Tried, evaluations: int, on_progress: Callable[[int], None]
) -> None:
    """Nelder and Mead from the best point, in shares of the box; what is tried is added."""
    from scipy import optimize

    box = problem.world.box
    best: Mapping[str, Any] = tried.points[tried.best]
    start = np.array([parameter.share(float(best[parameter.name])) for parameter in box])

    def loss_at(shares: FloatArray) -> float:
        outside = float(np.sum(np.maximum(shares - 1, 0) + np.maximum(-shares, 0)))
        point = point_at(box, [float(np.clip(share, 0, 1)) for share in shares])
        values = problem.evaluate(point)
        tried.points.append(point)
        tried.values.append(values)
        on_progress(1)
        return distance(values, tried.targets) + 10.0 * outside

    simplex = np.vstack([start, *(_nudged(start, k) for k in range(start.size))])
    optimize.minimize(
        loss_at, start, method="Nelder-Mead",
        options={"maxfev": evaluations, "initial_simplex": simplex},
    )  # fmt: skip


def _nudged(start: FloatArray, k: int) -> FloatArray:
    moved = start.copy()
    moved[k] += 0.1 if moved[k] < 0.5 else -0.1
    return moved


def plausible(problem: Problem, tried: Tried, how: Search) -> list[int]:
    """For each bootstrap of the real seeds of uniform, the place of the settings that fit best."""
    rng = np.random.default_rng([how.seed, 1])
    seeds = list(problem.real.series[problem.real.uniform])
    table = np.stack(tried.values)
    chosen = []
    for _ in range(how.bootstrap):
        drawn = [seeds[k] for k in rng.integers(0, len(seeds), len(seeds))]
        mean, error = problem.targets(drawn)
        chosen.append(int(np.argmin((((table - mean) / error) ** 2).mean(axis=1))))
    return chosen


def intervals(problem: Problem, tried: Tried, chosen: list[int]) -> dict[str, tuple[float, float]]:
    """Setting -> (low, high), the 2.5 and 97.5 % quantiles over the plausible settings."""
    ends = {}
    for parameter in problem.world.box:
        values = [tried.points[k][parameter.name] for k in chosen]
        low, high = np.quantile(values, [0.025, 0.975])
        ends[parameter.name] = (float(low), float(high))
    return ends
