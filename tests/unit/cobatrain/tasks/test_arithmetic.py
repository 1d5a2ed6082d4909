"""The task of arithmetic: disjoint, right, deterministic, by levels."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.tasks import levels_of, make_task
from cobatrain.tasks.arithmetic import LEVELS, ArithmeticConfig, make_arithmetic
from cobatrain.tasks.operands import heldout_grid

SEEDS = st.integers(0, 2**63)
SMALL_LEVELS = [f"{a}{op}{b}" for a in (1, 2) for b in (1, 2) for op in "+-*"]
LEVEL_LISTS = st.lists(st.sampled_from([*SMALL_LEVELS, "3-1"]), min_size=1, max_size=5, unique=True)


def operands(text: str) -> tuple[str, int, int]:
    match = re.fullmatch(r"(\d+)([+\-*])(\d+)=", text)
    assert match is not None, text
    return match[2], int(match[1]), int(match[3])


def canonical(text: str) -> tuple[str, int, int]:
    operation, a, b = operands(text)
    return (operation, a, b) if operation == "-" else (operation, min(a, b), max(a, b))


def right_answer(text: str) -> int:
    operation, a, b = operands(text)
    return a + b if operation == "+" else a - b if operation == "-" else a * b


@settings(deadline=None, max_examples=40)
@given(
    SEEDS,
    LEVEL_LISTS,
    st.integers(1, 400),
    st.integers(1, 300),
    st.floats(0.001, 0.999),
    st.sampled_from(["repeat", "shrink"]),
)
def test_arithmetic_is_disjoint_right_and_canonical(seed, levels, train, heldout, fraction, small):
    config = ArithmeticConfig(
        levels=tuple(levels),
        train_size=train,
        heldout_size=heldout,
        heldout_fraction=fraction,
        small_levels=small,
    )
    task = make_arithmetic(config, seed)
    held = task.heldout["arithmetic"]
    examples = task.supervised_examples(200, np.random.default_rng(0))
    trained = {canonical(p.text) for p in task.train} | {canonical(text) for text, _ in examples}
    assert trained.isdisjoint(canonical(p.text) for p in held)
    assert len({p.text for p in held}) == len(held) <= heldout
    assert len(held) == heldout - task.counts.get("heldout short", 0)
    if small == "repeat":
        assert len(task.train) == train
    else:
        assert len({p.text for p in task.train}) == len(task.train) <= train
    questions = [(p.text, p.answer) for p in (*task.train, *held)] + examples
    for text, answer in questions:
        assert answer == str(right_answer(text))
    for prompt in (*task.train, *held):
        operation, a, b = operands(prompt.text)
        assert prompt.level == f"{len(str(a))}{operation}{len(str(b))}"
        assert prompt.level in levels


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from(SMALL_LEVELS), st.floats(0.001, 0.999))
def test_turned_round_pairs_are_on_one_side_even_across_levels(seed, level, fraction):
    grid = heldout_grid(level, fraction, seed)
    assert grid.any()
    assert not grid.all()
    turned = heldout_grid(level[::-1], fraction, seed)
    if level[1] != "-":
        np.testing.assert_array_equal(grid, turned.T)
    else:  # a pair and its turned-round pair are different questions of subtraction
        assert abs(int(grid.sum()) - fraction * grid.size) <= 1


def test_arithmetic_is_a_function_of_the_seed():
    config = {"kind": "arithmetic", "train_size": 500, "heldout_size": 100}
    one, again, other = (make_task(config, seed) for seed in (3, 3, 4))
    assert one.train == again.train
    assert one.heldout == again.heldout
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    draws = [one.supervised_examples(50, np.random.default_rng(7)) for _ in range(2)]
    assert draws[0] == draws[1]


def test_heldout_does_not_depend_on_the_pool():
    sizes = [make_task({"kind": "arithmetic", "train_size": n}, 0) for n in (100, 5000)]
    assert sizes[0].heldout == sizes[1].heldout


def test_shares_are_kept_and_repeats_are_reported():
    config = ArithmeticConfig(levels=("1+1", "2+2"), shares=(3, 1), train_size=400)
    task = make_arithmetic(config, 0)
    assert levels_of(task.train) == {"1+1": 300, "2+2": 100} or levels_of(task.train) == {
        "2+2": 100,
        "1+1": 300,
    }
    distinct = len({p.text for p in task.train if p.level == "1+1"})
    assert task.counts["repeated"] == 300 - distinct
    times = np.unique([p.text for p in task.train if p.level == "1+1"], return_counts=True)[1]
    assert times.max() - times.min() <= 1
    assert any("1+1" in note for note in task.notes)


def test_supervision_draws_beyond_the_pool_and_by_level():
    task = make_arithmetic(ArithmeticConfig(train_size=50), 0)
    examples = task.supervised_examples(3000, np.random.default_rng(0))
    assert len({text for text, _ in examples} - {p.text for p in task.train}) > 1000
    only = task.supervised_examples(30, np.random.default_rng(0), levels=["2*1"])
    assert all(re.fullmatch(r"\d\d\*\d=", text) for text, _ in only)
    with pytest.raises(InputError, match=r"9\+9"):
        task.supervised_examples(3, np.random.default_rng(0), levels=["9+9"])


def test_the_default_ladder_has_every_level_on_both_sides():
    task = make_task({"kind": "arithmetic"}, 0)
    assert set(levels_of(task.train)) == set(LEVELS) == set(levels_of(task.heldout["arithmetic"]))
    assert len(task.train) == 8192
    assert len(task.heldout["arithmetic"]) == 500
