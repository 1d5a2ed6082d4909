"""A response whose final number is another one is never rewarded, however it is written."""

from fractions import Fraction

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from judging import asks
from number_forms import PROSE
from optional import needs_math

SCALES = ["hundred", "thousand", "million", "dozen", "squared", "or so times 2", "factorial"]
NOISE = st.text("aeinost 0123456789.,$*_\n=+-", max_size=60)
NUMBERS = st.one_of(
    st.integers(-(10**6), 10**6).map(Fraction),
    st.decimals(-1000, 1000, places=3, allow_nan=False).map(Fraction),
    st.fractions(-50, 50, max_denominator=99),
)
WAYS = [*PROSE, "\\boxed{{{}}}", "$$\\boxed{{{}}}$$", "Answer: ${}$", "**Final Answer**\n\n**{}**"]
WAYS += ["#### {}", "It is so.\n#### {}\n", "and so #### **{}**"]


def spelled(number: Fraction) -> list[str]:
    """Ways to write a number that keep it as it is."""
    top, bottom = number.numerator, number.denominator
    ways = [
        f"\\frac{{{top}}}{{{bottom}}}",
        f"{2 * top}/{2 * bottom}",
        f"x = \\frac{{{top}}}{{{bottom}}}",
    ]
    if bottom == 1:
        ways += [str(top), f"{top:,}", f"{top}.0", f"{top:,}".replace(",", "\\,"), f"{top} cm"]
        ways += [f"{top - 1} + 1", f"\\text{{Area}} = {top}", f"{top}\\text{{ apples}}", f"({top})"]
    if 1000 % bottom == 0:
        ways += [
            f"{float(number):.3f}",
            f"x = {float(number):.3f}",
            f"{float(number):.3f}\\text{{ m}}",
        ]
    return ways


@needs_math
@settings(deadline=None, max_examples=60)
@given(NUMBERS, NUMBERS, NOISE, st.data())
def test_another_number_is_never_rewarded(maths, number, other, noise, data):
    assume(abs(number - other) > Fraction(1, 10**5))  # rounding is allowed to 6 places
    gold = asks(data.draw(st.sampled_from(spelled(number)[:2])))
    wrong = [data.draw(st.sampled_from(WAYS)).format(form) for form in spelled(other)]
    texts = [f"{noise}\n{text}" for text in wrong]
    np.testing.assert_array_equal(maths.score([gold] * len(texts), texts), 0.0)


@needs_math
@settings(deadline=None, max_examples=60)
@given(NUMBERS, st.data())
def test_the_number_itself_is_rewarded(maths, number, data):
    gold = asks(data.draw(st.sampled_from(spelled(number)[:2])))
    texts = [data.draw(st.sampled_from(WAYS)).format(form) for form in spelled(number)]
    np.testing.assert_array_equal(maths.score([gold] * len(texts), texts), 1.0)


@needs_math
@settings(deadline=None, max_examples=60)
@given(NUMBERS, NUMBERS, st.sampled_from(WAYS), st.sampled_from([" ", "**", " so ", " 1. "]))
def test_another_number_after_the_mark_of_gsm8k_is_what_counts(maths, number, other, way, before):
    assume(abs(number - other) > Fraction(1, 10**5))
    stated = way.format(spelled(number)[0])
    assume("boxed" not in stated)  # which counts wherever it stands
    texts = [f"{stated}\n####{before}{form}" for form in spelled(other)]
    np.testing.assert_array_equal(maths.score([asks(spelled(number)[0])] * len(texts), texts), 0.0)


@needs_math
@settings(deadline=None, max_examples=40)
@given(st.integers(1, 10**5), st.integers(1, 99), st.sampled_from(SCALES), st.data())
def test_a_number_that_goes_on_is_another_number(maths, number, more, scale, data):
    way = data.draw(st.sampled_from(WAYS))
    texts = [
        f"{number}.{more:02}5",
        f"{number}{more}",
        f"-{number}",
        f"{number} {scale}",
        f"{number}\\text{{ {scale}}}",
        f"{number} or {number + more}",
        f"{number}, {number + more}",
        f"{number} + {more}",
        f"{number}/{more + 1}",
        f"{number}^{{{more + 1}}}" if number > 1 else "2",
        f"{number}x",
        f"{number}({more + 1})",
        f"{number} {more}",
        f"{number}_{{{more}}}0",
        f"{number}e{more}",
        f"not {number}",
        f"> {number}",
    ]
    gold = asks(str(number))
    texts = [way.format(text) for text in texts]
    np.testing.assert_array_equal(maths.score([gold] * len(texts), texts), 0.0)


@needs_math
@settings(deadline=None, max_examples=100)
@given(st.text(max_size=200), NUMBERS)
def test_text_at_random_is_never_rewarded(maths, text, number):
    assume(not any(character.isdecimal() for character in text))
    assert maths(asks(spelled(number)[0]), text) == 0.0
