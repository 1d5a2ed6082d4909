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

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor

from cobasim.arrays import BoolArray, FloatArray, IntArray, RealArray
from cobasim.gradients import CleanFeatures, LowRank, Measured, NoisyFeatures
from cobatrain.gradients.chosen import Chosen
from cobatrain.gradients.features import REPEATED, Features, sketch_error
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import weighted_gradient
from cobatrain.gradients.prompt_rollouts import PromptRollouts
from cobatrain.learner import LanguageModelLearner
from cobatrain.sketch import CountSketch

PROMPTS = 2  # that give the directions, in directions


class RolloutFeatures:
    """Two backward passes a prompt; prompts in random order, each dropped once it is done."""

    def __init__(
        self,
        learner: LanguageModelLearner,
        options: GradientOptions,
        sketch: CountSketch,
        metric: Metric,
        chosen: Chosen,
        sampled: PromptRollouts,
    ) -> None:
        self._model, self._temperature = learner.model, learner.config.sampling.temperature
        self._sketch, self._metric = sketch, metric
        self._second = CountSketch(sketch.sizes, sketch.dim, sketch.seed + 1)
        self._chosen, self._sampled, self._seed = chosen, sampled, options.seed
        self._adam, self._plain = (
            NoisyFeatures(sketch.dim, min(rank, len(chosen.prompts)), PROMPTS * rank)
            for rank in (options.rank, options.plain_rank)
        )

    def measure(self, on_done: Callable[[str, int, int], None]) -> Features:
        """Everything; ``on_done`` gets the name of a phase, what is done of it, and its total.

        Raises InputError for gradients that are not finite, and if fewer than 8 prompts have two
        passes and two failures.
        """
        rng = np.random.default_rng([self._seed, 4])
        order = rng.permutation(np.flatnonzero(self._sampled.measurable))
        twice: list[tuple[RealArray, RealArray]] = []
        for done, i in enumerate(order.tolist(), start=1):
            rollouts, rows, success = self._sampled.of(i)
            halves = split(success, rng)
            parts = [
                weighted_gradient(
                    self._model, rollouts, rows[half], difference(success[half]), self._temperature
                )
                for half in halves
            ]
            known = Measured(
                level=str(self._chosen.levels[i]),
                rate=float(self._sampled.rates[i]),
                weight=evidence(success, halves),
                product=_product(*parts),
            )
            sketches = [self._sketch.sketch(part).cpu().numpy()[0] for part in parts]
            self._plain.add(sketches[0], sketches[1], known)
            scaled = [
                [self._metric.apply(k, gradient) for k, gradient in enumerate(part)]
                for part in parts
            ]
            sketches = [self._sketch.sketch(part).cpu().numpy()[0] for part in scaled]
            known = replace(known, product=_product(*scaled))
            self._adam.add(sketches[0], sketches[1], known)
            if len(twice) < REPEATED:
                mean = ((a + b) / 2 for a, b in zip(*scaled, strict=True))
                again = self._second.sketch(mean).cpu().numpy()[0]
                twice.append(((sketches[0] + sketches[1]) / 2, again))
            on_done("features", done, order.size)
        return self._features(order, sketch_error(*map(np.stack, zip(*twice, strict=True))))

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


def _product(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    return sum(float((a.double() * b.double()).sum()) for a, b in zip(first, second, strict=True))
