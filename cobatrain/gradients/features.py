"""The features of all prompts of a measurement: sketched, then kept in a few directions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cobasim.arrays import FloatArray, IntArray, RealArray
from cobasim.gradients import LowRank, compress, folded
from cobatrain.exact import ExactAnswers
from cobatrain.gradients.alternatives import Alternatives, alternatives_of
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.rollout_groups import MeasuredNoise
from cobatrain.learner import LanguageModelLearner
from cobatrain.sketch import CountSketch

REPEATED = 64  # prompts whose features are sketched twice, to know the error
OUTER = 1024  # alternatives by which the noise outside the directions is measured
ROWS = 6  # vectors from which directions are found, in directions


@dataclass(frozen=True)
class Features:
    """What the world needs of n prompts with N alternatives in all.

    Attributes:
        prompt, position, token: (N,) of each alternative.
        odds: (N,) log-odds at the start.
        coordinates: (N, r + rest) gradients of the log-odds in Adam's metric: along the directions,
            then a second sketch of what lies outside them.
        own: (N,) without a second sketch: along a direction that is the prompt's alone, that of
            what its logit's gradient has outside the directions. Else 0.
        directions: (r, D) in the space of sketches.
        outside: variance of a rollout's noise along what alternatives have outside the directions,
            for each of its numbers.
        plain: gradients of the prompts' logits (n) in the plain metric, in few directions.
        error: of an inner product from the sketch, in units of the product of the lengths.
        kept: share of the squared lengths of the logits' gradients that lies in the directions.
    """

    prompt: IntArray
    position: IntArray
    token: IntArray
    odds: FloatArray
    coordinates: RealArray
    own: FloatArray
    directions: RealArray
    plain: LowRank
    outside: float
    error: float
    kept: float


class FeatureMeasurement:
    """Two passes: some prompts, to find the directions; then all, each dropped once it is done.

    Raises InputError for gradients that are not finite.
    """

    def __init__(
        self,
        learner: LanguageModelLearner,
        options: GradientOptions,
        sketch: CountSketch,
        metric: Metric,
        answers: ExactAnswers,
        noise: MeasuredNoise,
    ) -> None:
        self._noise = noise
        self._model, self._options = learner.model, options
        self._temperature = learner.config.sampling.temperature
        self._sketch, self._metric, self._answers = sketch, metric, answers
        self._second = CountSketch(sketch.sizes, sketch.dim, sketch.seed + 1)

    def measure(self, on_done: Callable[[str, int, int], None]) -> Features:
        """Everything; ``on_done`` gets the name of a phase, what is done of it, and its total."""
        directions, error, outer = self._directions(on_done)
        size = self._answers.size
        plain = np.zeros((size, self._sketch.dim), dtype=np.float32)
        parts: list[tuple[Alternatives, RealArray, FloatArray]] = []
        inside = whole = 0.0
        for i in range(size):
            found = self._alternatives(i)
            weights = logit_weights(found)
            rows, plain[i], _ = self._both(found, weights, None)
            kept = rows @ directions.T
            weights = weights.astype(np.float32)
            coordinates, own = self._outside(weights, rows - kept @ directions, kept)
            parts.append((found, coordinates, own))
            inside += float(np.square(weights @ kept).sum())
            whole += float(np.square(weights @ rows).sum())
            on_done("features", i + 1, size)
        return Features(
            prompt=np.repeat(np.arange(size), [found.odds.size for found, _, _ in parts]),
            position=np.concatenate([found.position for found, _, _ in parts]),
            token=np.concatenate([found.token for found, _, _ in parts]),
            odds=np.concatenate([found.odds for found, _, _ in parts]),
            coordinates=np.concatenate([coordinates for _, coordinates, _ in parts]),
            own=np.concatenate([own for _, _, own in parts]),
            directions=directions,
            plain=compress(plain, self._options.plain_rank),
            outside=self._noise_outside(directions, outer),
            error=error,
            kept=inside / max(whole, 1e-300),
        )

    def _outside(
        self, weights: RealArray, left: RealArray, kept: RealArray
    ) -> tuple[RealArray, FloatArray]:
        """Coordinates and own parts of a prompt, from what its rows have outside directions."""
        options = self._options
        if options.rest:
            both = np.concatenate([kept, folded(left, options.rest, options.seed)], axis=1)
            return both, np.zeros(len(left))
        rest = weights @ left
        own = left @ (rest / max(float(np.linalg.norm(rest)), 1e-30))
        return kept, own.astype(np.float64)

    def _noise_outside(self, directions: RealArray, outer: RealArray) -> float:
        """Mean square of a rollout's noise along unit vectors (k, D) outside the directions.

        The noise itself is spread over many more directions than those that features have, so its
        whole variance outside would be far too much. The sketch adds |noise|^2 / D, taken away.
        """
        noise = self._noise.noise
        noise = noise - (noise @ directions.T) @ directions
        along = float(np.square(noise @ outer.T).mean())
        bias = float(np.square(noise).sum(axis=1).mean()) / noise.shape[1]
        return float(max(along - bias, 0.0))

    def _alternatives(self, number: int) -> Alternatives:
        like = self._options.like
        rows = (
            slice(0) if like is None else slice(*np.searchsorted(like.prompt, [number, number + 1]))
        )
        return alternatives_of(
            self._model,
            self._answers,
            number,
            self._temperature,
            self._options.least,
            None if like is None else (like.position[rows], like.token[rows]),
        )

    def _directions(
        self, on_done: Callable[[str, int, int], None]
    ) -> tuple[RealArray, float, RealArray]:
        """Those (r, D) in which alternatives, as likely as they are, lie most; the sketch's error;
        and unit vectors (k, D) along what some of them have outside.

        From prompts at random, held-out ones among them.
        """
        size, most = self._answers.size, ROWS * self._options.rank
        rng = np.random.default_rng([self._options.seed, 4])
        rows: list[RealArray] = []
        logits: list[tuple[RealArray, RealArray]] = []
        count = 0
        for i in rng.permutation(size):
            found = self._alternatives(int(i))
            weights = logit_weights(found)
            second = self._second if len(logits) < REPEATED else None
            sketched, _, again = self._both(found, weights, second)
            if second is not None:
                logits.append((weights @ sketched, again))
            rows.append(sketched * np.sqrt(found.probability)[:, None].astype(np.float32))
            count += len(sketched)
            on_done("directions", min(count, most), most)
            if count >= most:
                break
        on_done("directions", most, most)
        vectors = np.concatenate(rows)
        directions = compress(vectors, self._options.rank).directions.astype(np.float32)
        error = sketch_error(*map(np.stack, zip(*logits, strict=True)))
        left = vectors - (vectors @ directions.T) @ directions
        left = left[rng.permutation(len(left))[:OUTER]]
        lengths = np.linalg.norm(left, axis=1, keepdims=True)
        return directions, error, left / np.maximum(lengths, 1e-30)

    def _both(
        self, found: Alternatives, weights: FloatArray, second: CountSketch | None
    ) -> tuple[RealArray, RealArray, RealArray]:
        """Sketches of a prompt's alternatives (C, D) in Adam's metric; of its logit's gradient
        (D,) in the plain one, and (D,) in Adam's by the second sketch, if there is one."""
        dim = self._sketch.dim
        rows = np.zeros((found.odds.size, dim), dtype=np.float32)
        plain, again = np.zeros((2, dim), dtype=np.float32)
        for some, gradients in found.gradients():
            total = self._sketch.zeros(len(gradients[0]), gradients[0].device)
            single, other = (self._sketch.zeros(device=gradients[0].device) for _ in range(2))
            for number, gradient in enumerate(gradients):
                part = gradient.float()
                weighted = part.new_tensor(weights[some]) @ part
                self._sketch.add(single, number, weighted[None])
                scaled = part * self._metric.roots[number].reshape(1, -1)
                self._sketch.add(total, number, scaled)
                if second is not None:
                    second.add(other, number, (part.new_tensor(weights[some]) @ scaled)[None])
            rows[some] = _numpy(total)
            plain += _numpy(single)[0]
            again += _numpy(other)[0]
        return rows, plain, again


def logit_weights(found: Alternatives) -> FloatArray:
    """(C,) by which the alternatives' gradients add up to that of logit p.

    d log p = - sum probability_v d a_v, and d logit p = d log p / (1 - p).
    """
    return np.asarray(-found.probability / max(-np.expm1(found.log_rate), 1e-12))


def _numpy(tensor: Tensor) -> RealArray:
    return np.asarray(tensor.cpu().numpy())


def sketch_error(once: RealArray, again: RealArray) -> float:
    """Standard error of a normalised inner product, from two sketches of the same vectors."""
    lengths = np.sqrt((once * once).sum(axis=1) * (again * again).sum(axis=1)) ** 0.5
    units = [part / lengths[:, None] for part in (once, again)]
    difference = units[0] @ units[0].T - units[1] @ units[1].T
    off = ~np.eye(len(once), dtype=np.bool_)
    return float(np.sqrt((difference[off] ** 2).mean() / 2.0))
