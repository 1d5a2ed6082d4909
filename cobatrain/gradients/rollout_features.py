"""Features from rollouts, for tasks in which no answer is known: unbiased, in two halves.

With r = 1 for a pass and s the gradient of a whole response's log-prob, E s = 0 and E[r s] is the
gradient of p, so that

    E[s | pass] = grad p / p,  E[s | failure] = -grad p / (1 - p),
    phi = d logit p / d parameters = E[s | pass] - E[s | failure]

The mean of s over passes minus its mean over failures is phi without bias, whatever p is: no
estimate of p enters. (It is mean (r - q) s / (q (1 - q)) with q the sampled rate of the very
rollouts that it weighs.) So passes and failures are dealt to two halves, each with one of both at
least. Given their numbers the halves are independent, phi'. phi'' has the mean |phi|^2, and the
square of phi' - phi'' is the noise. What is stored has it taken out: ``cobasim.gradients.noisy``.

Units: s is a sum over the tokens of a response, as p's own derivative is. (The groups' parts have
means over tokens, as the loss has, times the mean length.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray, RealArray
from cobasim.gradients import CleanFeatures, LowRank, Measured, NoisyFeatures
from cobatrain.gradients.features import REPEATED, Features, sketch_error
from cobatrain.gradients.ledger import Arrays
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.per_prompt import inner_product, weighted_gradient
from cobatrain.gradients.prompt_rollouts import PromptRollouts
from cobatrain.gradients.tools import Tools

PROMPTS = 2  # that give the directions, in directions


class RolloutFeatures:
    """Two backward passes a prompt; prompts in random order, each dropped once it is done."""

    def __init__(self, tools: Tools, metric: Metric, sampled: PromptRollouts) -> None:
        self._tools, self._metric, self._sampled = tools, metric, sampled
        self._chosen = tools.chosen
        options, size = tools.options, len(tools.chosen.prompts)
        self._adam, self._plain = (
            NoisyFeatures(tools.sketch.dim, min(rank, size), PROMPTS * rank)
            for rank in (options.rank, options.plain_rank)
        )

    def measure(self) -> Features:
        """Everything.

        Raises InputError for gradients that are not finite, and if fewer than 8 prompts have two
        passes and two failures.
        """
        tools, sampled = self._tools, self._sampled
        rng = np.random.default_rng([tools.options.seed, 4])
        order = rng.permutation(np.flatnonzero(sampled.measurable))
        success = [sampled.of(i)[2] for i in order.tolist()]
        halves = [split(passes, rng) for passes in success]

        def work(place: int) -> Arrays:
            return self._measured(int(order[place]), halves[place], again=place < REPEATED)

        twice: list[tuple[RealArray, RealArray]] = []
        for place, found in enumerate(tools.ledger.each("features", range(order.size), work)):
            known = Measured(
                level=str(self._chosen.levels[order[place]]),
                rate=float(sampled.rates[order[place]]),
                weight=evidence(success[place], halves[place]),
                product=float(found["plain product"]),
            )
            self._plain.add(found["plain"][0], found["plain"][1], known)
            known = replace(known, product=float(found["adam product"]))
            self._adam.add(found["adam"][0], found["adam"][1], known)
            if "again" in found:
                twice.append((found["adam"].sum(axis=0) / 2, found["again"]))
            tools.on_done("features", place + 1, order.size)
        return self._features(order, sketch_error(*map(np.stack, zip(*twice, strict=True))))

    def _measured(self, number: int, halves: tuple[IntArray, IntArray], *, again: bool) -> Arrays:
        """Sketches (2, D) of a prompt's halves and their product in both metrics.

        ``again``: also the second sketch (D,) of their mean.
        """
        tools, (rollouts, rows, success) = self._tools, self._sampled.of(number)
        parts = [
            weighted_gradient(
                tools.model, rollouts, rows[half], difference(success[half]), tools.temperature
            )
            for half in halves
        ]
        scaled = [
            [self._metric.apply(k, gradient) for k, gradient in enumerate(part)] for part in parts
        ]
        found: dict[str, np.ndarray[Any, Any]] = {}
        for name, pair in (("plain", parts), ("adam", scaled)):
            found[name] = np.stack([tools.sketch.sketch(part).cpu().numpy()[0] for part in pair])
            found[f"{name} product"] = np.array(inner_product(*pair))
        if again:
            mean = ((a + b) / 2 for a, b in zip(*scaled, strict=True))
            found["again"] = tools.second.sketch(mean).cpu().numpy()[0]
        return found

    def _features(self, order: IntArray, error: float) -> Features:
        clean, plain = self._adam.finish(), self._plain.finish()
        coordinates, own = self._all(clean, order)
        plain_coordinates, rest = self._all(plain, order)
        size, rates = len(self._chosen.prompts), self._sampled.rates
        inside, outside = (float(np.square(part).sum()) for part in (clean.coordinates, clean.own))
        # one alternative a prompt: not to pass, with minus the logit as its log-odds
        return Features(
            prompt=np.arange(size),
            position=np.zeros(size, dtype=np.int64),
            token=np.full(size, -1, dtype=np.int64),
            odds=np.log1p(-rates) - np.log(rates),
            coordinates=-coordinates.astype(np.float32),
            own=-own,
            directions=clean.directions,
            plain=LowRank(plain_coordinates, rest, plain.directions.astype(np.float64)),
            outside=0.0,
            error=error,
            kept=inside / max(inside + outside, 1e-300),
        )

    def _all(self, clean: CleanFeatures, order: IntArray) -> tuple[FloatArray, FloatArray]:
        """Coordinates (n, r) and own parts (n,) of all prompts, those not measured by the rule."""
        levels = self._chosen.levels
        coordinates = np.zeros((levels.size, clean.coordinates.shape[1]))
        own = np.zeros(levels.size)
        coordinates[order], own[order] = clean.coordinates, clean.own
        for i in np.flatnonzero(~self._sampled.measurable):
            coordinates[i], own[i] = clean.typical(str(levels[i]), float(self._sampled.rates[i]))
        return coordinates, own


def split(success: BoolArray, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Rollouts (n,) in two halves at random, passes and failures shared evenly between them.

    Needs two of each. Odd ones go to different halves.
    """
    passes, failures = (rng.permutation(np.flatnonzero(success == kind)) for kind in (True, False))
    some, others = passes.size // 2, -(-failures.size // 2)
    return (
        np.sort(np.concatenate([passes[:some], failures[:others]])),
        np.sort(np.concatenate([passes[some:], failures[others:]])),
    )


def difference(success: BoolArray) -> FloatArray:
    """Weights (n,) of rollouts that give the mean of passes minus the mean of failures."""
    passes = int(success.sum())
    return np.where(success, 1.0 / passes, -1.0 / (success.size - passes))


def evidence(success: BoolArray, halves: tuple[IntArray, IntArray]) -> float:
    """1 / variance of the mean of the halves, in units of that of one pass or failure."""
    variance = 0.0
    for half in halves:
        passes = int(success[half].sum())
        variance += (1.0 / passes + 1.0 / (half.size - passes)) / 4.0
    return 1.0 / variance
