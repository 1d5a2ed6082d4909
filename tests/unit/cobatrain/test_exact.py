"""Ranks that share the rows of an exact evaluation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from small_updates import VOCABULARY, gpt2

from cobasim.errors import InputError
from cobatrain.engines import SamplingConfig
from cobatrain.exact import ExactAnswers, exact_answers, exact_log_rates
from cobatrain.parallel import Single
from cobatrain.tasks import Prompt
from cobatrain.update import micro_batches

LENGTHS = st.lists(st.integers(1, 9), min_size=1, max_size=30)


class Rank(Single):
    """One of several ranks, which hears nobody."""

    def __init__(self, rank: int, world: int, sharded: bool) -> None:
        self.rank, self.world, self.sharded = rank, world, sharded


def made(lengths: list[int], owners: int = 1) -> ExactAnswers:
    """Rows of random tokens; prompts have one token less than asked for, responses one."""
    rng = np.random.default_rng(len(lengths))
    rows = [rng.integers(0, VOCABULARY, n + 1).tolist() for n in lengths]
    owner = np.arange(len(rows)) % owners
    return ExactAnswers([row[:-1] for row in rows], [row[-1:] for row in rows], owner, owners)


@given(LENGTHS, st.integers(1, 5), st.integers(1, 40))
def test_every_row_is_in_one_share_and_shares_are_alike(lengths, world, tokens):
    answers = made(lengths)
    shares = [answers.batches(rank, world, tokens) for rank in range(world)]
    own = [np.concatenate([*share, np.zeros(0, int)]) for share in shares]
    assert sorted(np.concatenate(own)) == list(range(len(lengths)))
    assert max(map(len, own)) - min(map(len, own)) <= 1
    total = [sum(lengths[int(i)] for i in rows) for rows in own]
    assert max(total) - min(total) <= max(lengths)
    alone = micro_batches([n + 1 for n in lengths], tokens)
    assert [b.tolist() for b in answers.batches(max_tokens=tokens)] == [b.tolist() for b in alone]


@pytest.mark.parametrize("sharded", [False, True])
def test_what_the_ranks_find_adds_up_to_what_one_finds(sharded):
    """Sharded ranks run equally many passes, also one without rows."""
    model = gpt2()
    answers = made([3, 9, 1, 4, 2], owners=2)
    alone = exact_log_rates(model, answers, 0.8)
    for world in (2, 7):
        passes, found = [], []
        for rank in range(world):
            count = []
            hook = model.register_forward_hook(lambda *_, count=count: count.append(1))
            found.append(exact_log_rates(model, answers, 0.8, Rank(rank, world, sharded)))
            hook.remove()
            passes.append(len(count))
        np.testing.assert_allclose(np.logaddexp.reduce(found), alone, rtol=1e-5)
        if sharded:
            assert set(passes) == {1}


def letters(text, add_special_tokens=True):
    """A tokenizer of single characters, which begins with token 1 where it may add one."""
    return {"input_ids": [1] * add_special_tokens + [ord(letter) for letter in text]}


def answers_of(*answers):
    prompts = [Prompt(f"question {i}", a, "all", "here") for i, a in enumerate(answers)]
    tokens = {prompt.shown: [7, i] for i, prompt in enumerate(prompts)}
    return exact_answers(prompts, tokens, letters, [2], SamplingConfig(max_tokens=4))


def test_answers_are_theirs_and_an_end():
    found = answers_of("12", "3")
    assert found.responses == [[ord("1"), ord("2"), 2], [ord("3"), 2]]
    assert found.prompts == [[7, 0], [7, 1]]


def test_a_row_without_a_reference_answer_is_named():
    """It would pass for an end token alone, at a rate that means nothing."""
    with pytest.raises(InputError, match=r"^the prompt 'question 1' has no reference answer$"):
        answers_of("12", "", "3")
