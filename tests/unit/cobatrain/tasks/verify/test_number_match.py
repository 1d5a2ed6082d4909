"""A number in a sentence: the last one counts, and nothing is evaluated."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.tasks import Prompt
from cobatrain.tasks.verify import NumberMatch

NUMBERS = st.integers(-999, 999)
WAYS = ("{}", " {}.\n", "The answer is {}.", "7 + 70 = {}", "It is **{}**", "= {}", "3, 4, {}")


@given(NUMBERS, NUMBERS, st.sampled_from(WAYS))
def test_the_last_number_counts_however_it_is_said(answer, said, way):
    prompt = Prompt("What is it?", str(answer), "l", "s")
    reward = NumberMatch()
    assert reward(prompt, way.format(said)) == float(said == answer)
    other = answer + 1
    assert reward(prompt, f"{way.format(answer)} no, {other}") <= float(way == "The answer is {}.")


@given(NUMBERS, NUMBERS)
def test_of_numbers_to_choose_from_the_first_one_counts(one, other):
    prompt = Prompt("Which?", str(one), "l", "s", {"choice": True})
    for way in (
        "{}",
        "{} is larger than {}.",
        "The larger is **{}**, not {}.",
        "Of the two, {}: {}",
    ):
        assert NumberMatch()(prompt, way.format(one, other)) == 1.0
        assert NumberMatch()(prompt, way.format(other, one)) == float(one == other)
    assert NumberMatch()(prompt, "the larger one") == 0.0


@pytest.mark.parametrize(
    "text",
    ["", "seven", "7+7", "2*7", "14 or 15", "140", "1 4", "0x0e", "__import__('os')", "14th"],
)
def test_what_states_no_number_or_another_gets_nothing(text):
    assert NumberMatch()(Prompt("What is 7 + 7?", "14", "l", "s"), text) == 0.0


def test_scores_come_in_order_and_lengths_are_checked():
    prompts = [Prompt("How many apples?", str(n), "l", "s") for n in range(4)]
    texts = ["0 apples", "2", "She has 2 apples.", "3 apples"]
    np.testing.assert_array_equal(NumberMatch().score(prompts, texts), [1, 0, 1, 1])
    with pytest.raises(ValueError, match="4 prompts but 1 text"):
        NumberMatch().score(prompts, ["1"])
