"""Numbers read without a parser: exactly, whatever their spelling."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.tasks.verify.numerals import (
    as_number,
    same_number,
    terminates,
    tidied,
    without_mixed,
)

SEPARATORS = [",", "{,}", "\\,", ",\\!", "\\ ", "~", " "]


@given(st.integers(-(10**12), 10**12), st.sampled_from(SEPARATORS), st.integers(0, 9999))
def test_thousands_separators_and_decimals(number, separator, part):
    grouped = f"{number:,}".replace(",", separator)
    assert as_number(grouped) == number
    assert as_number(tidied(f"${grouped}.$")) == number
    assert as_number(f"{grouped}.{part:04}") == Fraction(f"{number}.{part:04}")


@given(st.fractions(max_denominator=10**6))
def test_ratios(number):
    top, bottom = number.numerator, number.denominator
    assert as_number(f"{top}/{bottom}") == number
    assert as_number(f"\\dfrac{{{top}}}{{{bottom}}}") == number
    assert terminates(number) == (10**40 % bottom == 0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (".5", "1/2"),
        ("5.", "5"),
        ("+5", "5"),
        ("\\$1,000", "1000"),
        ("-$5", "-5"),
        ("2.5e3", "2500"),
        ("1E-2", "1/100"),
        ("070", "70"),
        ("- 5", "-5"),
    ],
)
def test_spellings(text, number):
    assert as_number(text) == Fraction(number)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "-", "--5", "1,23", "1,2345", "1.2.3", "1_000", "5..", "1e", "e5", "1/0"),
        *(
            "x",
            "\u0663",
            "\uff19",
            "5 6",
            "1/2/3",
            "0x10",
            "5%",
            "1e9999",
            "9" * 401,
            "5!",
            "1 2/3",
        ),
        "\\frac{1}{0}",
    ],
)
def test_what_is_no_number(text):
    assert as_number(text) is None


def test_only_rounding_is_left_open():
    third = Fraction(1, 3)
    assert same_number(third, Fraction("0.333333")) is None
    assert same_number(third, Fraction(2, 3)) is False
    assert same_number(Fraction(5), Fraction("5.0000001")) is False
    assert same_number(Fraction("0.5"), Fraction(1, 2)) is True


@given(st.integers(0, 10**6), st.integers(1, 99), st.integers(2, 99))
def test_mixed_numbers(whole, top, bottom):
    for text in (f"{whole}\\frac{{{top}}}{{{bottom}}}", f"{whole} {top}/{bottom}"):
        changed = without_mixed(text)
        if top < bottom:
            assert as_number(changed) == whole + Fraction(top, bottom)
        else:
            assert changed == text
