"""The groups of a measurement: what their rollouts say of noise and of a prompt's own part."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray, RealArray
from cobasim.errors import InputError
from cobasim.gradients import MeasuredGroups
from cobatrain.gradients.chosen import Chosen
from cobatrain.gradients.group import group_halves, mixed_prompts
from cobatrain.gradients.metric import Metric, mean_square
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import trained_parameters
from cobatrain.learner import LanguageModelLearner
from cobatrain.sketch import CountSketch


def rollouts_of(learner: LanguageModelLearner, options: GradientOptions) -> int:
    """Rollouts of a prompt: by default twice the mean budget of a step, and at least 4.

    The halves are then groups of that size. Raises InputError for fewer than 4.
    """
    if options.rollouts is not None:
        if options.rollouts < 4:
            raise InputError(
                f"a group needs at least 4 rollouts for two halves, got {options.rollouts}"
            )
        return options.rollouts
    loop = learner.config.loop
    return max(4, 2 * round(loop.total_budget / loop.batch_size))


@dataclass(frozen=True)
class MeasuredNoise:
    """What the groups say: their halves in the plain metric, their noise in Adam's."""

    groups: MeasuredGroups
    noise: RealArray
    """(g, D) sketches of the difference of the halves in Adam's metric, as the noise of one
    rollout: variance of A s along each bucket."""
    squares: FloatArray
    """(g,) their squared lengths, not from the sketch."""
    rollouts: int
    length: float
    """Mean tokens of a response."""


class RolloutGroups:
    """The groups of a measurement; sampled once, differentiated when they are needed.

    Args:
        learner: samples them.
        options: how many.
        sketch: of their gradients.
        chosen: the prompts.
        rates: (n,) pass rates of these, known from elsewhere than the groups.
        before: rollouts of each prompt that were made already: the groups are others.
        on_done: gets the name of a phase, what is done of it, and its total.

    Raises InputError for a pool without prompts that are mixed often enough.
    """

    def __init__(
        self,
        learner: LanguageModelLearner,
        options: GradientOptions,
        sketch: CountSketch,
        chosen: Chosen,
        rates: FloatArray,
        before: int,
        on_done: Callable[[str, int, int], None],
    ) -> None:
        self._learner, self._options, self._sketch = learner, options, sketch
        self._on_done = on_done
        mixed = mixed_prompts(rates[~chosen.heldout])
        if mixed.size < 8:
            raise InputError(
                f"only {mixed.size} of {chosen.pool.size} prompts have pass rates from 1/16 to "
                "15/16, where groups are mixed: too few to measure what a gradient is made of"
            )
        rng = np.random.default_rng([options.seed, 2])
        self._which = rng.permutation(mixed)[: options.groups]
        self._chosen, self._rates = chosen, rates[~chosen.heldout][self._which]
        self._count = rollouts_of(learner, options)
        self._sampled = learner.sample_apart(chosen.pool[self._which], self._count, before=before)

    def _halves(self, some: slice, what: str) -> Any:
        learner = self._learner
        rows = np.arange(self._which.size)[some]
        total = rows.size
        for done, half in enumerate(
            group_halves(
                learner.model,
                self._sampled.rollouts,
                self._sampled.rewards,
                learner.config.sampling.temperature,
                self._rates,
                np.random.default_rng([self._options.seed, 3]),
                rows,
            ),
            start=1,
        ):
            yield half
            self._on_done(what, done, total)

    def metric(self) -> Metric:
        """Adam's metric, from all groups.

        From the same ones that are measured: a parameter that only one of them moves would
        otherwise count as one that never moves, and its noise without bound.
        """
        return mean_square(
            (
                gradient
                for half in self._halves(slice(None), "metric")
                for gradient in (half.first, half.second)
            ),
            trained_parameters(self._learner.model),
        )

    def measure(self, metric: Metric) -> MeasuredNoise:
        """All groups: lengths and products in the plain metric, noise in Adam's."""
        size = self._which.size
        square, product, noise_square = np.zeros((3, size))
        mean = np.zeros((size, self._sketch.dim), dtype=np.float32)
        noise = np.zeros((size, self._sketch.dim), dtype=np.float32)
        counts = np.zeros(size, dtype=np.int64)
        for half in self._halves(slice(None), "groups"):
            i, both = half.prompt, list(zip(half.first, half.second, strict=True))
            counts[i] = half.count
            first, first_square = self._sketch.sketch_and_square(half.first)
            second, second_square = self._sketch.sketch_and_square(half.second)
            mean[i], square[i] = (first + second) / 2, (first_square + second_square) / 2
            product[i] = sum(float((a.double() * b.double()).sum()) for a, b in both)
            # (g' - g'') sqrt(k / 2) has the variance of one rollout's noise
            scale = math.sqrt(half.count / 2)
            noise[i], noise_square[i] = self._sketch.sketch_and_square(
                metric.apply(n, (a - b) * scale) for n, (a, b) in enumerate(both)
            )
        chosen = self._chosen
        groups = MeasuredGroups(
            prompt=self._which,
            rate=self._rates,
            level=chosen.levels[self._which],
            count=counts,
            square=square,
            product=product,
            mean=mean,
        )
        length = float(np.maximum(self._sampled.rollouts.lengths, 1).mean())
        return MeasuredNoise(groups, noise, noise_square, self._count, length)
