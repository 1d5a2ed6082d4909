"""Budgets of the largest expected gain, by exchange of rollouts between pairs of prompts.

A local search: of all ways to take k rollouts from one prompt and give them to another, and of all
ways in which two prompts change places, the best ones are made, until none gains. The gain is not a
sum over prompts, so a local maximum need not be the global one: several starts help.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from cobasim.allocation import uniform_budgets
from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.experiments.studies.best_budgets.problem import StepProblem, Sums

SIZES = (1, 2, 4, 8, 16, 32, 64)  # of the packets of rollouts that are moved
ROUNDS = 2000  # at most, of looking at all exchanges
AT_ONCE = 24  # exchanges of each packet that are looked at again one by one in a round
ENOUGH = 1e-9  # of the gain: an exchange that brings less is none


def best_budgets(problem: StepProblem, starts: Iterable[IntArray] = ()) -> IntArray:
    """Budgets (m,) of the largest expected gain that the search finds.

    Args:
        problem: the step.
        starts: further budgets (m,) to start from, beside equal ones for the first ``places``
            prompts; those that break the bounds are left out.

    If fewer prompts take part than are given, the others get 0.
    """
    found = [improve(problem, start) for start in [_equal(problem), *_feasible(problem, starts)]]
    return max(found, key=problem.gain)


def best_prompts(problem: StepProblem) -> IntArray:
    """Equal budgets (m,) for the prompts with which the gain is largest."""
    return improve(problem, _equal(problem), sizes=())


def _equal(problem: StepProblem) -> IntArray:
    budgets = np.zeros(problem.rate.size, dtype=np.int64)
    budgets[: problem.places] = uniform_budgets(problem.places, problem.limits)
    return budgets


def _feasible(problem: StepProblem, starts: Iterable[IntArray]) -> list[IntArray]:
    limits = problem.limits
    return [
        budgets
        for budgets in starts
        if budgets.sum() == limits.total
        and np.count_nonzero(budgets) == problem.places
        and budgets[budgets > 0].min() >= limits.low
        and budgets.max() <= limits.high
    ]


def improve(problem: StepProblem, start: IntArray, sizes: tuple[int, ...] = SIZES) -> IntArray:
    """Budgets (m,) from which no exchange gains, reached from ``start`` (m,).

    Args:
        problem: the step.
        start: feasible budgets.
        sizes: of the packets; none: prompts may only change places.
    """
    budgets, best = start.copy(), problem.gain(start)
    for _ in range(ROUNDS):
        before, touched = best, np.zeros(budgets.size, dtype=np.bool_)
        for giver, getter, packet in _promising(problem, budgets, sizes):
            if touched[giver] or touched[getter]:
                continue
            tried = budgets.copy()
            tried[giver] -= packet
            tried[getter] += packet
            gain = problem.gain(tried)
            if gain <= best + ENOUGH * abs(best):
                break
            budgets, best = tried, gain
            touched[[giver, getter]] = True
        if best == before:
            break
    return budgets


def _promising(
    problem: StepProblem, budgets: IntArray, sizes: tuple[int, ...]
) -> list[tuple[int, int, int]]:
    """The exchanges (giver, getter, packet) that gain most if made alone, the best first."""
    limits = problem.limits
    taking = np.flatnonzero(budgets > 0)
    give, every = taking[:, None], np.arange(budgets.size)[None, :]
    options = [(budgets[give] - budgets[every], budgets[give] > budgets[every], every)]
    for size in sizes:
        packet = np.array([[size]])
        fits = (budgets[give] - size >= limits.low) & (budgets[taking] + size <= limits.high)
        options.append((packet, fits, taking[None, :]))
    now, pulls = problem.sums(budgets), _pulls(problem, budgets)
    found: list[tuple[float, int, int, int]] = []
    for packet, fits, getter in options:
        gains = _after(problem, budgets, now, pulls, give, getter, packet, fits)
        flat, sizes_of = gains.reshape(-1), np.broadcast_to(packet, gains.shape)
        for place in np.argpartition(-flat, min(AT_ONCE, flat.size) - 1)[:AT_ONCE]:
            row, column = divmod(int(place), gains.shape[1])
            change = int(taking[row]), int(getter[0, column]), int(sizes_of[row, column])
            found.append((float(flat[place]), *change))
    found.sort(reverse=True)
    return [change for gain, *change in found if gain > -np.inf]  # type: ignore[misc]


def _pulls(problem: StepProblem, budgets: IntArray) -> tuple[FloatArray, FloatArray]:
    """(m,) half the change of bend and of squared norm with each prompt's weighed update."""
    pull = problem.weight(budgets) * problem.moments.move[np.arange(budgets.size), budgets]
    return problem.bend @ pull, problem.gram @ pull


def _after(
    problem: StepProblem,
    budgets: IntArray,
    now: Sums,
    pulls: tuple[FloatArray, FloatArray],
    give: IntArray,
    get: IntArray,
    packet: IntArray,
    fits: BoolArray,
) -> FloatArray:
    """Gains (a, b) if givers (a, 1) gave packets to getters (1, b); -inf: not allowed.

    ``packet`` is (a, b), or (1, 1) where all are of one size.
    """
    high = problem.moments.move.shape[1] - 1
    less = np.clip(budgets[give] - packet, 0, high)
    more = np.clip(budgets[get] + packet, 0, high)
    down, loss = _parts(problem, give, less, budgets)
    up, rise = _parts(problem, get, more, budgets)
    value = now.rise + down * problem.rise[give] + up * problem.rise[get]
    totals = []
    for before, pull, matrix, level in (
        (now.bend, pulls[0], problem.bend, problem.noise_bend),
        (now.square, pulls[1], problem.gram, problem.noise_square),
    ):
        own = matrix.diagonal()
        change = 2.0 * (down * pull[give] + up * pull[get] + down * up * matrix[give, get])
        change += (down * down + loss[0]) * own[give] + (up * up + rise[0]) * own[get]
        totals.append(before + change + level * (loss[1] + rise[1]))
    gains = problem.value(Sums(value, *totals))
    return np.where(fits & (give != get), gains, -np.inf)


def _parts(
    problem: StepProblem, who: IntArray, after: IntArray, budgets: IntArray
) -> tuple[FloatArray, tuple[FloatArray, FloatArray]]:
    """Changes of a prompt's weighed update, of its variance and of its rollouts' noise."""
    before = budgets[who]
    then, now = problem.weight(after), problem.weight(before)
    moments = problem.moments
    move = then * moments.move[who, after] - now * moments.move[who, before]
    variance = then**2 * moments.variance[who, after] - now**2 * moments.variance[who, before]
    spread = then**2 * moments.spread[who, after] - now**2 * moments.spread[who, before]
    return move, (variance, problem.noise[who] * spread)
