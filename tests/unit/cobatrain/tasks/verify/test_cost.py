"""Hostile text costs little in the trainer's own process, where no limit ends it."""

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobatrain.tasks.verify import final_answer, reference
from cobatrain.tasks.verify.equality import decided, expected

PIECES = [
    *(
        " ",
        "~",
        "\\,",
        "5 ",
        "a ",
        "a",
        "\\text{",
        "\\text{a}",
        "5'",
        "{",
        "=",
        "x=",
        "\\frac",
        "\\ ",
    ),
    *("\\frac{", "sqrt(", "(", "$", ",", "5,", "/", ".", "and ", "^", "_", "1_", "A.", "- ", "I"),
    *("a.b ", "a-", "\\sqrt", "\\sin ", "\\sin^2", "5\\frac", "5 \\frac1", "1{,}", "1,234", "#"),
    *(
        "####",
        "[",
        "]",
        '"',
        "\\boxed",
        "\\boxed{",
        "answer is ",
        "answer to ",
        "**",
        "*",
        "`",
        "\n",
    ),
    *("the ", "or ", "0x", "\\dots", ":", "A) ", "0.", "\\textcolor{red}", "^\\circ", "thus, "),
]
GOLD = expected("73")


def seconds(piece: str, before: str, after: str) -> float:
    text = (before + piece * 1000)[:990] + after
    start = time.process_time()
    assert GOLD is not None
    assert decided(GOLD, text, "How many apples?") in (None, False)
    with suppress(ValueError):
        reference(text)
    for source in ("boxed", "marked", "any"):
        final_answer((before + piece * 10_000)[:50_000] + after, source)
    return time.process_time() - start


@pytest.mark.parametrize("piece", PIECES)
def test_a_text_that_repeats_itself(piece):
    assert seconds(piece, "5", "x") < 0.5


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(PIECES), min_size=2, max_size=3).map("".join),
    st.sampled_from(["", "5", "x", "The answer is ", "\\text{", "5 "]),
    st.sampled_from(["", "x", "!", "}", " 5"]),
)
def test_texts_of_several_pieces(piece, before, after):
    assert seconds(piece, before, after) < 0.5
