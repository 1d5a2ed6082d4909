"""The answer: what each allocator would gain, how sure that is, and which to use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy import special

from cobasim.allocation import find_allocator
from cobasim.arrays import FloatArray
from cobasim.experiments.advice import worlds as drawn
from cobasim.experiments.advice.case import Case
from cobasim.experiments.advice.known_runs import LEVEL, ModelError, chooses, model_error
from cobasim.records import Run
from cobasim.runs import BASELINE, CompareConfig, in_parallel, plan, settle
from cobasim.scores import final_accuracy, rollouts_to_reach
from cobasim.settings import validated

CANDIDATES = ("signal", "signal-skip", "greso", "knapsack", "coba")
"""Allocators that are asked, the one that strays least from uniform first."""
MOST_HARM = 0.1
"""Chance of a loss that a recommendation may have at the most."""
LEAST_GAIN = 0.1
"""Points that it must gain on average."""


@dataclass(frozen=True)
class Effort:
    """How much is simulated.

    Attributes:
        tried: worlds in which a uniform run is simulated.
        kept: worlds, at the most, in which the allocators are.
        seeds: runs of each allocator in a measured world.
    """

    tried: int = 128
    kept: int = 32
    seeds: int = 4


@dataclass(frozen=True)
class Option:
    """What an allocator is expected to do, in points of held-out accuracy minus uniform's.

    Attributes:
        allocator: its name.
        mean: expected difference.
        low, high: the expected difference is in between with probability LEVEL, for all that is not
            known of the model.
        pair: half of the interval (LEVEL) in which one pair of runs scatters around it.
        hurts: chance that the expected difference is below 0.
        saved: share of the rollouts saved at uniform's final accuracy, the median; negative: more
            are needed; None: cannot be told, as where the simulation has the other sign than
            ``mean``.
        predicted, spread: mean and standard deviation over the worlds alone.
    """

    allocator: str
    mean: float
    low: float
    high: float
    pair: float
    hurts: float
    saved: float | None
    predicted: float
    spread: float

    @property
    def estimator(self) -> str:
        """The rule for pass rates that it is simulated with: its own."""
        return find_allocator(self.allocator).estimator


@dataclass(frozen=True)
class Advice:
    """A recommendation with its reasons.

    Attributes:
        case: what was asked.
        recommended: an allocator, or uniform.
        options: by allocator, in the order of CANDIDATES.
        uniform: held-out points that a uniform run gains: mean, low, high.
        silent: ``Case.silent``.
        narrows: what would narrow the answer: name -> share of its spread that it would take away.
        worlds: how many worlds are behind it, and of how many that were tried.
    """

    case: Case
    recommended: str
    options: tuple[Option, ...]
    uniform: tuple[float, float, float]
    silent: tuple[tuple[str, int, float], ...]
    narrows: Mapping[str, float]
    worlds: tuple[int, int]

    def option(self, allocator: str) -> Option:
        """That of an allocator. Raises KeyError."""
        return {option.allocator: option for option in self.options}[allocator]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        case = {
            name: getattr(self.case, name)
            for name in (
                "source", "kind", "prompts", "batch_size", "total_budget", "low", "high", "visits",
                "steps", "weighting",
            )
        }  # fmt: skip
        return {
            "recommended": self.recommended,
            "level": LEVEL,
            "unit": "points of held-out accuracy minus uniform's",
            "options": [asdict(o) | {"estimator": o.estimator} for o in self.options],
            "uniform_gains": dict(zip(("mean", "low", "high"), self.uniform, strict=True)),
            "one_outcome": [
                {"pass_rate": name, "prompts": prompts, "share": share}
                for name, prompts, share in self.silent
            ],
            "narrows": dict(self.narrows),
            "worlds": {"used": self.worlds[0], "tried": self.worlds[1]},
            "case": case,
            "notes": list(self.case.notes),
        }


def num_runs(case: Case, effort: Effort) -> int:
    """Simulated runs, at the most, for a progress bar."""
    if case.measured is not None:
        return effort.seeds * (1 + len(CANDIDATES))
    again = case.seen is not None  # uniform, at the planned sizes
    return effort.tried + effort.kept * (len(CANDIDATES) + again)


def advise(
    case: Case,
    effort: Effort | None = None,
    *,
    seed: int = 0,
    jobs: int | None = None,
    on_finished: Callable[[], None] = lambda: None,
) -> Advice:
    """Simulate the case and decide.

    Args:
        case: from ``of_pass_rates``, ``of_run`` or ``of_measured``.
        effort: how much is simulated; None: as usual.
        seed: of worlds and runs; the same one gives the same answer, whatever ``jobs``.
        jobs: processes; None: one per processor.
        on_finished: called after each run, for a bar.
    """
    ways = effort or Effort()
    if case.measured is not None:
        return _in_measured_world(case, ways, seed, jobs, on_finished)
    return _in_drawn_worlds(case, ways, seed, jobs, on_finished)


def decide(options: Sequence[Option]) -> str:
    """The allocator that gains most among those that hardly ever hurt; uniform if there is none."""
    sure = [o for o in options if o.hurts <= MOST_HARM and o.mean >= LEAST_GAIN and o.low < o.high]
    return max(sure, key=lambda option: option.mean).allocator if sure else BASELINE


def option(
    error: ModelError, allocator: str, predicted: float, spread: float, saved: float | None = None
) -> Option:
    """A prediction with the error that such predictions had: a Student distribution.

    Args:
        error: of predictions from the same kind of source.
        allocator: its name.
        predicted, spread: mean and standard deviation over worlds or seeds, in points. Both 0: it
            does what uniform does.
        saved: see ``Option``.
    """
    if predicted == spread == 0.0:
        return Option(allocator, 0.0, 0.0, 0.0, 0.0, 0.0, saved, predicted, spread)
    mean, deviation = error.expected(predicted, spread)
    reach = float(special.stdtrit(error.freedom, (1 + LEVEL) / 2)) * deviation
    hurts = float(special.stdtr(error.freedom, -mean / deviation))
    if saved is not None and saved * mean <= 0:  # what worlds show was not true of real runs
        saved = None
    pair = float(special.ndtri((1 + LEVEL) / 2)) * error.pair
    return Option(
        allocator, mean, mean - reach, mean + reach, pair, hurts, saved, predicted, spread
    )


# -- worlds that the case could be -------------------------------------------------------------


def _in_drawn_worlds(
    case: Case, effort: Effort, seed: int, jobs: int | None, on_finished: Callable[[], None]
) -> Advice:
    scaled = drawn.Scaled.of(case, seed)
    seen = scaled if case.seen is None else drawn.Scaled.of(case.seen, seed)
    tried = drawn.draw(effort.tried, seed)
    uniform = drawn.runs_in(seen, tried, (BASELINE,), jobs, on_finished)[BASELINE]
    worlds, index, doubt = drawn.weighed(tried, uniform, case.observed, effort.kept, seed)
    if doubt is not None:
        case = replace(case, notes=(doubt, *case.notes))
    base = [uniform[i] for i in index]
    if seen.config(tried, 0, BASELINE) != scaled.config(tried, 0, BASELINE):  # another run
        base = drawn.runs_in(scaled, worlds, (BASELINE,), jobs, on_finished)[BASELINE]
    runs = drawn.runs_in(scaled, worlds, CANDIDATES, jobs, on_finished)
    differences = {name: _differences(outcomes, base) for name, outcomes in runs.items()}
    options = []
    for name, values in differences.items():
        mean = float(worlds.weight @ values)
        spread = float(np.sqrt(worlds.weight @ (values - mean) ** 2))
        saved = [_saved(a.run, b.run) for a, b in zip(runs[name], base, strict=True)]
        error = model_error(case.kind, chooses(name))
        options.append(option(error, name, mean, spread, _median(saved, worlds.weight)))
    gains = _gains(base)
    widest = max(differences, key=lambda name: float(np.std(differences[name])))
    narrows = {}
    if case.gradients_tell:
        narrows["gradients"] = drawn.told_by(worlds, differences[widest], drawn.GRADIENTS)
    if case.observed is None:
        narrows["uniform run"] = drawn.told_by(worlds, differences[widest], ("learning_rate",))
    return Advice(
        case=case,
        recommended=BASELINE if doubt else decide(options),
        options=tuple(options),
        uniform=(float(worlds.weight @ gains), *_quantiles(gains, worlds.weight)),
        silent=tuple(case.silent()),
        narrows=narrows,
        worlds=(int(worlds.weight.size), effort.tried),
    )


def _differences(one: Sequence[drawn.Outcome], base: Sequence[drawn.Outcome]) -> FloatArray:
    """Points of final accuracy, paired."""
    return np.array(
        [100 * (a.accuracy[-1] - b.accuracy[-1]) for a, b in zip(one, base, strict=True)]
    )


def _gains(runs: Sequence[drawn.Outcome]) -> FloatArray:
    """Points of accuracy that runs gain."""
    return np.array([100 * (run.accuracy[-1] - run.accuracy[0]) for run in runs])


def _quantiles(values: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Weighted quantiles that leave (1 - LEVEL) / 2 on either side, between sorted values."""
    order = np.argsort(values)
    at = np.cumsum(weight[order]) - 0.5 * weight[order]
    tails = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    return tuple(float(np.interp(t, at, values[order])) for t in tails)  # type: ignore[return-value]


