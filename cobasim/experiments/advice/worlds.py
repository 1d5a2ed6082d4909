"""Worlds that a case could be: drawn from what is known of models, and what happens in them.

A world is a logistic one (docs/world.md). What is not known of a model is drawn: how much of a
prompt's gradient is noise of rollouts, noise of the prompt and shared with others, what noise does
to the policy, and how fast it learns. Ranges are around what was measured on models so far.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import special

from cobasim.arrays import FloatArray, IntArray
from cobasim.data import MeasuredRates
from cobasim.experiments.advice.case import Case, Observed, starting_pool
from cobasim.loop import LoopConfig
from cobasim.records import Run
from cobasim.runs import RunConfig, in_parallel, run_header, simulate
from cobasim.scores import accuracy_curve
from cobasim.world import WorldConfig

RATIOS = {
    "1M model of arithmetic, start": 3.5,
    "1M model of arithmetic, step 40": 2.1,
    "SmolLM2-135M, start": 0.09,
    "SmolLM2-135M, step 40": 2.2,
}
"""Noise of a prompt over noise of a rollout (the ``ratio`` of ``signal``), where it was measured:
four times own / within, as ``GradientParts`` converts at the least (docs/signal.md)."""
PROMPTS, STEPS = 64, 100
"""Most that a step of these worlds has, and a run."""
PER_ROLLOUT = 8192
"""Rollouts a step at which noise 10 makes half of a gradient's norm (docs/world.md)."""
GAIN = (0.01, 0.45)
"""Held-out accuracy that a uniform run gains, least and most, where no run was observed."""
TOLERANCE = 0.03
"""Of curves, against those of an observed run: worlds of a few knobs fit no better."""
FAR = 2.0
"""Root mean square miss of the nearest world, in TOLERANCE, from which none is like the run."""
EVALUATIONS = 10

KNOBS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "noise": lambda u: 10 * np.exp(math.log(0.3) + u * math.log(16)),
    "ratio": lambda u: np.exp(_of_ratios()[0] + _of_ratios()[1] * special.ndtri(u)),
    "transfer": lambda u: 0.2 + 0.7 * u,
    "common": lambda u: 0.2 + 0.6 * u,
    "interference": lambda u: 0.6 * u,
    "harm": lambda u: np.where(u < 0.4, 0.0, np.exp(math.log(0.03) + (u - 0.4) / 0.6 * 2.8)),
    "learning_rate": lambda u: np.exp(math.log(1e-3) + u * math.log(60.0)),
}
"""What is drawn, from a uniform number each. ``noise`` is for 8,192 rollouts a step."""
GRADIENTS = ("noise", "ratio", "transfer", "common", "interference", "harm")
"""Those that a measurement of gradients tells."""


def _of_ratios() -> tuple[float, float]:
    """Mean and standard deviation of log ratio over the models, wider as they are few."""
    logs = np.log(list(RATIOS.values()))
    n = logs.size
    return float(logs.mean()), float(logs.std(ddof=1) * math.sqrt(1 + 1 / n))


