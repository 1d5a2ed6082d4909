"""Units are taken off a number; words that change it are not."""

import pytest

from cobatrain.tasks.verify.units import CHANGING, without_unit, words_of

ASKED = words_of("How many apples does she buy in 3 ways?")


@pytest.mark.parametrize(
    "unit",
    [
        *(" cm", "cm", " cm^2", " cm^{3}", " square feet", " miles per hour", " dollars"),
        *(" apples", " apple", " ways", " years old", " degrees", "\u00b0", "^\\circ", "^{\\circ}"),
        *(
            "\\text{ cm}",
            "\\,\\mathrm{km}",
            "\\text{ cm}^2",
            "\\text{ m}/\\text{s}",
            "\\text{ boys}",
        ),
        *("^\\circ\\text{C}", "~\\text{kg}"),
    ],
)
def test_units(unit):
    assert without_unit(f"5{unit}", ASKED) == "5"
    assert without_unit(f"\\frac{{1}}{{2}}{unit}", ASKED) == "\\frac{1}{2}"


@pytest.mark.parametrize("word", sorted(CHANGING))
def test_words_that_change_a_number_stay(word):
    asked = words_of(f"How many {word} {word}s?")
    for text in (f"5 {word}", f"5 {word}s", f"5\\text{{ {word}}}", f"5 {word.upper()} apples"):
        assert without_unit(text, asked) == text


@pytest.mark.parametrize("text", ["5t", "5 m", "5x", "5 ab", "5 pears", "x", "apples", "5^2", "5'"])
def test_what_is_no_unit(text):
    assert without_unit(text, ASKED) == text


def test_a_reference_is_trusted():
    assert without_unit("5 pears", trusted=True) == "5"
    assert without_unit("5 million", trusted=True) == "5 million"
