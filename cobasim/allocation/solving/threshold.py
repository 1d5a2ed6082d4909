"""Greedy's budgets by a search for the gain of its last rollout.

Large batches are processed in blocks that fit a processor's cache; no result depends on their size.
"""

from __future__ import annotations

import math

import numpy as np

from cobasim.allocation.solving.values import Pieces, ValueFunction
from cobasim.arrays import FloatArray, IntArray

SAMPLE = 4096  # prompts in the sample that starts the search in a very large batch
GOLDEN = 2654435761  # a prime near 2^32 divided by the golden ratio


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
        pieces = value.pieces()
        guess, rounded = _continuous_threshold(value, pieces, low, high, amount)
        whole = amount + low * num_prompts
        budgets = None
        if len(pieces) > 1:
            budgets = _certified_in_blocks(value, pieces, rounded, low, high, whole)
        if budgets is None:
            budgets = _certified(value, rounded, low, high, whole)
        if budgets is not None:
            budgets -= low
            return budgets
        ceiling = _ceiling(pieces, low)
        units, total = count(guess)
        # Bracket: gains above `upper` are fewer than `amount`, gains above `lower` are enough.
        missing = abs(total - amount)
        rate = _rate(pieces, guess, low, high)
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


def _ceiling(pieces: Pieces, low: int) -> float:
    """The largest log gain of all."""
    return max(float(part.log_gain(low).max()) for _, part in pieces)


def _ends(
    part: ValueFunction, budgets: IntArray, low: int, high: int
) -> tuple[FloatArray, FloatArray]:
    """Log gain of each prompt's last rollout (inf at ``low``), and of its next (-inf at high)."""
    left = part.log_gain(budgets)
    np.putmask(left, budgets >= high, -np.inf)
    before = budgets - 1
    at_low = before < low
    before += at_low
    taken = part.log_gain(before)
    np.putmask(taken, at_low, np.inf)
    return taken, left


def _certified_in_blocks(
    value: ValueFunction, pieces: Pieces, budgets: IntArray, low: int, high: int, total: int
) -> IntArray | None:
    """As ``_certified`` for a large batch, looking closely at few prompts only.

    ``budgets`` are left as they were if the result is None. That is the case also where gains are
    tied, or a guess of how many prompts to look at fails.
    """
    size, missing = budgets.size, total - int(budgets.sum())
    # Prompts to move lie beyond a cut among the gains; a scattered sample tells about where.
    index = np.arange(SAMPLE) * GOLDEN % size
    taken, left = _ends(value.take(index), budgets[index], low, high)
    share = min(1.0, 1.5 * abs(missing) / size + 64.0 / SAMPLE)
    count = min(int(share * SAMPLE), SAMPLE - 1)
    if missing >= 0:
        cut = np.partition(left, SAMPLE - 1 - count)[SAMPLE - 1 - count]
    else:
        cut = np.partition(taken, count)[count]
    least, most = np.inf, -np.inf
    near, gains = [], []
    for place, part in pieces:
        n = budgets[place]
        left = part.log_gain(n)
        np.putmask(left, n >= high, -np.inf)
        some = (n > low).nonzero()[0]  # a random mask costs more than a list of places
        taken = part.log_gain_of(some, n[some] - 1)
        if missing >= 0:
            close = (left > cut).nonzero()[0]
            gains.append(left[close])
        else:
            below = (taken < cut).nonzero()[0]
            close = some[below]
            gains.append(taken[below])
        near.append(close + place.start)
        least, most = min(least, float(taken.min(initial=np.inf))), max(most, float(left.max()))
    if missing == 0:
        return budgets if least > most else None
    owner, gain = np.concatenate(near), np.concatenate(gains)
    number = abs(missing)
    if gain.size <= number:
        return None
    if missing > 0:
        order = np.argpartition(-gain, number)
        moved, most = owner[order[:number]], float(gain[order[number:]].max())
        last = float(gain[order[:number]].min())
        least = min(least, last)
        budgets[moved] += 1
        after = value.log_gain_of(moved, budgets[moved])
        most = max(most, float(np.where(budgets[moved] < high, after, -np.inf).max()))
    else:
        order = np.argpartition(gain, number)
        moved, least = owner[order[:number]], float(gain[order[number:]].min())
        last = float(gain[order[:number]].max())
        most = max(most, last)
        budgets[moved] -= 1
        after = value.log_gain_of(moved, np.maximum(budgets[moved] - 1, low))
        least = min(least, float(np.where(budgets[moved] > low, after, np.inf).min()))
    if least > most and np.isfinite(last):
        return budgets
    budgets[moved] += -1 if missing > 0 else 1  # as they were
    return None