@dataclass(frozen=True, eq=False)
class Worlds:
    """Worlds with weights.

    Attributes:
        knobs: (worlds,) by the names of KNOBS.
        weight: (worlds,) summing to 1.
        seeds: (worlds,) of the runs in each.
    """

    knobs: Mapping[str, FloatArray]
    weight: FloatArray
    seeds: IntArray

    def take(self, index: IntArray, weight: FloatArray) -> Worlds:
        """Some of them, with other weights."""
        knobs = {name: values[index] for name, values in self.knobs.items()}
        return Worlds(knobs, weight / weight.sum(), self.seeds[index])


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run in a world came to.

    Attributes:
        run: with the steps that were evaluated.
        accuracy: (evaluations,) of the held-out prompts.
        observed: what a uniform run would have shown.
    """

    run: Run
    accuracy: FloatArray
    observed: Observed


def draw(count: int, seed: int) -> Worlds:
    """Worlds by a scrambled Sobol sequence, all of the same weight."""
    from scipy import stats  # slow to import, here and below

    sobol = stats.qmc.Sobol(len(KNOBS), rng=np.random.default_rng([seed, 0]))
    points = np.clip(sobol.random(count), 1e-6, 1 - 1e-6)
    knobs = {name: np.asarray(KNOBS[name](points[:, i])) for i, name in enumerate(KNOBS)}
    return Worlds(knobs, np.full(count, 1 / count), np.arange(count))


@dataclass(frozen=True, eq=False)
class Scaled:
    """A case in small: at most PROMPTS prompts a step and STEPS steps, the rest in proportion.

    Budgets, visits and the share of noise in a gradient stay: with M / M' times fewer prompts and
    rollouts, the variance of noise shrinks by as much.
    """

    case: Case
    batch: int
    rollouts: int
    steps: int
    pool: MeasuredRates

    @classmethod
    def of(cls, case: Case, seed: int = 0) -> Scaled:
        """Raises nothing: a case is feasible, and so is every part of it. ``seed``: of the pool."""
        batch = min(case.batch_size, PROMPTS)
        rollouts = round(case.total_budget * batch / case.batch_size)
        rollouts = min(max(rollouts, batch * case.low), batch * case.high)
        steps = min(case.steps, STEPS)
        share = steps * batch / (case.steps * case.batch_size)
        size = max(batch, round(case.prompts * share))
        levels = (np.arange(size) + 0.5) / size
        start = starting_pool(case.pass_rates, case.attempts, seed)
        rates = np.quantile(start, levels, method="inverted_cdf")
        pool = MeasuredRates(
            pass_rate=rates, attempts=None, rows=np.arange(size), source=case.source,
            read=size, columns="",
        )  # fmt: skip
        return cls(case, batch, rollouts, steps, pool)

    def config(self, worlds: Worlds, number: int, allocator: str) -> RunConfig:
        """The run of an allocator in one of the worlds."""
        knob = {name: float(values[number]) for name, values in worlds.knobs.items()}
        noise = knob["noise"] * math.sqrt(self.rollouts / PER_ROLLOUT)
        world = WorldConfig(
            num_prompts=self.pool.pass_rate.size,
            num_heldout=500,
            weighting=self.case.simulated_weighting,
            noise=noise,
            prompt_noise=noise * math.sqrt(knob["ratio"]),
            transfer=knob["transfer"],
            common=knob["common"],
            interference=knob["interference"],
            harm=knob["harm"],
            learning_rate=knob["learning_rate"],
        )
        loop = LoopConfig(
            steps=self.steps,
            batch_size=self.batch,
            total_budget=self.rollouts,
            low=self.case.low,
            high=min(self.case.high, self.rollouts),
            eval_every=max(1, self.steps // EVALUATIONS),
        )
        return RunConfig(
            allocator=allocator, seed=int(worlds.seeds[number]), loop=loop, world=world
        )


def run_in(config: RunConfig, pool: MeasuredRates | None = None) -> Outcome:
    """One run; a function that another process can import."""
    _, records = simulate(config, pool)
    evaluated = tuple(record for record in records if record.evaluation is not None)
    run = Run(run_header(config), evaluated, Path())
    return Outcome(run, accuracy_curve(run)[1], Observed.of(records))


def runs_in(
    scaled: Scaled,
    worlds: Worlds,
    allocators: Sequence[str],
    jobs: int | None,
    on_finished: Callable[[], None],
) -> dict[str, list[Outcome]]:
    """Outcomes by allocator, of each world in order; allocators of a world share its seed."""
    size = worlds.weight.size
    items = [
        (scaled.config(worlds, number, name), scaled.pool)
        for name in allocators
        for number in range(size)
    ]
    found = []
    for outcome in in_parallel(run_in, items, jobs=jobs, ordered=True):
        found.append(outcome)
        on_finished()
    return {name: found[i * size : (i + 1) * size] for i, name in enumerate(allocators)}


def weighed(
    worlds: Worlds, uniform: Sequence[Outcome], observed: Observed | None, keep: int, seed: int
) -> tuple[Worlds, IntArray, str | None]:
    """At most ``keep`` worlds that agree with what is known, their numbers, and a doubt or None.

    Without an observed run those count in which a uniform run gains what GAIN allows. With one, a
    world weighs exp(-chi^2 / 2), chi^2 over the failure rates of the parts of the run and the gain
    between the same shares of it; the unit is TOLERANCE, or the root mean square miss of the
    nearest world if that is larger, so that one that is merely the nearest does not count alone.
    Worlds are then drawn by weight (systematic resampling), equal ones merged. The doubt says that
    no world is like the case.
    """
    doubt = None
    if observed is None:
        gain = np.array([_gain(outcome, (0.0, 1.0)) for outcome in uniform])
        fits = np.where((gain >= GAIN[0]) & (gain <= GAIN[1]), 0.0, -np.inf)
        if not np.isfinite(fits).any():
            fits = -np.abs(gain - np.clip(gain, *GAIN)) / TOLERANCE
            doubt = (
                f"In no simulated world does a uniform run gain {100 * GAIN[0]:.0f} to "
                f"{100 * GAIN[1]:.0f} points here: the numbers are those of the nearest worlds, "
                "and nothing but uniform is recommended from them."
            )
    else:
        curves = np.array([outcome.observed.failure for outcome in uniform])
        miss = (curves - observed.failure) / TOLERANCE
        if observed.heldout is not None:
            gain = np.array([_gain(outcome, observed.span) for outcome in uniform])
            miss = np.column_stack([miss, (gain - observed.heldout) / TOLERANCE])
        nearest = float((miss**2).mean(axis=1).min())
        fits = -0.5 * (miss**2).sum(axis=1) / max(1.0, nearest)
        if nearest > FAR**2:
            doubt = (
                "No simulated world learns as this run did (the nearest misses its failure rates "
                f"and its gain by {100 * TOLERANCE * nearest**0.5:.0f} points): the numbers are "
                "those of the nearest worlds, and nothing but uniform is recommended from them."
            )
    weight = np.exp(fits - fits.max()) * worlds.weight
    weight /= weight.sum()
    start = np.random.default_rng([seed, 1]).uniform()
    drawn = np.searchsorted(np.cumsum(weight), (np.arange(keep) + start) / keep, side="right")
    index, counts = np.unique(np.minimum(drawn, weight.size - 1), return_counts=True)
    return worlds.take(index, counts.astype(float)), index, doubt


def _gain(outcome: Outcome, span: tuple[float, float]) -> float:
    """Held-out accuracy gained between two shares of a run, linear between evaluations."""
    at = np.array([record.step for record in outcome.run.steps], dtype=float)
    before, after = np.interp(span, at / at[-1], outcome.accuracy)
    return float(after - before)


def told_by(worlds: Worlds, values: FloatArray, names: Sequence[str]) -> float:
    """Share of the spread of ``values`` (worlds,) that knobs tell, by ranks (R^2, adjusted).

    0 where there are too few worlds to say.
    """
    n, k = values.size, len(names)
    if n < k + 4 or np.ptp(values) == 0:
        return 0.0
    from scipy import stats

    ranks = np.column_stack([np.ones(n), *(stats.rankdata(worlds.knobs[m]) for m in names)])
    y = stats.rankdata(values)
    left = y - ranks @ np.linalg.lstsq(ranks, y, rcond=None)[0]
    share = 1 - (left @ left / (n - k - 1)) / (np.var(y) * n / (n - 1))
    return float(np.clip(share, 0.0, 1.0))
