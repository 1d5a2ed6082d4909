"""What a group's gradient is made of: its rollouts' noise, its prompt's own part, what is shared.

With A = (r - p) / sqrt(p (1-p)), s the gradient of a response's log-prob and mu_i = E[A s] of
prompt i:

    within   E |A s - mu_i|^2       of one rollout; averages out over rollouts
    own      E |mu_i|^2 - shared    of one prompt; averages out over prompts only
    shared   E mu_i . mu_j, i != j  of all prompts; averages out over nothing: it is the signal

All three are without bias: from two halves g_i', g_i'' of each prompt's rollouts (k each), whose
product has the mean |mu_i|^2 and whose squares have |mu_i|^2 + within_i / k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray, IntArray, RealArray
from cobasim.errors import InputError

RESAMPLES = 400
LEVEL = 0.95  # of the intervals
CLASSES = ((0.0, 0.2), (0.2, 0.4), (0.4, 0.6), (0.6, 0.8), (0.8, 1.0))  # of pass rates


@dataclass(frozen=True, eq=False)
class MeasuredGroups:
    """Groups of rollouts whose gradients were measured in halves, g prompts.

    Attributes:
        prompt: (g,) which prompt of the measurement each is.
        rate: (g,) pass rates.
        level: (g,) names of difficulty levels.
        count: (g,) rollouts of each half.
        square: (g,) mean of the squared lengths of the halves.
        product: (g,) inner product of the halves.
        mean: (g, D) sketches of the mean of the halves, for inner products between prompts.
    """

    prompt: IntArray
    rate: FloatArray
    level: np.ndarray[Any, Any]
    count: IntArray
    square: FloatArray
    product: FloatArray
    mean: RealArray

    @property
    def within(self) -> FloatArray:
        """(g,) estimates of each prompt's within part; a single one may be negative."""
        return np.asarray(self.count * (self.square - self.product), dtype=np.float64)


