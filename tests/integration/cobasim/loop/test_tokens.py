"""Response lengths and budgets of tokens in the loop: seen, recorded, spent, resumed."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import config, plain, records_of

from cobasim.allocation import make_allocator
from cobasim.errors import InputError
from cobasim.loop import TokenBudget, run
from cobasim.runs import build_loop

SPREAD = {"length_spread": 0.8}


def test_lengths_are_believed_from_responses_and_recorded():
    loop, allocator = build_loop(config("duet", **SPREAD)), make_allocator("duet")
    truth = loop.learner.prompt_lengths(np.arange(100))
    assert loop.observe(allocator).lengths is None  # nothing was sampled yet
    total = 0.0
    for _ in range(8):
        record = loop.advance(allocator)
        total += record.learner["tokens"]
        assert record.tokens == pytest.approx(total)
        assert sum(record.bins["tokens"]) == pytest.approx(record.learner["tokens"], abs=7)
        assert record.length_min <= record.length_median <= record.length_max
        obs = loop.observe(allocator)
        seen = loop.account.coverage.visited[obs.prompts]
        np.testing.assert_allclose(obs.lengths[seen], truth[obs.prompts][seen])
        assert np.unique(obs.lengths[~seen]).size <= 1
    oracle = build_loop(config("oracle-duet", **SPREAD)).observe(allocator)
    np.testing.assert_array_equal(oracle.lengths, truth[oracle.prompts])
    even = records_of(config("duet"))[-1]  # nothing to count where all are equally long
    assert even.tokens is even.length_min is None
    assert "tokens" not in even.bins


@pytest.mark.parametrize("name", ["uniform", "duet", "greso", "gvm", "signal-skip"])
def test_a_budget_of_tokens_is_spent_and_a_run_ends_by_it(name):
    """On average: a step is off by what was not yet believed of its prompts."""
    chosen = config(name, steps=40, token_budget=400.0, **SPREAD)
    records = records_of(chosen)
    assert records[-1].tokens >= 40 * 400 > records[-2].tokens
    assert records[1].rollouts >= 512  # no length is known: total_budget
    spent = np.diff([record.tokens or 0.0 for record in records])
    assert spent[-20:].mean() == pytest.approx(400, rel=0.03)


def test_a_resumed_run_equals_an_uninterrupted_one():
    chosen = config("duet", steps=12, token_budget=400.0, **SPREAD)
    allocator = make_allocator("duet")
    whole = run(build_loop(chosen), allocator)
    first = build_loop(chosen)
    head = [first.start(), *(first.advance(allocator) for _ in range(6))]
    second = build_loop(chosen)
    second.load_state_dict(first.state_dict())
    assert [plain(r) for r in head + run(second, allocator)] == [plain(r) for r in whole]


def test_tokens_buy_rollouts_at_the_believed_length_and_the_price_so_far():
    budget = TokenBudget(1000.0)
    lengths = np.array([5.0, 10.0, 15.0])
    assert budget.rollouts(lengths) == 100
    budget.update(lengths, 100, 500.0)  # short prompts got more: half of what even budgets cost
    assert (budget.price, budget.rollouts(lengths)) == (0.5, 200)


def test_the_bounds_hold_whatever_the_tokens():
    for tokens, total in ((1.0, 64), (1e9, 32 * 128)):
        loop = build_loop(config("uniform", token_budget=tokens, **SPREAD))
        loop.advance(make_allocator("uniform"))
        assert loop.limits.total == total


def test_tokens_that_are_not_counted_cannot_be_budgeted():
    with pytest.raises(InputError, match=r"token_budget=400 needs .* length_spread above 0"):
        build_loop(config("uniform", token_budget=400.0))
