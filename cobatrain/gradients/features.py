"""The features of all prompts of a measurement: sketched, then kept in a few directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from cobasim.arrays import FloatArray, IntArray, RealArray
from cobasim.gradients import LowRank, compress, folded
from cobatrain.exact import ExactAnswers
from cobatrain.gradients.alternatives import Alternatives, alternatives_of
from cobatrain.gradients.ledger import Arrays
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.rollout_groups import MeasuredNoise
from cobatrain.gradients.tools import Tools
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
        self, tools: Tools, metric: Metric, answers: ExactAnswers, noise: MeasuredNoise
    ) -> None:
        self._tools, self._metric = tools, metric
        self._answers, self._noise = answers, noise

    def measure(self) -> Features:
        """Everything."""
        tools, size = self._tools, self._answers.size
        directions, error, outer = self._directions()

        def work(number: int) -> Arrays:
            return self._measured(number, directions)

        parts: list[Arrays] = []
        for found in tools.ledger.each("features", range(size), work):
            parts.append(found)
            tools.on_done("features", len(parts), size)
        inside, whole = (sum(float(part[name]) for part in parts) for name in ("inside", "whole"))
        return Features(
            prompt=np.repeat(np.arange(size), [part["odds"].size for part in parts]),
            **{
                name: np.concatenate([part[name] for part in parts])
                for name in ("position", "token", "odds", "coordinates", "own")
            },
            directions=directions,
            plain=compress(np.stack([part["plain"] for part in parts]), tools.options.plain_rank),
            outside=self._noise_outside(directions, outer),
            error=error,
            kept=inside / max(whole, 1e-300),
        )

    def _measured(self, number: int, directions: RealArray) -> Arrays:
        """What one prompt has along and outside the directions."""
        found = self._alternatives(number)
        weights = logit_weights(found)
        rows, plain, _ = self._both(found, weights, None)
        kept = rows @ directions.T
        weights = weights.astype(np.float32)
        coordinates, own = self._outside(weights, rows - kept @ directions, kept)
        return {
            "position": found.position,
            "token": found.token,
            "odds": found.odds,
            "coordinates": coordinates,
            "own": own,
            "plain": plain,
            "inside": np.square(weights @ kept).sum(),
            "whole": np.square(weights @ rows).sum(),
        }

    def _outside(
        self, weights: RealArray, left: RealArray, kept: RealArray
    ) -> tuple[RealArray, FloatArray]:
        """Coordinates and own parts of a prompt, from what its rows have outside directions."""
        options = self._tools.options
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
        tools, like = self._tools, self._tools.options.like
        rows = (
            slice(0) if like is None else slice(*np.searchsorted(like.prompt, [number, number + 1]))
        )
        return alternatives_of(
            tools.model,
            self._answers,
            number,
            tools.temperature,
            tools.options.least,
            None if like is None else (like.position[rows], like.token[rows]),
        )

    def _directions(self) -> tuple[RealArray, float, RealArray]:
        """Those (r, D) in which alternatives, as likely as they are, lie most; the sketch's error;
        and unit vectors (k, D) along what some of them have outside.

        From prompts at random, held-out ones among them.
        """
        tools, size, rank = self._tools, self._answers.size, self._tools.options.rank
        most = ROWS * rank
        rng = np.random.default_rng([tools.options.seed, 4])
        order = rng.permutation(size)
        rows: list[RealArray] = []
        logits: list[tuple[RealArray, RealArray]] = []
        count = 0
        items = list(enumerate(order.tolist()))
        for found in tools.ledger.each("directions", items, self._likely):
            if "again" in found:
                logits.append((found["once"], found["again"]))
            rows.append(found["rows"])
            count += len(found["rows"])
            tools.on_done("directions", min(count, most), most)
            if count >= most:
                break
        tools.on_done("directions", most, most)
        vectors = np.concatenate(rows)
        directions = compress(vectors, rank).directions.astype(np.float32)
        error = sketch_error(*map(np.stack, zip(*logits, strict=True)))
        left = vectors - (vectors @ directions.T) @ directions
        left = left[rng.permutation(len(left))[:OUTER]]
        lengths = np.linalg.norm(left, axis=1, keepdims=True)
        return directions, error, left / np.maximum(lengths, 1e-30)

    def _likely(self, item: tuple[int, int]) -> Arrays:
        """A prompt's alternatives by how likely they are; of the first ones, its logit twice."""
        place, number = item
        found = self._alternatives(number)
        weights = logit_weights(found)
        second = self._tools.second if place < REPEATED else None
        sketched, _, again = self._both(found, weights, second)
        rows = sketched * np.sqrt(found.probability)[:, None].astype(np.float32)
        if second is None:
            return {"rows": rows}
        return {"rows": rows, "once": weights @ sketched, "again": again}

    def _both(
        self, found: Alternatives, weights: FloatArray, second: CountSketch | None
    ) -> tuple[RealArray, RealArray, RealArray]:
        """Sketches of a prompt's alternatives (C, D) in Adam's metric; of its logit's gradient
        (D,) in the plain one, and (D,) in Adam's by the second sketch, if there is one."""
        sketch = self._tools.sketch
        dim = sketch.dim
        rows = np.zeros((found.odds.size, dim), dtype=np.float32)
        plain, again = np.zeros((2, dim), dtype=np.float32)
        for some, gradients in found.gradients():
            total = sketch.zeros(len(gradients[0]), gradients[0].device)
            single, other = (sketch.zeros(device=gradients[0].device) for _ in range(2))
            for number, gradient in enumerate(gradients):
                part = gradient.float()
                weighted = part.new_tensor(weights[some]) @ part
                sketch.add(single, number, weighted[None])
                scaled = part * self._metric.roots[number].reshape(1, -1)
                sketch.add(total, number, scaled)
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