@dataclass(frozen=True)
class Part:
    """An estimate with its 95 % interval (bootstrap over prompts)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Parts:
    """The three parts over some prompts.

    Attributes:
        name: of the prompts: "all", a level, a range of pass rates.
        prompts: how many.
        within, own, shared: see the module.
    """

    name: str
    prompts: int
    within: Part
    own: Part
    shared: Part

    @property
    def ratio(self) -> float:
        """own / within. The ``ratio`` of ``signal`` is at least four times this: it is in units of
        moves (``GradientParts``). NaN where ``within`` is not above 0."""
        return _share(self.own.value, self.within.value)

    @property
    def signal(self) -> float:
        """shared / own; NaN where ``own`` is not above 0."""
        return _share(self.shared.value, self.own.value)

    def fewest_prompts(self, rollouts: int) -> float:
        """Prompts a step below which their own parts outweigh the noise of N rollouts.

        own / M exceeds within / N for M < N own / within, M counted as 1 / sum w_i^2 over the
        weights of the loss.
        """
        return rollouts * self.ratio

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        parts = {
            name: [getattr(self, name).value, getattr(self, name).low, getattr(self, name).high]
            for name in ("within", "own", "shared")
        }
        ratios = {"own / within": _plain(self.ratio), "shared / own": _plain(self.signal)}
        return {"name": self.name, "prompts": self.prompts, **parts, **ratios}


@dataclass(frozen=True)
class PartsReport:
    """Parts over all prompts, by pass rate and by level, and what levels share.

    Attributes:
        overall: over all prompts.
        by_rate, by_level: over those of a class with at least two prompts.
        levels: names of the levels in ``between``.
        between: mean inner product of the means of prompts of two levels, (levels, levels); NaN for
            a level of one prompt with itself.
    """

    overall: Parts
    by_rate: tuple[Parts, ...]
    by_level: tuple[Parts, ...]
    levels: tuple[str, ...]
    between: FloatArray

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "all": self.overall.to_json(),
            "by pass rate": [parts.to_json() for parts in self.by_rate],
            "by level": [parts.to_json() for parts in self.by_level],
            "levels": list(self.levels),
            "shared between levels": [[_plain(float(x)) for x in row] for row in self.between],
        }


def _share(part: float, whole: float) -> float:
    """One estimate over another, which noise may have left without a meaning."""
    return part / whole if whole > 0 else float("nan")


def _plain(value: float) -> float | None:
    """For JSON, which knows no NaN."""
    return None if np.isnan(value) else value


def measure_parts(groups: MeasuredGroups, rng: np.random.Generator) -> PartsReport:
    """The parts over all groups and by class.

    Args:
        groups: at least two.
        rng: of the bootstrap.

    Raises InputError for fewer than two groups, and for numbers that are not finite.
    """
    if groups.rate.size < 2:
        raise InputError(
            f"the parts of a gradient need at least two prompts with mixed groups, got "
            f"{groups.rate.size}: measure more prompts, or with more rollouts each"
        )
    if not (np.isfinite(groups.square).all() and np.isfinite(groups.mean).all()):
        raise InputError(
            "gradients hold NaN or infinity: the model diverged, or its dtype is coarse"
        )
    gram = (groups.mean @ groups.mean.T).astype(np.float64)
    names = list(dict.fromkeys(groups.level.tolist()))

    def over(name: str, chosen: IntArray) -> Parts:
        return _parts(name, groups, gram, chosen, rng)

    by_rate = []
    for low, high in CLASSES:
        chosen = np.flatnonzero((groups.rate >= low) & ((groups.rate < high) | (high == 1.0)))
        if chosen.size > 1:
            by_rate.append(over(f"{low:g} to {high:g}", chosen))
    places = {name: np.flatnonzero(groups.level == name) for name in names}
    between = np.array([[_cross(gram, places[a], places[b]) for b in names] for a in names])
    return PartsReport(
        overall=over("all", np.arange(groups.rate.size)),
        by_rate=tuple(by_rate),
        by_level=tuple(over(name, places[name]) for name in names if places[name].size > 1),
        levels=tuple(names),
        between=between,
    )


def _parts(
    name: str,
    groups: MeasuredGroups,
    gram: FloatArray,
    chosen: IntArray,
    rng: np.random.Generator,
) -> Parts:
    inner = gram[np.ix_(chosen, chosen)]
    noise, product = groups.within[chosen], groups.product[chosen]
    size = chosen.size
    estimate = _estimates(np.ones((1, size)), noise, product, inner)
    counts = rng.multinomial(size, np.full(size, 1.0 / size), RESAMPLES).astype(np.float64)
    repeated = _estimates(counts, noise, product, inner)
    with np.errstate(invalid="ignore"):
        low, high = np.nanquantile(repeated, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=1)
    made = [
        Part(float(e), float(a), float(b))
        for e, a, b in zip(estimate[:, 0], low, high, strict=True)
    ]
    return Parts(name, int(size), *made)


def _estimates(
    counts: FloatArray, within: FloatArray, product: FloatArray, gram: FloatArray
) -> FloatArray:
    """(3, k) estimates of within, own and shared for k samples of the prompts, (k, m) counts.

    A prompt that is drawn twice is one prompt: pairs of it with itself do not count.
    """
    total = counts.sum(axis=1)
    inner = ((counts @ gram) * counts).sum(axis=1) - (counts * counts) @ np.diag(gram)
    pairs = total * total - (counts * counts).sum(axis=1)
    shared = np.divide(inner, pairs, out=np.full(total.size, np.nan), where=pairs > 0)
    return np.stack([counts @ within / total, counts @ product / total - shared, shared])


def _cross(gram: FloatArray, a: IntArray, b: IntArray) -> float:
    block = gram[np.ix_(a, b)]
    if np.array_equal(a, b):
        return (
            float((block.sum() - np.trace(block)) / (a.size * (a.size - 1)))
            if a.size > 1
            else np.nan
        )
    return float(block.mean())
