"""Budgets from first principles: the batch whose update points best along the true gradient.

The update of a step is the sum of what groups do, sum_i w_i u_i x_i, plus noise. With p_i
believed to be Beta(a_i, b_i), n_i rollouts, group update u (``updates.group_update``) and mean
squared advantage s, expected signal and variance of the noise are sums over prompts:

    S = sum_i w_i E[u | n_i]
    V = sum_i w_i^2 (E[s | n_i] / n_i + ratio E[u^2 | n_i])

w_i = n_i where the loss is weighted per rollout (or token), 1 where it is per prompt: the weight is
part of the allocation. ``ratio`` is the variance of the noise that a prompt's rollouts share,
over that of one rollout. Steps are normalised (clipping, Adam), so what counts is the angle between
the update and the true gradient: maximise S / sqrt(V).

Assumptions: prompts are exchangeable in what they teach the others, noise is independent, and
E over p ~ Beta(a, b) and m ~ Binomial(n, p) stands for the unknown outcome. A group of one outcome
has u = 0, so the chance of it, under a belief that is not a point, is in E already: prompts with a
rate that was once measured as 0 or 1 keep a value.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from cobasim.allocation.base import Allocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import nth_largest, uniform_budgets
from cobasim.arrays import BoolArray, FloatArray, IntArray, RealArray
from cobasim.updates import group_update

NODES = 96  # of the quadrature over p
MOST_EVIDENCE = 400.0  # a + b; sharper beliefs are as good as known, and finer than the nodes
CLASSES = 1024  # prompts that are valued one by one; larger batches are valued by classes
SEARCHES = 12  # at most, for the trade of signal against noise
ENOUGH = 1e-3  # relative gain of S / sqrt(V) at which the search ends
AROUND = (0.8, 1.1, 1.25, 1.4, 1.7)  # times the trade-off, if prompts may get no rollouts
FEW = 16  # budgets that are tabulated at first, at least
FIRST_TABLE = 64  # budgets of the smallest table of moments; others are powers of two


@lru_cache(maxsize=8)
def moments(high: int, kind: str) -> tuple[FloatArray, FloatArray, FloatArray]:
    """E[u], E[s] / n and E[u^2] at the quadrature's nodes, each (NODES, high + 1); 0 at n = 0."""
    p = nodes()[:, None]
    update, square, second = (np.zeros((NODES, high + 1)) for _ in range(3))
    chance = np.concatenate([1.0 - p, p], axis=1)  # (NODES, n + 1) of each number of passes
    for n in range(2, high + 1):
        before, chance = chance, np.zeros((NODES, n + 1))
        chance[:, :-1] = (1.0 - p) * before  # the last rollout failed
        chance[:, 1:] += p * before  # or passed
        u, s = group_update(np.arange(n + 1), np.full(n + 1, n), kind)
        update[:, n], square[:, n], second[:, n] = chance @ u, chance @ (s / n), chance @ (u * u)
    return update, square, second


def nodes() -> FloatArray:
    """(NODES,) pass rates, equally spaced in arcsin sqrt(p)."""
    return np.asarray(np.sin((np.arange(NODES) + 0.5) * (0.5 * np.pi / NODES)) ** 2)


@lru_cache(maxsize=1)
def log_nodes() -> FloatArray:
    """log p, log(1 - p) and -1 at the nodes, (NODES, 3)."""
    return np.stack([np.log(nodes()), np.log1p(-nodes()), -np.ones(NODES)], axis=1)


def belief(a: FloatArray, b: FloatArray) -> FloatArray:
    """(NODES, m) weights of Beta(a, b), each (m,), at the nodes; a column's largest is about 1."""
    shrink = np.minimum(1.0, MOST_EVIDENCE / (a + b))
    a, b = a * shrink - 0.5, b * shrink - 0.5
    mode = np.clip(a / np.maximum(a + b, 1e-9), nodes()[0], nodes()[-1])
    most = a * np.log(mode) + b * np.log1p(-mode)  # the largest, but where a or b is below 0
    weights: FloatArray = log_nodes() @ np.stack([a, b, most])
    return np.exp(weights, out=weights)


def halved(believed: FloatArray) -> FloatArray:
    """(NODES / 2, m) shares of a belief (NODES, m) at p or at 1 - p, p from the nodes below 1/2.

    Moments are the same at both, and the nodes mirror each other.
    """
    half = NODES // 2
    shares: FloatArray = believed[:half] + believed[: half - 1 : -1]
    shares /= shares.sum(axis=0)
    return shares


