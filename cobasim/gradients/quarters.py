"""A step's rollouts in four quarters, whose gradients tell what its gradient is made of.

Prompts are dealt to two sides a and b, the rollouts of each prompt to two halves 1 and 2. The loss
gives rollout j of group i the coefficient a_j (its weight times its advantage), and a quarter's
gradient is g = sum_j a_j s_j, with s_j the gradient of a response's log-prob.

*The mean of a half.* With phi_i the gradient of the logit of the pass rate p_i,

    E[s | pass] = (1 - p_i) phi_i,   E[s | fail] = -p_i phi_i,

so, given which rollouts passed, half h of group i has the mean c_ih phi_i with

    c_ih = sum over passes a_j - p_i sum over all a_j      (over the half's rollouts).

A group's advantages sum to zero, so c_i1 + c_i2 = sum over the group's passes a_j does not depend
on p_i. c_i1 and c_i2 do, the more the further a half's advantages are from summing to zero
themselves. Hence both halves are drawn with as many passes and as many failures, but for odd ones,
which fall into the same half. A group with a single pass or a single failure cannot be halved that
way: it goes whole into one half, and says nothing of its own part. What is left of p_i is replaced
by the group's share of passes; the sum that it multiplies is then less than one rollout's part.

*The products.* Rollouts are independent given their outcomes. Let |phi_i|^2 have the mean O + H
and phi_i . phi_k the mean H over prompts, and let sum_j a_j^2 |s_j - E s_j|^2 have the mean
v sum_j a_j^2. With C_q the sum of c over a quarter:

    (g_a1 + g_a2) . (g_b1 + g_b2)     H (C_a1 + C_a2) (C_b1 + C_b2)
    g_a1 . g_a2 + g_b1 . g_b2         O sum_i c_i1 c_i2 + H (C_a1 C_a2 + C_b1 C_b2)
    sum_q |g_q|^2                     v sum_j a_j^2 + O sum_ih c_ih^2 + H sum_q C_q^2

are their expectations: three equations for H, O and v, without bias. They are averaged over steps
before they are solved (``RunningParts``).

Assumed: prompts are alike, but for what the averages say; rewards are 0 and 1; the rollouts are the
policy's own.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError

QUARTERS = 4  # a1, a2, b1, b2, in this order
OUTSIDE = -1  # the quarter of a rollout that is in none


@dataclass(frozen=True)
class Equations:
    """The three products of a step and what stands beside H, O and v in their expectations.

    Attributes:
        across, between, square: the products in the module's order.
        across_shared: beside H in ``across``.
        between_shared, between_own: beside H and O in ``between``.
        square_shared, square_own, square_noise: beside H, O and v in ``square``.
        groups: with signal, and ``variance``, the sum of their p (1-p), shares of passes for p.
    """

    across: float
    across_shared: float
    between: float
    between_shared: float
    between_own: float
    square: float
    square_shared: float
    square_own: float
    square_noise: float
    groups: float
    variance: float

    def to_array(self) -> FloatArray:
        """(11,) in the order of the attributes; they may be averaged."""
        return np.array(astuple(self))


@dataclass(frozen=True, eq=False)
class Quarters:
    """Which quarter each rollout is in, and the means that its gradient has then.

    Attributes:
        quarter: (n,) 0 .. 3 for a1, a2, b1, b2; -1 without signal.
        mean: (2, g) c of the halves of each group with signal.
        side: (g,) 0 or 1, for a or b.
        noise: sum of the squared coefficients.
        variance: sum over groups of p (1-p), with shares of passes.
    """

    quarter: IntArray
    mean: FloatArray
    side: IntArray
    noise: float
    variance: float

    def equations(self, products: FloatArray) -> Equations:
        """The step's equations, from the inner products (4, 4) of its quarters' gradients."""
        totals = np.stack([self.mean[:, self.side == side].sum(axis=1) for side in (0, 1)])
        first, second = self.mean
        return Equations(
            across=float(products[:2, 2:].sum()),
            across_shared=float(totals[0].sum() * totals[1].sum()),
            between=float(products[0, 1] + products[2, 3]),
            between_shared=float((totals[:, 0] * totals[:, 1]).sum()),
            between_own=float(first @ second),
            square=float(np.trace(products)),
            square_shared=float((totals * totals).sum()),
            square_own=float((self.mean * self.mean).sum()),
            square_noise=self.noise,
            groups=float(self.side.size),
            variance=self.variance,
        )


def split_quarters(
    rewards: FloatArray, group: IntArray, coefficient: FloatArray, rng: np.random.Generator
) -> Quarters:
    """Deal the rollouts of a step (n,) to quarters at random.

    Args:
        rewards: 0 or 1.
        group: integers that name the prompt of each rollout.
        coefficient: weight times advantage of each; those of a group sum to 0. Rollouts of groups
            where all are 0 are in no quarter.
        rng: draws sides and halves.

    Raises InputError for other rewards than 0 and 1.
    """
    if not np.isin(rewards, (0.0, 1.0)).all():
        odd = float(rewards[~np.isin(rewards, (0.0, 1.0))][0])
        raise InputError(
            f"the parts of a gradient are measured from rewards of 0 and 1, got {odd:g}: set "
            "update.measure_parts to false and take an allocator that does not read parts"
        )
    passed = rewards == 1.0
    names, index = np.unique(group, return_inverse=True)
    signal = np.flatnonzero(np.bincount(index, np.abs(coefficient), minlength=names.size) > 0)
    sides = np.zeros(names.size, dtype=np.int64)
    sides[rng.permutation(signal)] = np.arange(signal.size) % 2
    half = np.full(group.size, OUTSIDE, dtype=np.int64)
    for number in signal:
        rows = np.flatnonzero(index == number)
        half[rows] = _halves(passed[rows], rng)
    rows = np.flatnonzero(half != OUTSIDE)
    share = np.bincount(index, passed, minlength=names.size) / np.bincount(index)
    place = half[rows] * names.size + index[rows]
    up, total = (
        np.bincount(place, values, minlength=2 * names.size).reshape(2, -1)
        for values in (coefficient[rows] * passed[rows], coefficient[rows])
    )
    return Quarters(
        quarter=np.where(half == OUTSIDE, OUTSIDE, 2 * sides[index] + half),
        mean=(up - share * total)[:, signal],
        side=sides[signal],
        noise=float(coefficient @ coefficient),
        variance=float((share * (1.0 - share))[signal].sum()),
    )


def _halves(passed: BoolArray, rng: np.random.Generator) -> IntArray:
    """0 or 1 for each rollout of a mixed group; see the module."""
    larger = int(rng.integers(2))  # the half of the odd ones
    result = np.full(passed.size, larger, dtype=np.int64)
    outcomes = [np.flatnonzero(passed == outcome) for outcome in (True, False)]
    if min(rows.size for rows in outcomes) < 2:
        return result
    for rows in outcomes:
        result[rng.permutation(rows)[: rows.size // 2]] = 1 - larger
    return result