# -- a measured world --------------------------------------------------------------------------


def _in_measured_world(
    case: Case, effort: Effort, seed: int, jobs: int | None, on_finished: Callable[[], None]
) -> Advice:
    allocators = (BASELINE, *CANDIDATES)
    settings = {
        "world": f"measured:{case.measured}",
        "num_prompts": case.prompts,
        "steps": case.steps,
        "batch_size": case.batch_size,
        "total_budget": case.total_budget,
        "low": case.low,
        "high": case.high,
        "eval_every": max(1, case.steps // drawn.EVALUATIONS),
        "first_seed": seed * effort.seeds,
    }
    config = validated(
        CompareConfig,
        settle(
            "quick",
            settings,
            allocators=allocators,
            weightings=(case.simulated_weighting,),
            seeds=effort.seeds,
        ),
    )
    runs: dict[str, list[drawn.Outcome]] = {name: [] for name in allocators}
    items = [(run,) for run in plan(config)]
    for outcome in in_parallel(drawn.run_in, items, jobs=jobs, ordered=True):
        runs[outcome.run.header.allocator].append(outcome)
        on_finished()
    base = runs[BASELINE]
    options = []
    for name in CANDIDATES:
        values = _differences(runs[name], base)
        spread = float(values.std(ddof=1) / values.size**0.5) if values.size > 1 else 0.0
        saved = [_saved(a.run, b.run) for a, b in zip(runs[name], base, strict=True)]
        error = model_error(case.kind, chooses(name))
        equal = np.full(len(saved), 1 / len(saved))
        options.append(option(error, name, float(values.mean()), spread, _median(saved, equal)))
    gains = _gains(base)
    half = gains.std(ddof=1) * 2 if gains.size > 1 else 0.0
    return Advice(
        case=case,
        recommended=decide(options),
        options=tuple(options),
        uniform=(float(gains.mean()), float(gains.mean() - half), float(gains.mean() + half)),
        silent=tuple(case.silent()),
        narrows={},
        worlds=(1, 1),
    )


# -- rollouts at equal accuracy ----------------------------------------------------------------


def _saved(run: Run, base: Run) -> float | None:
    """Share of uniform's rollouts that are saved where its final accuracy is reached first.

    Where it is not reached, the share that uniform saves where it reaches the allocator's final
    accuracy, as a negative number. None if neither reaches the other's.
    """
    total = base.steps[-1].rollouts
    for one, other, sign in ((run, base, 1.0), (base, run, -1.0)):
        target = final_accuracy(other)
        reached = None if target is None else rollouts_to_reach(one, target)
        if reached is not None:
            return sign * (1.0 - reached / total)
    return None


def _median(values: Sequence[float | None], weight: FloatArray) -> float | None:
    """Weighted median of those that are known."""
    known = np.array([value is not None for value in values])
    if not known.any():
        return None
    found = np.array([value for value in values if value is not None])
    order = np.argsort(found)
    reached = np.cumsum(weight[known][order])
    return float(found[order][np.searchsorted(reached, 0.5 * reached[-1])])
