"""Algorithm 1 of arXiv 2602.03048, to the letter."""

from __future__ import annotations

import heapq

import numpy as np

from cobasim.allocation.solving.values import ValueFunction
from cobasim.arrays import IntArray


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
