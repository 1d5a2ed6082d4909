"""A ledger is the loop seen from the other side, remembers everything, and refuses the rest."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_runs import config, plain

from cobasim.allocation import ALLOCATORS, ESTIMATORS, make_allocator
from cobasim.budgets import BudgetLedger, usable_allocators
from cobasim.errors import InputError
from cobasim.loop import Loop
from cobasim.world import LogisticPolicy

OWN = "remembering:Remembering"
CASES = [
    *((name, None) for name in (*usable_allocators(), OWN)),
    *(("coba", rule) for rule in ESTIMATORS),
]


@pytest.mark.parametrize(("name", "rule"), CASES)
def test_a_trainer_with_a_ledger_makes_the_steps_of_the_loop(name, rule):
    chosen = config(steps=8, batch_size=24, total_budget=240, high=20, eval_every=3)
    allocator = make_allocator(name)
    rule = rule or allocator.estimator
    loop = Loop(LogisticPolicy(chosen.world, 3), chosen.loop, seed=3, estimator=rule)
    trainer = LogisticPolicy(chosen.world, 3)
    ledger = BudgetLedger(
        240, allocator=name, estimator=rule, high=20, steps=8, seed=3, weighting=trainer.weighting
    )
    for step in range(1, 9):
        prompts = loop.order.batch(loop.step)
        keys = [("prompt", int(prompt)) for prompt in prompts]
        budgets = ledger.ask(keys)
        passes = trainer.rollout(prompts, budgets)
        learner = trainer.update()
        found = plain(ledger.tell(keys, budgets, passes, learner=learner))
        expected = plain(loop.advance(allocator))
        assert expected.pop("evaluation") is None or step in (3, 6, 8)
        assert found.pop("evaluation") is None
        assert found == expected
    known = ledger.rates()
    belief = loop.estimator.estimate(np.array([prompt for _, prompt in known.keys]))
    np.testing.assert_array_equal(known.pass_rate, belief.pass_rate)
    np.testing.assert_array_equal(known.attempts, belief.attempts)
    assert (ledger.step, ledger.rollouts) == (8, 8 * 240)


@pytest.mark.parametrize("rule", ESTIMATORS)
def test_a_key_costs_less_than_300_bytes_its_text_of_32_letters_included(rule):
    size, batch = 100_000, 2_000
    tracemalloc.start()
    try:
        ledger = BudgetLedger(16 * batch, allocator="uniform", estimator=rule)
        for first in range(0, size, batch):
            keys = [f"{number:032x}" for number in range(first, first + batch)]
            budgets = ledger.ask(keys)
            ledger.tell(keys, budgets, budgets // 2)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert len(ledger.rates().keys) == size
    assert held < 300 * size


@pytest.mark.parametrize("name", sorted(set(ALLOCATORS) - set(usable_allocators())))
def test_other_allocators_are_refused_by_name(name):
    with pytest.raises(InputError, match=f"^allocator '{name}' .*: use uniform, .*signal"):
        BudgetLedger(64, allocator=name)


class Trainer:
    """Asks and tells by a script: which prompts, what total, what is dropped, what passes."""

    def __init__(self, ledger, seed):
        self.ledger, self.told, self.seed = ledger, [], seed

    def ask(self, step):
        self.rng = np.random.default_rng([self.seed, step])
        size = int(self.rng.integers(2, 12))
        chosen = self.rng.choice(40, size, replace=False)
        self.keys = [f"p{i}" if i % 2 else (i, "p") for i in chosen.tolist()]
        self.total = int(self.rng.integers(size, 8 * size + 1))
        self.told.append(self.ledger.ask(self.keys, self.total).tolist())

    def tell(self):
        budgets = np.array(self.told[-1])
        made = np.maximum(budgets - self.rng.integers(0, 3, budgets.size), 0)
        made[0] = max(made[0], 1)
        passes = self.rng.binomial(made, 0.4)
        order = self.rng.permutation(made.size)
        keys = [self.keys[i] for i in order]
        self.told.append(plain(self.ledger.tell(keys, made[order], passes[order])))


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["coba", "signal", "linear-decay", OWN]),
    st.sampled_from(sorted(ESTIMATORS)),
    st.integers(0, 2**31),
    st.lists(st.integers(0, 11), max_size=3),
    st.booleans(),
)
def test_a_resumed_ledger_goes_on_as_an_unbroken_one(name, rule, seed, breaks, as_json):
    def ledger():
        return BudgetLedger(
            50, allocator=name, estimator=rule, low=1, high=8, steps=9, seed=seed % 5
        )

    def reloaded(before):
        state = before.state_dict()
        if as_json:
            state = json.loads(json.dumps(state, default=lambda array: array.tolist()))
        after = ledger()
        after.load_state_dict(state)
        return after

    whole, broken = Trainer(ledger(), seed), Trainer(ledger(), seed)
    for half_step in range(12):
        for trainer in (whole, broken):
            if trainer is broken and half_step in breaks:  # even: before an ask; odd: before a tell
                broken.ledger = reloaded(broken.ledger)
            if half_step % 2:
                trainer.tell()
            else:
                trainer.ask(half_step)
    assert broken.told == whole.told
    ours, theirs = broken.ledger.rates(), whole.ledger.rates()
    assert ours.keys == theirs.keys
    assert ours.pass_rate.tolist() == theirs.pass_rate.tolist()


def test_the_pool_grows_as_keys_come_and_forgets_nothing():
    ledger = BudgetLedger(2100, allocator=OWN, estimator="window")
    for step in range(4):
        keys = np.arange(600 * step, 600 * step + 700)  # a hundred of them come again
        budgets = ledger.ask(keys)
        assert budgets.sum() == 2100
        ledger.tell(keys, budgets, np.minimum(budgets, keys % 3))
    rates = ledger.rates()
    assert rates.keys == list(range(2500))
    visits = 1 + np.isin(
        np.arange(2500), [*range(600, 700), *range(1200, 1300), *range(1800, 1900)]
    )
    assert (rates.attempts >= 2 * visits).all()
    assert rates.attempts.sum() == 4 * 2100
    passes = rates.pass_rate * rates.attempts
    assert (np.abs(passes - visits * (np.arange(2500) % 3)) < 1e-9).all()


def test_what_is_told_counts_whatever_was_asked_for():
    ledger = BudgetLedger(12, allocator="uniform", low=0, estimator="last")
    assert ledger.ask(["a", "b", "c"]).tolist() == [4, 4, 4]
    record = ledger.tell(["c", "a"], [2, 5], [1, 5])  # b was dropped, a got one more
    assert record.learner == {"asked_rollouts": 12.0}
    assert (record.rollouts, record.prompts, record.budget_min, record.budget_max) == (7, 3, 0, 5)
    assert record.failure_rate == 0.25
    rates = ledger.rates()
    assert rates.keys == ["a", "b", "c"]
    assert rates.pass_rate.tolist() == [1.0, 0.5, 0.5]
    assert rates.attempts.tolist() == [5, 0, 2]
    ledger.ask(["b"], total=3)
    assert ledger.tell(["b"], [3], [2.0]).learner == {}  # whole floats are counts, too


def test_an_ask_is_told_or_withdrawn_before_the_next():
    ledger = BudgetLedger(8, allocator=OWN)
    with pytest.raises(InputError, match="told without having asked"):
        ledger.tell(["a"], [8], [1])
    with pytest.raises(InputError, match="no ask to withdraw"):
        ledger.withdraw()
    first = ledger.ask(["a", "b", "c"])
    with pytest.raises(InputError, match=r"outcomes of step 1 \(3 prompts\) were told: call tell"):
        ledger.ask(["a", "b"])
    ledger.withdraw()
    assert ledger.ask(["a", "b", "c"]).tolist() == first.tolist()
    ledger.tell(["a", "b", "c"], first, [0, 0, 0])
    assert ledger.step == 1


class Thing:
    """Known by identity only."""


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["a", "b", "a"], r"key 'a' comes twice \(entries 0 and 2"),
        ([1, True], "key True comes twice"),
        (np.array([3, 3]), "key 3 comes twice"),
        ("abc", "got the text 'abc'"),
        (7, "got int"),
        ([], "keys are empty"),
        ([["a"], ["b"]], "unhashable type: 'list'"),
        (np.eye(2), "unhashable"),
        ([None, 1], "key 0 is None"),
        ([float("nan"), 1], "a key is NaN"),
        ([Thing(), Thing()], "keys of type Thing"),
        (list("abcde"), "total of 8 rollouts cannot be met: 5 prompts with 2 to 64"),
    ],
)
def test_keys_that_cannot_be_used_are_refused_and_change_nothing(keys, message):
    ledger = BudgetLedger(8)
    with pytest.raises(InputError, match=message):
        ledger.ask(keys)
    with pytest.raises(InputError, match="total must be a whole number of at least 1, got 0"):
        ledger.ask(["a"], total=0)
    assert ledger.rates().keys == []
    assert ledger.ask(np.array([5, 6])).tolist() == [4, 4]


@pytest.mark.parametrize(
    ("keys", "budgets", "passes", "message"),
    [
        (["a", "x"], [4, 4], [1, 1], r"key 'x' \(entry 1, counting from 0\) was not in the last"),
        (["a", "old"], [4, 4], [1, 1], "key 'old'"),
        (["a", "a"], [4, 4], [1, 1], "comes twice"),
        (["a", "b"], [4, 4], [1, 5], r"passes of entry 1 .* are 5, above its budget of 4"),
        (["a", "b"], [4, 4], [1, -1], r"passes must be 2 whole .* entry 1 .* is -1; with rewards"),
        (["a", "b"], [4, 4], [0.5, 1], "entry 0 .* is 0.5; .* reach your threshold"),
        (["a", "b"], [4, 4], [np.nan, 1], "entry 0 .* is nan"),
        (["a", "b"], [4, np.inf], [1, 1], "budgets must be 2 whole numbers.*entry 1 .* is inf$"),
        (["a", "b"], [4, 2**40], [1, 1], "from 0 to 2,147,483,647"),
        (["a", "b"], [4], [1, 1], r"budgets must .* shape \(1,\)"),
        (["a", "b"], [4, 4], [[1], [1]], r"passes must .* shape \(2, 1\)"),
        (["a", "b"], [4, 4], [[1], [1, 2]], "passes must be 2 whole numbers"),
        (["a", "b"], [4, 4], ["1", "1"], "got <U1 values"),
        (["a", "b"], [0, 0], [0, 0], "all budgets told are 0"),
    ],
)
def test_outcomes_that_cannot_be_are_refused_and_change_nothing(keys, budgets, passes, message):
    ledger = BudgetLedger(8, allocator="uniform")
    ledger.tell(["old", "b"], ledger.ask(["old", "b"]), [1, 1])
    before = ledger.rates()
    ledger.ask(["a", "b"])
    with pytest.raises(InputError, match=message) as caught:
        ledger.tell(keys, budgets, passes)
    assert "\n" not in str(caught.value)
    after = ledger.rates()
    assert after.pass_rate.tolist() == [*before.pass_rate.tolist(), 0.5]
    assert ledger.tell(["b", "a"], [4, 4], [1, 0]).step == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"total": 0}, "total must be a whole number of at least 1, got 0"),
        ({"total": 8.5}, "total must be a whole number"),
        ({"low": 9, "high": 3}, "low .9. is above high"),
        ({"allocator": "cob"}, "did you mean 'coba'"),
        ({"allocator": "oracle-coba"}, "unknown allocator"),
        ({"allocator": "coba", "parameters": {"taw": 3}}, "did you mean 'tau'"),
        ({"estimator": "truth"}, "unknown estimator 'truth'"),
        ({"estimator_parameters": {"widow": 3}}, "does not take widow"),
        ({"window": 0}, "window must be a whole number of at least 1"),
        ({"steps": 2.5}, "steps must be a whole number"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"weighting": "tokens"}, "did you mean 'token'"),
        ({"allocator": "linear-decay"}, r"say how many steps the run has \(steps=...\)"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        BudgetLedger(**({"total": 64} | settings))


def test_the_state_of_another_ledger_is_refused_and_changes_nothing():
    ledger = BudgetLedger(8)
    ledger.tell(["a"], ledger.ask(["a"]), [3])
    other = BudgetLedger(8, high=32)
    with pytest.raises(InputError, match="a ledger with high=64, this one has high=32"):
        other.load_state_dict(ledger.state_dict())
    for state in (
        {},
        ledger.state_dict() | {"estimator": {}},
        ledger.state_dict() | {"keys": [1, 2]},
    ):
        with pytest.raises(InputError, match=r"state|estimator"):
            ledger.load_state_dict(state)
    assert (ledger.rates().keys, ledger.rollouts) == (["a"], 8)
