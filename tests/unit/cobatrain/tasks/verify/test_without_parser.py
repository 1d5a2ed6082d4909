"""What is decided about an answer before anything is parsed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.tasks.verify.equality import decided, expected
from cobatrain.tasks.verify.words import as_words


def verdict(reference: str, answer: str, question: str = "How many apples?") -> bool | None:
    gold = expected(reference)
    assert gold is not None
    return decided(gold, answer, question)


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        ("73", "73.0", True),
        ("73", "73 apples", True),
        ("73", "73.0000001", False),
        ("73", "73 million", False),
        ("73", "73\\text{ or }74", None),
        ("0", "not 0", False),
        ("73", "\\text{Area} = 73", None),
        ("73", "x = 73", True),
        ("73", "x_1 = 73.5", False),
        ("73", "x = y = 73", None),
        ("73", "10 = 73", False),
        ("73", "\\sqrt{73}", None),
        ("1/3", "0.333333", None),
        ("10", "7 3", False),
        ("1", "1_000", False),
        ("0", "0x49", False),
        ("73_8", "73_{8}", True),
        ("73_8", "73_{\\text{eight}}", True),
        ("73_8", "73", True),
        ("73_8", "73_9", False),
        ("73_8", "59_{10}", True),
        ("73_8", "59", False),
        ("1A_{16}", "1a", True),
        ("\\text{even}", "Even", True),
        ("east", "seat", False),
        ("no solution", "\\text{No solution}", True),
        ("ab", "ba", None),
        ("abc", "cab", None),
        ("C", "(C)", True),
        ("C", "(B) 5", False),
        ("5", "(" * 21 + "5" + ")" * 21, False),
    ],
)
def test_verdicts_without_a_parser(reference, answer, right):
    assert verdict(reference, answer) is right


@given(st.integers(-(10**15), 10**15), st.integers(-(10**15), 10**15), st.integers(0, 3))
def test_integers(number, other, places):
    assert verdict(str(number), f"{other:,}" + ("." + "0" * places) * (places > 0)) is (
        number == other
    )


@given(st.text("abcdefgh -'", min_size=1, max_size=30))
def test_words_are_what_they_are_in_any_case(text):
    words = as_words(text)
    assert words == as_words(text.upper()) or words is None or as_words(text.upper()) is None
    assert words is None or as_words(f"\\text{{{text}}}") == words
