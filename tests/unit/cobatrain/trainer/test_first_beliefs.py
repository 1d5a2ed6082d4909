"""Counts from before a run find their prompts by text."""

from __future__ import annotations

import csv

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.config import PassRatesConfig, load_config
from cobatrain.tasks import Prompt
from cobatrain.trainer.first_beliefs import first_counts

POOL = [Prompt(text, "0", "level", "test") for text in ("1+1=", "1+2=", "a, b\n?", "1+1=")]


def write(path, rows, header=("prompt", "passes", "rollouts")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return str(path)


def counts(path, pool=POOL, say=lambda _: None, **options):
    read = {"passes": "passes", "attempts": "rollouts"} | options
    return first_counts(PassRatesConfig(path=path, **read), pool, say)


def test_without_a_file_nothing_is_known():
    assert first_counts(None, POOL) is None


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations(range(3)),
    passes=st.lists(st.integers(0, 16), min_size=3, max_size=3),
)
def test_rows_in_any_order_find_their_prompts(order, passes, tmp_path_factory):
    texts = ["1+1=", "a, b\n?", "unknown"]
    rows = [(texts[i], passes[i], 16) for i in order]
    attempts, found = counts(write(tmp_path_factory.mktemp("rates") / "a.csv", rows))
    assert attempts.tolist() == [16, 0, 16, 16]
    assert found.tolist() == [passes[0], 0, passes[1], passes[0]]


def test_one_row_a_rollout(tmp_path):
    rows = [("1+2=", 1), ("1+2=", 0), ("1+1=", 1)]
    path = write(tmp_path / "a.csv", rows, ("text", "reward"))
    attempts, passes = first_counts(
        PassRatesConfig(path=path, group_by="text", score="reward"), POOL
    )
    assert attempts.tolist() == [1, 2, 0, 1]
    assert passes.tolist() == [1, 1, 0, 1]


def test_what_was_found_is_said(tmp_path):
    said = []
    counts(write(tmp_path / "a.csv", [("1+1=", 3, 8), ("x", "", 8)]), say=said.append)
    assert "1 row without a value" in said[0]
    assert "beliefs of 2 of 4 prompts start from it" in said[0]


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        ([("x", 1, 2)], {}, "none of its 1 prompts is one of the task's 4"),
        ([("1+1=", 1, 2), ("1+1=", 2, 2)], {}, "'1\\+1=' is in it more than once"),
        ([("1+1=", 3, 2)], {}, "3 of 2 attempts"),
        ([("1+1=", 1, 2)], {"prompt": "text"}, "no column 'text'"),
        ([("1+1=", 1, 2)], {"passes": None, "column": "passes", "attempts": None}, None),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path, rows, options, words):
    path = write(
        tmp_path / "a.csv", rows, ("prompt", "passes", "n" if words is None else "rollouts")
    )
    with pytest.raises(InputError, match=words or "add pass_rates.attempts"):
        counts(path, **options)


@pytest.mark.parametrize("given", [["pass_rates.path=a.csv"], ["loop.first_beliefs=measured"]])
def test_file_and_rule_belong_together(given):
    with pytest.raises(InputError, match="belong together"):
        load_config("tiny", given)
    both = load_config("tiny", ["pass_rates.path=a.csv", "loop.first_beliefs=measured"])
    assert both.pass_rates.reading.prompt == "prompt"
