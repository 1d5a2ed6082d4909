"""Knapsack's rule for prompts of which every rollout has the same outcome."""

import heapq
import math

import numpy as np
import pytest
from batches import observe
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import totals

from cobasim.allocation import KnapsackValue, Limits, make_allocator, solve

laws = settings(max_examples=80, deadline=None)


def knapsack_reference(p, total, low, high):
    """The fallback rule of Knapsack-RL's public code; then greedy on the mixed prompts."""
    mixed = [i for i, rate in enumerate(p) if 0 < rate < 1]
    budgets = [low] * len(p)
    if len(mixed) < len(p):
        needed = 0
        for i in mixed:
            larger = max(math.log(p[i]), math.log1p(-p[i]))  # log max(p, 1-p), also for tiny p
            needed += min(max(math.ceil(min(math.log(0.1) / larger, high)), low), high)
        excess = max(total - low * (len(p) - len(mixed)) - needed, 0)
        never = [i for i in range(len(p)) if p[i] == 0]
        rest = [i for i in range(len(p)) if p[i] in (0, 1)]
        for group in (never, rest):
            while excess > 0 and any(budgets[i] < high for i in group):
                for i in group:
                    if excess > 0 and budgets[i] < high:
                        budgets[i] += 1
                        excess -= 1
    left = total - sum(budgets)
    queue = [(-float(KnapsackValue(np.array([p[i]])).log_gain(low)[0]), i) for i in mixed]
    heapq.heapify(queue)
    while left > 0:
        _, i = heapq.heappop(queue)
        budgets[i] += 1
        left -= 1
        if budgets[i] < high:
            gain = KnapsackValue(np.array([p[i]])).log_gain(budgets[i])[0]
            heapq.heappush(queue, (-float(gain), i))
    return budgets


@laws
@given(st.lists(st.sampled_from([0.0, 0.0, 1.0, 1e-17, 1e-9, 0.06, 0.25, 0.5, 0.81, 1 - 1e-9]),
                min_size=1, max_size=9), st.data())  # fmt: skip
def test_knapsack_follows_its_fallback_rule(p, data):
    high = data.draw(st.integers(2, 40))
    total = data.draw(totals(len(p), 2, high))
    ours = make_allocator("knapsack")(observe(p), Limits(total, 2, high))
    theirs = np.array(knapsack_reference(p, total, 2, high))
    mixed = [i for i, rate in enumerate(p) if 0 < rate < 1]
    assert ours[mixed].tolist() == theirs[mixed].tolist()
    for rate in (0.0, 1.0):  # spaced over the batch, so only the shares are compared
        same = [i for i in range(len(p)) if p[i] == rate]
        assert sorted(ours[same].tolist()) == sorted(theirs[same].tolist())


def test_knapsack_gives_what_mixed_prompts_cannot_use_to_those_that_never_pass():
    # p = 0.5 needs ceil(ln 0.1 / ln 0.5) = 4 rollouts
    budgets = make_allocator("knapsack")(observe([0.5, 0.0, 1.0, 0.0]), Limits(30, 2, 20))
    assert budgets.tolist() == [4, 12, 2, 12]
    budgets = make_allocator("knapsack")(observe([0.5, 1.0, 1.0]), Limits(30, 2, 20))
    assert budgets.tolist() == [4, 13, 13]
    budgets = make_allocator("knapsack")(observe([0.5, 0.5, 0.0]), Limits(11, 2, 20))
    assert budgets.tolist() == [4, 4, 3]


def test_knapsack_without_a_prompt_to_fall_back_on_is_the_plain_optimum():
    p = np.array([0.2, 0.5, 0.9])
    limits = Limits(300, 2, 128)
    plain = solve(KnapsackValue(p), limits)
    assert make_allocator("knapsack")(observe(p), limits).tolist() == plain.tolist()


@pytest.mark.parametrize("tiny", [1e-6, 1e-12, 1e-17, 1e-300])
def test_a_prompt_that_almost_never_passes_is_the_most_expensive_to_mix(tiny):
    budgets = make_allocator("knapsack")(observe([tiny, 0.5, 0.0, 0.0]), Limits(200, 2, 128))
    assert budgets[:2].sum() == 128 + 4
    assert budgets[2:].tolist() == [34, 34]
