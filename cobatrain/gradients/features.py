"""The features of all prompts of a measurement, sketched in both metrics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cobasim.arrays import FloatArray, RealArray
from cobatrain.gradients.chosen import Chosen
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.per_prompt import LogitGradient, logit_gradients
from cobatrain.gradients.sketch import CountSketch
from cobatrain.learner import LanguageModelLearner

REPEATED = 64  # prompts whose features are sketched twice, to know the error


@dataclass(frozen=True)
class Features:
    """Sketches of the features of all prompts and their true squared lengths, in both metrics."""

    adam: RealArray
    adam_square: FloatArray
    plain: RealArray
    plain_square: FloatArray
    error: float
    """Error of an inner product from the sketch, in units of the product of the lengths."""


def measure_features(
    learner: LanguageModelLearner,
    sketch: CountSketch,
    metric: Metric,
    chosen: Chosen,
    on_done: Callable[[str, int, int], None],
) -> Features:
    """One backward pass for each prompt; the gradient is sketched part by part, and dropped."""
    size = chosen.answers.size
    adam, plain = (np.zeros((size, sketch.dim), dtype=np.float32) for _ in range(2))
    again = np.zeros((min(REPEATED, size), sketch.dim), dtype=np.float32)
    adam_square, plain_square = np.zeros((2, size))
    second = CountSketch(sketch.sizes, sketch.dim, sketch.seed + 1)
    temperature = learner.config.sampling.temperature
    gradients = logit_gradients(learner.model, chosen.answers, temperature, np.arange(size))

    def in_metric(gradient: LogitGradient) -> Iterator[Tensor]:
        return (metric.apply(n, part) for n, part in enumerate(gradient.gradients))

    for i, gradient in enumerate(gradients):
        plain[i], plain_square[i] = sketch.sketch_and_square(gradient.gradients)
        adam[i], adam_square[i] = sketch.sketch_and_square(in_metric(gradient))
        if i < len(again):
            again[i] = second.sketch_and_square(in_metric(gradient))[0]
            again[i] *= gradient.scale
        for vectors, squares in ((plain, plain_square), (adam, adam_square)):
            vectors[i] *= gradient.scale
            squares[i] *= gradient.scale**2
        on_done("features", i + 1, size)
    error = _sketch_error(adam[: len(again)], again)
    return Features(adam, adam_square, plain, plain_square, error)


def _sketch_error(once: RealArray, again: RealArray) -> float:
    """Standard error of a normalised inner product, from two sketches of the same vectors."""
    lengths = np.sqrt((once * once).sum(axis=1) * (again * again).sum(axis=1)) ** 0.5
    units = [part / lengths[:, None] for part in (once, again)]
    difference = units[0] @ units[0].T - units[1] @ units[1].T
    off = ~np.eye(len(once), dtype=np.bool_)
    return float(np.sqrt((difference[off] ** 2).mean() / 2.0))
