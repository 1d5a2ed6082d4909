"""Batches so large that the search for the threshold starts from a sample."""

import numpy as np
import pytest
from batches import check_feasible
from value_functions import LogUtility

from cobasim.allocation import CobaValue, KnapsackValue, Limits, solve


def large_batches():
    rng = np.random.default_rng(3)
    m = 20_000
    lonely = np.zeros(m)
    lonely[12_345] = 0.3
    striped = rng.uniform(0.1, 0.9, m)
    striped[::4] = 0.0  # the sampled start looks at every fourth prompt
    return {
        "uniform": rng.uniform(size=m),
        "sixteenths": rng.integers(0, 17, m) / 16,
        "sorted": np.sort(rng.beta(0.3, 0.7, m)),
        "one value": np.full(m, 0.25),
        "two values": np.where(np.arange(m) < m // 2, 0.25, 0.5),
        "nearly all worthless": np.where(rng.random(m) < 0.999, 0.0, 0.4),
        "one that is worth something": lonely,
        "every fourth worthless": striped,
        "tiny": np.full(m, 1e-300) * rng.integers(0, 3, m),
    }


@pytest.mark.parametrize("kind", ["coba", "knapsack", "log"])
@pytest.mark.parametrize("batch", list(large_batches()))
def test_threshold_is_heap_where_the_start_is_sampled(batch, kind):
    p = large_batches()[batch]
    value = {
        "coba": lambda: CobaValue(p, alpha=5.0, beta=6.0, tau=8.0),
        "knapsack": lambda: KnapsackValue(p),
        "log": lambda: LogUtility(p),
    }[kind]()
    for total in (2 * p.size + 500, 3 * p.size + 1, 9 * p.size + 7):
        limits = Limits(total, 2, 20)
        fast = solve(value, limits, "threshold")
        check_feasible(fast, limits, value.pass_rate.size)
        np.testing.assert_array_equal(fast, solve(value, limits, "heap"))
