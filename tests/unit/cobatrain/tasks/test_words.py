"""The task in words: disjoint, right, deterministic, by levels."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.tasks import levels_of, make_task, self_check, words
from cobatrain.tasks.operands import heldout_grid
from cobatrain.tasks.words import LEVELS, WordsConfig, make_words

SEEDS = st.integers(0, 2**63)
KINDS = [f"{a}{op}{b}" for a in (1, 2) for b in (1, 2) for op in "+-*<>"]
KINDS.remove("1-2")  # below 0
NAMES = [*KINDS, *(f"story {kind}" for kind in KINDS if kind[1] in "+-*")]
RIGHT = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    ">": max,
    "<": min,
}


def asked(prompt) -> tuple[str, int, int]:
    """(operation, operands) of a prompt, read from its text but for the operation."""
    a, b = (int(number) for number in re.findall(r"\d+", prompt.text))
    return prompt.level.removeprefix("story ")[1], a, b


def pair(prompt) -> tuple[str, int, int]:
    """What must not be on both sides: both comparisons, and both orders, are the same."""
    sign, a, b = asked(prompt)
    sign = ">" if sign == "<" else sign
    return (sign, a, b) if sign == "-" else (sign, min(a, b), max(a, b))


@settings(deadline=None, max_examples=40)
@given(
    SEEDS,
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique=True),
    st.integers(1, 300),
    st.integers(1, 200),
    st.floats(0.1, 0.9),
)
def test_words_are_disjoint_and_right(seed, levels, train, heldout, fraction):
    config = WordsConfig(
        levels=tuple(levels),
        train_size=train,
        heldout_size=heldout,
        heldout_fraction=fraction,
    )
    task = make_words(config, seed)
    held = task.heldout["words"]
    assert {pair(p) for p in task.train}.isdisjoint(pair(p) for p in held)
    for side in (task.train, held):
        assert len({p.text for p in side}) == len(side)
    assert len(task.train) == train - task.counts.get("train short", 0)
    assert len(held) == heldout - task.counts.get("heldout short", 0)
    for prompt in (*task.train, *held):
        sign, a, b = asked(prompt)
        assert int(prompt.answer) == RIGHT[sign](a, b) >= 0
        assert prompt.level in levels
        left, right = prompt.level.removeprefix("story ")[::2]
        assert (len(str(a)), len(str(b))) == (int(left), int(right))
        assert a != b or sign not in "<>"
        assert min(a, b) >= 2 or not prompt.level.startswith("story")
    examples = task.supervised_examples(50, np.random.default_rng(0))
    assert {text for text, _ in examples}.isdisjoint(p.text for p in held)


@given(SEEDS, st.sampled_from(["1>1", "2>1", "2>2"]), st.floats(0.001, 0.999))
@settings(deadline=None, max_examples=20)
def test_who_may_not_know_the_larger_may_not_know_the_smaller(seed, kind, fraction):
    grid = heldout_grid(kind, fraction, seed)
    np.testing.assert_array_equal(grid, heldout_grid(kind.replace(">", "<"), fraction, seed))
    np.testing.assert_array_equal(grid, heldout_grid(kind[::-1], fraction, seed).T)


def test_words_are_a_function_of_the_seed():
    one, again, other = (make_task({"kind": "words"}, seed) for seed in (3, 3, 4))
    assert one.train == again.train
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    assert set(levels_of(one.train)) == set(LEVELS) == set(levels_of(one.heldout["words"]))
    assert self_check(one, one.train).failed == ()
    stories = {re.sub(r"\d+", "#", p.text) for p in one.train if p.level.startswith("story")}
    assert len(stories) == 8


@pytest.mark.parametrize(
    "level", ["2>", "story 2>2", "Story 2+1", "4*4", "2/1", "storey 2+1", "1-2"]
)
def test_unknown_levels_are_named(level):
    with pytest.raises(InputError, match="unknown level in words"):
        make_task({"kind": "words", "levels": [level]}, 0)


def test_a_level_without_questions_to_train_on_is_named(monkeypatch):
    monkeypatch.setattr(words, "_PLURAL", 10)  # more than one digit
    with pytest.raises(InputError, match=r"level 'story 1\+1' has no question to train on"):
        make_task({"kind": "words", "levels": ["2+1", "story 1+1"]}, 0)
