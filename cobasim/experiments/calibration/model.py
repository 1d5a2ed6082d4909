"""Fit a world's settings to real runs with uniform budgets, then predict the adaptive runs unseen.

Targets are curves of the real *uniform* runs: held-out accuracy minus its start, and in four blocks
of steps the failure rate and the share of mixed groups. Of the adaptive runs only one thing is
used, and only by models that fit ``prompt_noise``: their gradient norm over uniform's, never an
accuracy. Uniform runs at other learning rates join the targets if there are any: they tell steps
that hurt from steps that are forgotten.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from cobasim.experiments.calibration.fit import Search, Tried, intervals, plausible, search
from cobasim.experiments.calibration.problem import Problem, Simulated
from cobasim.experiments.calibration.real_runs import CURVES, Key, RealRuns
from cobasim.experiments.intervals import half_width
from cobasim.runs import in_parallel
from cobasim.scores import mean_interval

MOST_PLAUSIBLE = 8
"""Settings, the best included, over which predictions range."""


@dataclass(frozen=True)
class Prediction:
    """An adaptive run's final accuracy minus uniform's, in points: real and predicted.

    Attributes:
        allocator, weighting: of the runs.
        real, real_half: the real difference, and half of its 95 % interval over seeds.
        predicted: at the best settings.
        low, high: over the plausible settings.
        norm_real, norm_predicted: gradient norm over uniform's; None where it was not recorded.
    """

    allocator: str
    weighting: str
    real: float
    real_half: float | None
    predicted: float
    low: float
    high: float
    norm_real: float | None
    norm_predicted: float

    @property
    def inside(self) -> bool:
        """Whether the prediction lies in the real interval."""
        return self.real_half is not None and abs(self.predicted - self.real) <= self.real_half


@dataclass(frozen=True)
class Model:
    """A fitted world.

    Attributes:
        name: which model.
        settings: the best settings.
        intervals: setting -> (low, high), the 2.5 and 97.5 % quantiles of the bootstrap.
        loss: mean squared distance in standard errors; about 1 where the world fits.
        uniform: predicted and real curves of uniform, by name.
        predictions: of the adaptive runs.
        tau, p_value: Kendall's rank correlation of predicted with real differences; None for one.
        inside: how many predictions lie in the real 95 % interval.
        extra: how the fit was made.
    """

    name: str
    settings: dict[str, Any]
    intervals: dict[str, tuple[float, float]]
    loss: float
    uniform: dict[str, Any]
    predictions: list[Prediction]
    tau: float | None
    p_value: float | None
    inside: int
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def calibrate(
    problem: Problem,
    how: Search,
    *,
    predict_seeds: int = 16,
    jobs: int | None = None,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Model:
    """Fit one model and predict the adaptive runs.

    Args:
        problem: the real runs, and the world to fit.
        how: sizes and seed of the search.
        predict_seeds: simulated seeds of the predictions.
        jobs: processes at a time; the outcome does not depend on it.
        on_progress: gets the number of evaluations just done.
    """
    tried = search(problem, how, jobs=jobs, on_progress=on_progress)
    chosen = plausible(problem, tried, how)
    best = tried.best
    runs = _predicted_runs(problem, tried, [best, *chosen], predict_seeds, jobs)
    predictions = [_prediction(problem.real, key, runs) for key in problem.real.others]
    tau, p_value = _rank_correlation(predictions)
    return Model(
        name=problem.world.model,
        settings=problem.world.held | tried.points[best],
        intervals=intervals(problem, tried, chosen),
        loss=tried.losses[best],
        uniform=_uniform_curves(problem, tried.points[best], runs[0]),
        predictions=predictions,
        tau=tau,
        p_value=p_value,
        inside=sum(prediction.inside for prediction in predictions),
        extra={"evaluations": len(tried.values), "targets": tried.targets[0].size},
    )


def _predicted_runs(
    problem: Problem, tried: Tried, places: Sequence[int], seeds: int, jobs: int | None
) -> list[Simulated]:
    """Runs of all allocators at the plausible settings, the first (the best) with more seeds."""
    keys = [problem.real.uniform, *problem.real.others]
    distinct = list(dict.fromkeys(places))[:MOST_PLAUSIBLE]
    items = [
        (tried.points[place], keys, seeds if place == places[0] else problem.seeds)
        for place in distinct
    ]
    return list(in_parallel(problem.simulate, items, jobs=jobs, ordered=True))


def _uniform_curves(
    problem: Problem, best: dict[str, Any], simulated: Simulated
) -> dict[str, dict[str, list[float]]]:
    """Curves of uniform, real and simulated, and held-out ones at the other learning rates."""
    real = problem.real
    groups = list(real.series[real.uniform].values()), simulated[real.uniform]
    curves = {
        name: {
            kind: np.mean([getattr(series, name) for series in group], axis=0).tolist()
            for kind, group in zip(("real", "simulated"), groups, strict=True)
        }
        for name in CURVES
    }
    others = zip(real.rates.items(), problem.at_rates(best), strict=True)
    for (factor, own), at_rate in others:
        curves[f"heldout, learning rate x {factor:g}"] = {
            "real": np.mean([series.heldout for series in own.values()], axis=0).tolist(),
            "simulated": np.mean([series.heldout for series in at_rate], axis=0).tolist(),
        }
    return curves


def _rank_correlation(predictions: Sequence[Prediction]) -> tuple[float | None, float | None]:
    """Kendall's tau and its p-value; uniform itself, at 0, is one of the ranks."""
    from scipy import stats

    if len(predictions) < 2:
        return None, None
    test = stats.kendalltau(
        [0.0, *(prediction.real for prediction in predictions)],
        [0.0, *(prediction.predicted for prediction in predictions)],
    )
    return float(test.statistic), float(test.pvalue)


def _prediction(real: RealRuns, key: Key, runs: Sequence[Simulated]) -> Prediction:
    """Of one adaptive run; ``runs``: at the plausible settings, the best first."""
    base, own = real.series[real.uniform], real.series[key]
    shared = [seed for seed in own if seed in base]
    observed = mean_interval([100 * (own[s].final - base[s].final) for s in shared])
    differences = [_difference(real, key, simulated) for simulated in runs]
    pairs = zip(runs[0][key], runs[0][real.uniform], strict=True)
    norm = float(np.mean([own[s].norm / base[s].norm for s in shared]))
    return Prediction(
        allocator=key[0],
        weighting=key[1],
        real=observed.mean,
        real_half=half_width(observed),
        predicted=differences[0],
        low=min(differences),
        high=max(differences),
        norm_real=norm if math.isfinite(norm) else None,
        norm_predicted=float(np.mean([adaptive.norm / even.norm for adaptive, even in pairs])),
    )


def _difference(real: RealRuns, key: Key, simulated: Simulated) -> float:
    """Final accuracy minus uniform's in points, mean over simulated seeds."""
    pairs = zip(simulated[key], simulated[real.uniform], strict=True)
    return 100 * float(np.mean([adaptive.final - even.final for adaptive, even in pairs]))
