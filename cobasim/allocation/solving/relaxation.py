"""The continuous relaxation of the allocation problem: real budgets, solved by its multiplier.

Maximise ``sum_i V(n_i, p_i)`` over real low <= n_i <= high with sum n_i = total. V is concave, so
there is a multiplier L with V'(n_i) = L wherever a bound does not hold n_i; the sum falls as L
rises, and bisection on log L finds it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cobasim.allocation.limits import Limits
from cobasim.allocation.solving.values import CobaValue, KnapsackValue, ValueFunction
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError

HALVINGS = 60  # of [low, high], at most
RESOLUTION = 1e-12  # of a budget, in rollouts


def _coba_log_slope(value: CobaValue, n: FloatArray) -> FloatArray:
    """log dV/dn = log(C k) - k n."""
    slope: FloatArray = value.log_density + np.log(value.decay) - value.decay * n
    return slope


def _knapsack_log_slope(value: KnapsackValue, n: FloatArray) -> FloatArray:
    """log of -(r^n log r + s^n log s) w, r >= s the two of p and 1 - p."""
    tail = np.exp(n * value.log_ratio) * value.log_s / value.log_r
    slope: FloatArray = n * value.log_r + np.log(-value.log_r) + np.log1p(tail) + value.log_weight
    return slope


LOG_SLOPES: dict[type[ValueFunction], Callable[..., FloatArray]] = {
    CobaValue: _coba_log_slope,
    KnapsackValue: _knapsack_log_slope,
}
"""log dV/dn (m,) at real n (m,) of the value functions that have one; -inf where V is 0."""


def relaxed_budgets(value: ValueFunction, limits: Limits) -> FloatArray:
    """The optimal real budgets (m,), which sum to the total to rounding.

    Raises InputError for an infeasible total, a value function without a slope in LOG_SLOPES, or
    a lower bound below the n from which it is concave.
    """
    if type(value) not in LOG_SLOPES:
        known = ", ".join(kind.__name__ for kind in LOG_SLOPES)
        raise InputError(f"no slope is known for {type(value).__name__}; known: {known}")
    if limits.low < value.first:
        raise InputError(
            f"low must be at least {value.first} for {type(value).__name__}, got {limits.low}"
        )
    log_slope = LOG_SLOPES[type(value)]
    size = value.pass_rate.size
    limits = limits.for_batch(size)
    low, high = np.full(size, float(limits.low)), np.full(size, float(limits.high))
    live = log_slope(value, low) > -np.inf
    room = float((high - low)[live].sum())
    left = limits.total - size * limits.low
    if left >= room:  # more than is of use: the rest goes evenly to prompts without value
        budgets = np.where(live, high, low)
        if not live.all():
            budgets[~live] += (left - room) / np.count_nonzero(~live)
        return budgets

    def at(multiplier: float, least: FloatArray, most: FloatArray) -> FloatArray:
        """Budgets (m,) at a log multiplier, by bisection on the decreasing slope."""
        for _ in range(HALVINGS):
            if float((most - least).max()) <= RESOLUTION:
                break
            middle = 0.5 * (least + most)
            above = log_slope(value, middle) > multiplier
            least = np.where(above, middle, least)
            most = np.where(above, most, middle)
        return np.asarray(0.5 * (least + most))

    upper = float(log_slope(value, low)[live].max()) + 1.0
    lower = float(log_slope(value, high)[live].min()) - 1.0
    at_upper, at_lower = low, np.where(live, high, low)
    while True:
        middle = lower + 0.5 * (upper - lower)
        if not lower < middle < upper:
            break
        budgets = at(middle, at_upper, at_lower)
        if float(budgets.sum()) >= limits.total:
            lower, at_lower = middle, budgets
        else:
            upper, at_upper = middle, budgets
    # neighbouring floats: whatever lies between the two has the same slope
    more, fewer = float(at_lower.sum()), float(at_upper.sum())
    share = (limits.total - fewer) / (more - fewer) if more > fewer else 0.0
    return np.asarray(at_upper + share * (at_lower - at_upper))


def rounded_budgets(budgets: FloatArray, limits: Limits) -> IntArray:
    """Real budgets (m,) made whole by largest remainders; the sum is exactly the total."""
    limits = limits.for_batch(budgets.size)
    whole = np.clip(np.floor(budgets + 1e-9), limits.low, limits.high).astype(np.int64)
    missing = limits.total - int(whole.sum())
    rest = np.where(whole < limits.high, budgets - whole, -np.inf)
    whole[np.argsort(-rest, kind="stable")[:missing]] += 1
    return whole
