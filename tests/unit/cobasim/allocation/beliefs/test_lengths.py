"""Beliefs of response lengths: discounted means of a prompt's own responses."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.allocation import ResponseLengths
from cobasim.errors import InputError

POOL = 6
GROUP = st.tuples(st.integers(0, POOL - 1), st.integers(0, 9), st.integers(1, 4000))
STEPS = st.lists(st.lists(GROUP, min_size=1, max_size=POOL, unique_by=lambda g: g[0]), max_size=6)


def arrays(step):
    """Prompts, budgets and tokens of groups (prompt, rollouts, length)."""
    prompts, budgets, lengths = np.array(step).T
    return prompts, budgets, (budgets * lengths).astype(float)


@given(steps=STEPS, memory=st.sampled_from([0.0, 0.7, 1.0]))
def test_they_are_discounted_means_of_a_prompts_own_responses(steps, memory):
    found = ResponseLengths(POOL, memory=memory)
    tokens, rollouts, latest = [0.0] * POOL, [0.0] * POOL, None
    for step in steps:
        found.update(*arrays(step))
        groups = [group for group in step if group[1] > 0]
        for prompt, budget, length in groups:
            tokens[prompt] = memory * tokens[prompt] + budget * length
            rollouts[prompt] = memory * rollouts[prompt] + budget
        if groups:
            latest = sum(group[2] for group in groups) / len(groups)
    estimate = found.estimate(np.arange(POOL))
    if latest is None:
        assert estimate is None
        return
    wanted = [t / n if n else latest for t, n in zip(tokens, rollouts, strict=True)]
    np.testing.assert_allclose(estimate, wanted, rtol=1e-12)
    again = ResponseLengths(POOL, memory=memory)
    again.load_state_dict(found.state_dict())
    np.testing.assert_array_equal(again.estimate(np.arange(POOL)), estimate)


@given(steps=STEPS, length=st.integers(1, 4000))
def test_where_all_responses_are_equally_long_so_are_the_beliefs_exactly(steps, length):
    found = ResponseLengths(POOL)
    for step in steps:
        found.update(*arrays([(prompt, budget, length) for prompt, budget, _ in step]))
    estimate = found.estimate(np.arange(POOL))
    assert estimate is None or (estimate == length).all()


def test_those_of_another_pool_are_refused_and_a_bad_memory():
    with pytest.raises(InputError, match="another pool"):
        ResponseLengths(4).load_state_dict(ResponseLengths(5).state_dict())
    with pytest.raises(InputError, match="memory"):
        ResponseLengths(4, memory=1.5)