@dataclass(frozen=True, kw_only=True)
class Signal(Allocator):
    """Maximises the expected signal of the update over its noise, S / sqrt(V).

    The maximum lies where S' / S - V' / (2 V) is equal for all prompts, so the search solves the
    separable problem of S / S0 - V / (2 V0) and moves (S0, V0) there, from uniform, as long as
    S / sqrt(V) rises: it never ends below uniform's.
    """

    source: ClassVar[str] = "this project, docs/signal.md"
    estimator: ClassVar[str] = "posterior"
    needs: ClassVar[frozenset[str]] = frozenset({"beliefs", "evidence"})
    ratio: float = parameter(
        0.3, "variance of the noise that a prompt's rollouts share, over one rollout's", at_least=0
    )
    weighting: str | None = parameter(
        None,
        "how the loss weights prompts; the learner's own by default",
        choices=("rollout", "token", "prompt"),
    )
    update: str = parameter("grpo", "group update", choices=("grpo", "dr-grpo", "rloo"))

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        size = obs.pass_rate.size
        limits = limits.for_batch(size)
        best = uniform_budgets(size, limits)
        if limits.total in (size * limits.low, size * limits.high):
            return best
        a, b = obs.beta()
        kind = np.arange(size)  # (m,) column of each prompt
        if size > CLASSES:
            kind, a, b = classes(a, b)
        shares, weighting = halved(belief(a, b)), self.weighting or obs.weighting
        # few prompts get more than twice the mean: the tables go further only if one does
        width = max(FEW, int(2.0 * limits.total / size))
        while True:
            width = min(width, limits.high)
            signal, nuisance = self.tables(shares, width, weighting)
            budgets = search(signal, nuisance, kind, best, limits)
            if budgets is not None:
                return budgets
            width *= 4

    def tables(
        self, shares: FloatArray, width: int, weighting: str | None
    ) -> tuple[FloatArray, FloatArray]:
        """Signal and noise by budget up to ``width`` and prompt, each (width + 1, c).

        ``shares`` (NODES / 2, c) is what ``halved`` returns.
        """
        most = max(FIRST_TABLE, 1 << (width - 1).bit_length())  # few sizes: each is made once
        half = slice(NODES // 2), slice(width + 1)
        update, square, second = (x[half].T for x in moments(most, self.update))
        weight = np.ones(width + 1) if weighting == "prompt" else np.arange(width + 1.0)
        weight = weight[:, None]
        signal, nuisance = weight * update, weight**2 * (square + self.ratio * second)
        sums = np.concatenate([signal, nuisance]) @ shares
        return sums[: width + 1], sums[width + 1 :]


def search(
    signal: FloatArray, nuisance: FloatArray, kind: IntArray, best: IntArray, limits: Limits
) -> IntArray | None:
    """Budgets (m,) that maximise S / sqrt(V), from ``best`` (m,); see ``Signal``.

    ``signal`` and ``nuisance`` (n, c) are by budget, 0 .. n - 1, and kind of prompt. None if these
    budgets are too few to tell. Where prompts may get no rollouts, budgets jump as the trade-off
    moves, and the search may end early: others around it are tried, too.
    """

    def sums(budgets: IntArray) -> tuple[float, float, float]:
        """S, V and the score S / sqrt(V), 0 where there is no signal."""
        s, v = float(signal[budgets, kind].sum()), float(nuisance[budgets, kind].sum())
        return s, v, s / v**0.5 if s > 0.0 and v > 0.0 else 0.0

    tried, score = best, 0.0
    s, v, value = sums(best)
    for _ in range(SEARCHES):
        if not value > score:
            break
        before, best, score = score, tried, value
        if score <= before * (1.0 + ENOUGH):
            break
        found = greedy(signal - (0.5 * s / v) * nuisance, kind, limits)
        if found is None:
            return None
        tried = found
        s, v, value = sums(tried)
    if limits.low == 0:
        for factor in AROUND:
            s, v, _ = sums(best)
            trade = factor * 0.5 * s / v if v > 0.0 else 0.0  # 0: one rollout each, say
            found = greedy(signal - trade * nuisance, kind, limits)
            if found is None:
                return None
            value = sums(found)[2]
            if value > score:
                best, score = found, value
    return best


def classes(a: FloatArray, b: FloatArray) -> tuple[IntArray, FloatArray, FloatArray]:
    """Group beliefs (m,) into at most 64 x 36 classes of mean and evidence.

    Returns the class of each prompt (m,), and the mean a and b of each class, (c,).
    """
    total = a + b
    level = np.rint(63 * (2 / np.pi) * np.arcsin(np.sqrt(a / total))).astype(np.int64)
    weight = np.clip(np.rint(4 * np.log2(np.minimum(total, MOST_EVIDENCE))), 0, 35)
    _, kind, counts = np.unique(
        36 * level + weight.astype(np.int64), return_inverse=True, return_counts=True
    )
    mean = [np.bincount(kind, weights=values) / counts for values in (a, b)]
    return kind, mean[0], mean[1]


def _rising_mean(gains: RealArray) -> tuple[RealArray, list[BoolArray]]:
    """The best mean gain (c,) of columns (n, c) that are convex at first and concave then.

    Also whether it lies beyond budget 1, 2, ..., each (c,), as far as it does for any column.
    """
    mean, rising = gains[0].copy(), np.ones(gains.shape[1], dtype=bool)
    straight = []
    for n, gain in enumerate(gains[1:], start=1):
        rising &= gain > mean
        if not rising.any():
            break
        straight.append(rising.copy())
        np.copyto(mean, (n * mean + gain) / (n + 1), where=rising)
    return mean, straight


def _best_mean(gains: RealArray) -> tuple[RealArray, list[BoolArray]]:
    """The same of any columns: at 0 and 1 rollouts there is no update, and at 2 more noise."""
    count = np.arange(1, len(gains) + 1, dtype=gains.dtype)
    means = np.cumsum(gains, axis=0) / count[:, None]
    best = means.argmax(axis=0)
    return means.max(axis=0), [best >= n for n in range(1, int(best.max()) + 1)]


def greedy(value: FloatArray, kind: IntArray, limits: Limits) -> IntArray | None:
    """Budgets (m,) of the largest total value, on the concave envelope of each column.

    None if ``value`` ends below ``high`` and a budget may lie beyond its end.

    Args:
        value: (n, c) by budget, 0 .. n - 1 <= high, and kind of prompt. A column is taken to be
            concave beyond the budget of its best mean gain, up to which its envelope is straight;
            and, unless ``low`` is 0, convex before it.
        kind: (m,) column of each prompt.
        limits: feasible for m prompts.

    All prompts but one end where envelope and value meet, so the loss to the true optimum is at
    most one prompt's distance between the two. Ties: the lower index first.
    """
    low, most = limits.low, value.shape[0] - 1
    left = limits.total - kind.size * low
    if left == 0:
        return np.full(kind.size, low, dtype=np.int64)
    # in 32 bits equal gains are equal on any machine, however its linear algebra rounds
    gains = np.empty((most - low, value.shape[1]), dtype=np.float32)
    np.subtract(value[low + 1 :], value[low:-1], out=gains, casting="same_kind")
    mean, straight = _best_mean(gains) if low == 0 else _rising_mean(gains)
    if len(straight) == most - low - 1 and most < limits.high:
        return None  # the best mean gain may lie beyond
    gains[0] = mean
    for gain, convex in zip(gains[1:], straight, strict=False):
        np.copyto(gain, mean, where=convex)
    if (gains[1:] > gains[:-1]).any():
        for above, gain in itertools.pairwise(gains):  # quicker than np.minimum.accumulate
            np.minimum(above, gain, out=gain)
    flat, kinds = gains.reshape(-1), value.shape[1]
    own = kind.size == kinds and bool((kind == np.arange(kinds)).all())  # a column each, in order
    if own:
        bar = nth_largest(flat, left)  # gain of the last rollout
    else:
        order = np.argsort(-flat)  # only the value at the bar is used: the order of ties is not
        counts = np.bincount(kind, minlength=kinds)
        reached = np.cumsum(np.tile(counts, most - low)[order])
        bar = flat[order[np.searchsorted(reached, left)]]
    extra, ties = (gains > bar).sum(axis=0), (gains == bar).sum(axis=0)
    if not own:
        extra, ties = extra[kind], ties[kind]
    before = np.cumsum(ties) - ties
    extra += np.minimum(np.maximum(left - int(extra.sum()) - before, 0), ties)
    if most < limits.high and extra.max() == most - low:
        return None
    return np.asarray(low + extra, dtype=np.int64)
