"""The groups of a measurement: what their rollouts say of noise and of a prompt's own part."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from cobasim.arrays import FloatArray, RealArray
from cobasim.errors import InputError
from cobasim.gradients import MeasuredGroups
from cobatrain.gradients.group import GroupHalves, group_halves, mixed_prompts
from cobatrain.gradients.ledger import Arrays
from cobatrain.gradients.metric import Metric, add_squares, metric_of
from cobatrain.gradients.per_prompt import halves, inner_product, trained_parameters
from cobatrain.gradients.prompt_rollouts import sample_prompts
from cobatrain.gradients.tools import Tools

SAMPLING = "rollouts of groups"


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
        tools: of the measurement.
        rates: (n,) pass rates of the chosen prompts, known from elsewhere than the groups.
        before: rollouts of each prompt that were made already: the groups are others.

    Raises InputError for a pool without prompts that are mixed often enough.
    """

    def __init__(self, tools: Tools, rates: FloatArray, before: int) -> None:
        self._tools, chosen, seed = tools, tools.chosen, tools.options.seed
        mixed = mixed_prompts(rates[~chosen.heldout])
        if mixed.size < 8:
            raise InputError(
                f"only {mixed.size} of {chosen.pool.size} prompts have pass rates from 1/16 to "
                "15/16, where groups are mixed: too few to measure what a gradient is made of"
            )
        rng = np.random.default_rng([seed, 2])
        self._which = rng.permutation(mixed)[: tools.options.groups]
        self._rates = rates[~chosen.heldout][self._which]
        sets = [(None, chosen.pool[self._which])]
        self._sampled = sample_prompts(tools, SAMPLING, sets, before)
        rng = np.random.default_rng([seed, 3])
        self._splits = [halves(self._sampled.count, rng) for _ in self._which]
        self._length = self._sampled.length

    def _halves(self, number: int) -> GroupHalves:
        rollouts, rows, success = self._sampled.of(number)
        return group_halves(
            self._tools.model,
            rollouts,
            rows,
            success,
            float(self._rates[number]),
            self._splits[number],
            length=self._length,
            temperature=self._tools.temperature,
        )

    def metric(self) -> Metric:
        """Adam's metric, from all groups.

        From the same ones that are measured: a parameter that only one of them moves would
        otherwise count as one that never moves, and its noise without bound.
        """
        tools, size = self._tools, self._which.size
        squares = [
            torch.zeros(p.shape, dtype=torch.float32, device=p.device)
            for p in trained_parameters(tools.model)
        ]

        def add(number: int) -> None:
            half = self._halves(number)
            for gradient in (half.first, half.second):
                add_squares(squares, gradient)
            tools.on_done("metric", number + 1, size)

        tools.ledger.total("metric", size, add, squares)
        return metric_of(squares, 2 * size)

    def measure(self, metric: Metric) -> MeasuredNoise:
        """All groups: lengths and products in the plain metric, noise in Adam's."""
        size = self._which.size

        def work(number: int) -> Arrays:
            return self._measured(number, metric)

        rows: list[Arrays] = []
        for found in self._tools.ledger.each("groups", range(size), work):
            rows.append(found)
            self._tools.on_done("groups", len(rows), size)
        count, square, product, noise_square, mean, noise = (
            np.stack([row[name] for row in rows])
            for name in ("count", "square", "product", "noise square", "mean", "noise")
        )
        groups = MeasuredGroups(
            prompt=self._which,
            rate=self._rates,
            level=self._tools.chosen.levels[self._which],
            count=count,
            square=square,
            product=product,
            mean=mean,
        )
        return MeasuredNoise(groups, noise, noise_square, self._sampled.count, self._length)

    def _measured(self, number: int, metric: Metric) -> Arrays:
        """What one group says."""
        sketch, half = self._tools.sketch, self._halves(number)
        both = list(zip(half.first, half.second, strict=True))
        first, first_square = sketch.sketch_and_square(half.first)
        second, second_square = sketch.sketch_and_square(half.second)
        product = inner_product(half.first, half.second)
        # (g' - g'') sqrt(k / 2) has the variance of one rollout's noise
        scale = math.sqrt(half.count / 2)
        noise, noise_square = sketch.sketch_and_square(
            metric.apply(n, (a - b) * scale) for n, (a, b) in enumerate(both)
        )
        return {
            "count": np.array(half.count),
            "square": np.array((first_square + second_square) / 2),
            "product": np.array(product),
            "noise square": np.array(noise_square),
            "mean": (first + second) / 2,
            "noise": noise,
        }