def _certified(
    value: ValueFunction, budgets: IntArray, low: int, high: int, total: int
) -> IntArray | None:
    """``budgets`` (m,) with the best prompts moved by one rollout to meet ``total``; in place.

    None unless this is greedy's result for certain: no gain left comes before the least gain that
    was taken. Before means larger, or equal and at a lower index.
    """
    size = budgets.size
    taken, left = _ends(value, budgets, low, high)
    missing = total - int(budgets.sum())
    if abs(missing) >= size:
        return None
    if missing > 0:
        last = np.partition(left, size - missing)[size - missing]
        if last == -np.inf:
            return None
        above = (left > last).nonzero()[0]
        moved = np.concatenate([above, (left == last).nonzero()[0][: missing - above.size]])
        budgets[moved] += 1
        taken[moved] = left[moved]
        gains = value.log_gain_of(moved, budgets[moved])
        left[moved] = np.where(budgets[moved] < high, gains, -np.inf)
    elif missing < 0:
        last = np.partition(taken, -missing - 1)[-missing - 1]
        if last == np.inf:
            return None
        below = (taken < last).nonzero()[0]
        moved = np.concatenate([below, (taken == last).nonzero()[0][missing + below.size :]])
        budgets[moved] -= 1
        left[moved] = taken[moved]
        gains = value.log_gain_of(moved, np.maximum(budgets[moved] - 1, low))
        taken[moved] = np.where(budgets[moved] > low, gains, np.inf)
    least, most = taken.min(), left.max()
    if least == most:
        certain = (taken == least).nonzero()[0][-1] <= (left == most).nonzero()[0][0]
    else:
        certain = least > most
    return budgets if certain else None


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
    value: ValueFunction, pieces: Pieces, low: int, high: int, amount: int
) -> tuple[float, IntArray]:
    """A threshold x with about ``amount`` gains above it.

    Newton steps, guarded by bisection, on ``sum_i clip(n_i(x) + 1/2, low, high) - low``: the half
    is what rounding up adds on average. A very large batch is first solved on a sample.

    Returns x, and the whole budgets (m,) that are nearest: n_i(x), rounded up on average.
    """
    size = value.pass_rate.size
    budgets = np.empty(size, dtype=np.int64)
    guess = None
    if size > 4 * SAMPLE:
        # scattered over the batch, so that a pattern in it does not repeat in the sample
        sample = value.take(np.arange(SAMPLE) * GOLDEN % size)
        if sample.log_gain(low).max() > -np.inf:
            share = amount * SAMPLE / size
            guess = _newton(sample.pieces(), low, high, share, None, None)
            some = pieces[1::4]
            if len(some) > 4:
                share = amount * sum(place.stop - place.start for place, _ in some) / size
                guess = _newton(some, low, high, share, guess, None)
    return _newton(pieces, low, high, amount, guess, budgets), budgets


def _newton(
    pieces: Pieces,
    low: int,
    high: int,
    amount: float,
    guess: float | None,
    budgets: IntArray | None,
) -> float:
    """See ``_continuous_threshold``; ``budgets`` (m,), if given, get the whole budgets."""
    size = sum(place.stop - place.start for place, _ in pieces)
    target = amount + size * low
    upper, lower = np.inf, -np.inf
    if guess is None:  # of one block only
        # Most of the budget goes to a minority: about what these have at twice the mean.
        kth = (4 * size) // 5
        twice = low + round(2.0 * amount / size)
        gains = np.concatenate([part.log_gain(twice) for _, part in pieces])
        guess = float(np.partition(gains, kth)[kth])
    tolerance = 1.0 + (0.05 if len(pieces) == 1 else 0.1) * size
    x = guess if guess > -np.inf else _ceiling(pieces, low)
    for _ in range(64):
        excess = -target
        for place, part in pieces:
            exact, rates = part.rollouts_at(x, low, high)
            exact += 0.5
            clipped = np.maximum(exact, float(low))
            np.minimum(clipped, float(high), out=clipped)
            excess += float(clipped.sum())
            if budgets is not None:
                budgets[place] = np.rint(clipped)
        if -tolerance <= excess <= tolerance:
            break
        if excess > 0:
            lower = x
        else:
            upper = x
        one = len(pieces) == 1
        rate = float(rates.dot(clipped == exact)) if one else _rate(pieces, x, low, high)
        step = x + excess / rate if rate > 0.0 else np.inf
        if upper == np.inf and not step < guess:
            upper = _ceiling(pieces, low)
        if not lower < step < upper:
            if lower == -np.inf:
                gains = np.concatenate([part.log_gain(high) for _, part in pieces])
                lower = float(gains[gains > -np.inf].min()) - 1.0
            step = lower + (upper - lower) / 2.0
            if not lower < step < upper:
                break
        x = step
    return x


def _rate(pieces: Pieces, x: float, low: int, high: int) -> float:
    """How many rollouts a nat of the threshold x buys."""
    total = 0.0
    for _, part in pieces:
        exact, rates = part.rollouts_at(x, low, high)
        exact += 0.5
        total += float(rates.dot((exact >= low) & (exact <= high)))
    return total
