"""Value function and limits -> budgets that maximise the total value. Pure.

``heap`` is Algorithm 1 of arXiv 2602.03048 to the letter, ``threshold`` gives the identical
budgets at a cost that does not depend on the total, ``dp`` is the paper's dynamic-programming
baseline, kept as a slow reference that assumes nothing about the gains.

The order in which greedy takes rollouts is: larger gain first; of equal gains the lower index
first. What is left when no gain is positive is spread evenly over the prompts that have room.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable

import numpy as np

from cobasim.allocation.limits import Limits
from cobasim.allocation.solving.spread import spread_evenly
from cobasim.allocation.solving.values import ValueFunction
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError, unknown_name

DP_CELLS = 500_000_000  # the most that the dynamic program may keep, 4 bytes each

SAMPLE = 4096  # prompts in the sample that starts the search in a very large batch
GOLDEN = 2654435761  # a prime near 2^32 divided by the golden ratio


def solve(value: ValueFunction, limits: Limits, solver: str = "threshold") -> IntArray:
    """Budgets (m,) that maximise ``sum_i V(B_i, p_i)`` under ``limits``.

    Args:
        value: value function of a flat batch of m prompts.
        limits: total and bounds.
        solver: a name in SOLVERS.

    Raises InputError for an infeasible total, an unknown solver, or a lower bound at which the
    gains of this value function do not decrease yet.
    """
    if solver not in SOLVERS:
        raise unknown_name("solver", solver, SOLVERS)
    num_prompts = value.pass_rate.size
    limits = limits.for_batch(num_prompts)
    low, high = limits.low, limits.high
    if low < value.first:
        raise InputError(
            f"low must be at least {value.first} for {type(value).__name__}, got {low}: below "
            "that its gains do not decrease"
        )
    left = limits.total - num_prompts * low
    if left == 0:
        return np.full(num_prompts, low, dtype=np.int64)
    # Rollouts with a positive gain; the others are not the solver's business.
    useful = np.full(num_prompts, high - low, dtype=np.int64)
    if value.log_gain(high - 1).min() == -np.inf:
        useful[value.log_gain(low) == -np.inf] = 0
        if bool(np.any((value.log_gain(high - 1) == -np.inf) & (useful > 0))):
            useful = _units_above(value, -np.inf, low, high)
    total_useful = int(useful.sum())
    if left < total_useful:
        return low + SOLVERS[solver](value, low, useful, left)
    return low + useful + spread_evenly(left - total_useful, high - low - useful)


def heap(value: ValueFunction, low: int, useful: IntArray, amount: int) -> IntArray:
    """Algorithm 1: pop the largest gain, give one rollout, push the next gain. O(R log m).

    Args:
        value: value function of m prompts.
        low: rollouts that every prompt has already.
        useful: (m,) how many more each may get (all with positive gain).
        amount: R, rollouts to hand out, 0 < R < sum(useful).

    Returns (m,) extra rollouts that sum to ``amount``.
    """
    room = useful.tolist()
    gain = value.scalar_log_gain(low, low + max(room))
    extra = [0] * len(room)
    # heapq is a min-heap: the key is the negated log gain, ties fall to the lower index
    queue = [(-gain(i, low), i) for i, units in enumerate(room) if units > 0]
    heapq.heapify(queue)
    for _ in range(amount):
        i = queue[0][1]
        extra[i] += 1
        if extra[i] < room[i]:
            heapq.heapreplace(queue, (-gain(i, low + extra[i]), i))
        else:
            heapq.heappop(queue)
    return np.array(extra, dtype=np.int64)


def threshold(value: ValueFunction, low: int, useful: IntArray, amount: int) -> IntArray:
    """The budgets of ``heap`` by a search for the gain of its last rollout.

    Greedy takes the ``amount`` largest gains, so there is a threshold above which all are taken
    and below which none is. Newton steps on the continuous count of gains above a threshold
    (guarded by bisection) come close; moving a few prompts by one rollout meets the amount; and a
    certificate says whether that is greedy's result. Where it is not (or not provably), exact
    counts at two thresholds bracket the last rollout, and of the gains inside the bracket the
    largest are taken, equal ones by index. Arguments and result as ``heap``.
    """
    high = low + int(useful.max())
    num_prompts = value.pass_rate.size
    few = 2 * num_prompts + 64  # candidates that may be looked at one by one

    def count(log_gain: float) -> tuple[IntArray, int]:
        units = _units_above(value, log_gain, low, high)
        return units, int(units.sum())

    with np.errstate(over="ignore", invalid="ignore"):
        ceiling = float(value.log_gain(low).max())
        guess, rate, relaxed = _continuous_threshold(value, low, high, amount, ceiling)
        whole = np.rint(relaxed).astype(np.int64)
        budgets = _shift(value, whole, low, high, amount + low * num_prompts)
        if budgets is not None and _is_greedy(value, budgets, low, high):
            return budgets - low
        units, total = count(guess)
        # Bracket: gains above `upper` are fewer than `amount`, gains above `lower` are enough.
        missing = abs(total - amount)
        step = (missing + missing**0.5 + 2.0) / max(rate, 1e-300)
        step = max(step, math.ulp(guess))
        upper = lower = guess
        at_upper, num_upper = at_lower, num_lower = units, total
        while num_upper >= amount:
            lower, at_lower, num_lower = upper, at_upper, num_upper
            upper = min(max(upper + step, math.nextafter(upper, math.inf)), ceiling)
            at_upper, num_upper = count(upper)
            step *= 4.0
        while num_lower < amount:
            upper, at_upper, num_upper = lower, at_lower, num_lower
            lower = min(lower - step, math.nextafter(lower, -math.inf))
            at_lower, num_lower = count(lower)
            step *= 4.0
        # Few enough candidates to look at one by one, or all of them the same float.
        while num_lower - num_upper > few:
            middle = lower + (upper - lower) / 2.0
            if not lower < middle < upper:
                break
            units, total = count(middle)
            if total >= amount:
                lower, at_lower, num_lower = middle, units, total
            else:
                upper, at_upper, num_upper = middle, units, total
        missing = amount - num_upper
        between = at_lower - at_upper
        if num_lower - num_upper > few:
            return at_upper + _fill_in_order(between, missing)
        owner = np.flatnonzero(between)
        rollouts = low + at_upper[owner]
        if owner.size < num_lower - num_upper:  # some prompts have more than one candidate
            each = between[owner]
            start = np.repeat(rollouts - np.cumsum(each) + each, each)
            owner, rollouts = np.repeat(owner, each), start + np.arange(start.size)
        gains = value.log_gain_of(owner, rollouts)
    # candidates stand in the order of index, then of rollout: a stable sort keeps the tie rule
    taken = owner[np.argsort(-gains, kind="stable")[:missing]]
    extra: IntArray = at_upper + np.bincount(taken, minlength=num_prompts)
    return extra


def _shift(
    value: ValueFunction, budgets: IntArray, low: int, high: int, total: int
) -> IntArray | None:
    """``budgets`` (m,) with the best prompts moved by one rollout so that they sum to ``total``.

    None where that takes more than one rollout of some prompt.
    """
    missing = total - int(budgets.sum())
    if missing == 0:
        return budgets
    size = budgets.size
    if abs(missing) >= size:
        return None
    if missing > 0:
        gains = np.where(budgets < high, value.log_gain(budgets), -np.inf)
        last = np.partition(gains, size - missing)[size - missing]
        moved = gains > last
        moved[(gains == last).nonzero()[0][: missing - np.count_nonzero(moved)]] = True
        return None if last == -np.inf else budgets + moved
    gains = np.where(budgets > low, value.log_gain(np.maximum(budgets - 1, low)), np.inf)
    last = np.partition(gains, -missing - 1)[-missing - 1]
    moved = gains < last
    moved[(gains == last).nonzero()[0][missing + np.count_nonzero(moved) :]] = True
    return None if last == np.inf else budgets - moved


def _is_greedy(value: ValueFunction, budgets: IntArray, low: int, high: int) -> bool:
    """Whether greedy gives these budgets: no gain left is before the least gain that was taken.

    Before means larger, or equal and at a lower index.
    """
    taken = np.where(budgets > low, value.log_gain(np.maximum(budgets - 1, low)), np.inf)
    open_ = np.where(budgets < high, value.log_gain(budgets), -np.inf)
    least, most = taken.min(), open_.max()
    if least != most:
        return bool(least > most)
    return bool((taken == least).nonzero()[0][-1] <= (open_ == most).nonzero()[0][0])


def _fill_in_order(room: IntArray, amount: int) -> IntArray:
    """Hand out ``amount`` to the lowest indices first, each up to its ``room`` (m,)."""
    before = np.cumsum(room) - room
    shares: IntArray = np.minimum(np.maximum(amount - before, 0), room)
    return shares


def _units_above(value: ValueFunction, log_gain: float, low: int, high: int) -> IntArray:
    """(m,) exact number of rollouts n in [low, high) with ``value.log_gain(n) > log_gain``.

    The closed form is a first guess; what counts is the float that ``log_gain`` returns.
    """
    if log_gain == -np.inf:
        return value.first_below(log_gain, low, high) - low
    exact = np.ceil(value.rollouts_at(log_gain, low, high)[0])
    # fmax: a nan can only come from a gain of -inf, which is above nothing
    n: IntArray = np.fmin(np.fmax(exact, low, out=exact), high, out=exact).astype(np.int64)
    for _ in range(3):
        too_many = (value.log_gain(np.maximum(n - 1, low)) <= log_gain) & (n > low)
        too_few = (value.log_gain(n) > log_gain) & (n < high)
        if not (too_many | too_few).any():
            return n - low
        n = n + too_few - too_many
    # Gains flat to rounding: the closed form can be far off there. Bisect.
    return value.first_below(log_gain, low, high) - low


def _continuous_threshold(
    value: ValueFunction, low: int, high: int, amount: int, ceiling: float
) -> tuple[float, float, FloatArray]:
    """A threshold x with about ``amount`` gains above it.

    Newton steps, guarded by bisection, on ``sum_i clip(n_i(x) + 1/2, low, high) - low``: the half
    is what rounding up adds on average. A very large batch is first solved on a sample.

    Returns x, the number of rollouts that a nat of x buys there, and the continuous budgets (m,).
    """
    num_prompts = value.pass_rate.size
    if num_prompts > 4 * SAMPLE:
        # scattered over the batch, so that no pattern in it is met at every turn
        index = np.arange(SAMPLE) * GOLDEN % num_prompts
        sample = value.take(index)
        if sample.log_gain(low).max() > -np.inf:
            guess, _, _ = _newton(sample, low, high, amount * SAMPLE / num_prompts, ceiling, None)
            return _newton(value, low, high, amount, ceiling, guess)
    return _newton(value, low, high, amount, ceiling, None)


def _newton(
    value: ValueFunction, low: int, high: int, amount: float, ceiling: float, guess: float | None
) -> tuple[float, float, FloatArray]:
    num_prompts = value.pass_rate.size
    target = amount + num_prompts * low
    upper, lower = ceiling, -np.inf
    if guess is None:
        # Most of the budget goes to a minority: about what these have at twice the mean.
        kth = (4 * num_prompts) // 5
        twice = low + round(2.0 * amount / num_prompts)
        guess = float(np.partition(value.log_gain(twice), kth)[kth])
    tolerance = 1.0 + 0.05 * num_prompts
    x = min(guess, upper) if guess > -np.inf else upper
    for _ in range(64):
        exact, rates = value.rollouts_at(x, low, high)
        exact += 0.5
        budgets = np.maximum(exact, float(low))
        np.minimum(budgets, float(high), out=budgets)
        excess = float(budgets.sum()) - target
        rate = float(rates.dot(budgets == exact))
        if -tolerance <= excess <= tolerance:
            break
        if excess > 0:
            lower = x
        else:
            upper = x
        step = x + excess / rate if rate > 0.0 else np.inf
        if not lower < step < upper:
            if lower == -np.inf:
                gains = value.log_gain(high)
                lower = float(gains[gains > -np.inf].min()) - 1.0
            step = lower + (upper - lower) / 2.0
            if not lower < step < upper:
                break
        x = step
    return x, rate, budgets


def dp(value: ValueFunction, low: int, useful: IntArray, amount: int) -> IntArray:
    """Exact dynamic program over prompts and rollouts, O(m R max(useful)); a slow reference.

    Assumes nothing about the gains. Values are summed in floating point after scaling by the
    largest gain, so gains below 1e-16 of it count as 0, and of several optima any may come out.
    Arguments and result as ``heap``. Raises InputError above DP_CELLS cells (2 GB).
    """
    num_prompts, top = useful.size, int(useful.max())
    cells = num_prompts * (amount + 1)
    if cells > DP_CELLS:
        raise InputError(
            f"the dynamic program keeps prompts x (rollouts + 1) = {cells:,} cells, more than "
            f"{DP_CELLS:,}; take solver threshold or heap, which give the same budgets"
        )
    log_gains = value.log_gain(low + np.arange(top)[:, None])  # (top, m)
    gains = np.exp(log_gains - log_gains.max())
    worth = np.vstack([np.zeros(num_prompts), np.cumsum(gains, axis=0)])  # (top + 1, m)
    choice = np.zeros((num_prompts, amount + 1), dtype=np.int32)
    best = np.full(amount + 1, -np.inf)  # best[r]: the most that r rollouts bring so far
    best[0] = 0.0
    reach = 0
    for i in range(num_prompts):
        new = best.copy()
        for units in range(1, min(int(useful[i]), amount) + 1):
            end = min(amount, reach + units)
            candidate = best[: end - units + 1] + worth[units, i]
            window = new[units : end + 1]
            better = candidate > window
            np.copyto(window, candidate, where=better)
            choice[i, units : end + 1][better] = units
        best = new
        reach = min(amount, reach + int(useful[i]))
    extra = np.zeros(num_prompts, dtype=np.int64)
    left = amount
    for i in range(num_prompts - 1, -1, -1):
        extra[i] = choice[i, left]
        left -= int(extra[i])
    return extra


SOLVERS: dict[str, Callable[[ValueFunction, int, IntArray, int], IntArray]] = {
    "threshold": threshold,
    "heap": heap,
    "dp": dp,
}
