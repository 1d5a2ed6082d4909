"""Which reference answers are prose, and which are values, phrases and lists."""

import pytest

from cobatrain.tasks.verify import check_final

FINAL = [
    "12",
    "12 apples",
    "x = 5 or x = 3",
    "\\frac{1}{2}",
    "no solution",
    "n is even",
    "n is a multiple of 4",
    "it is impossible",
    "red, dark blue, green, yellow, black, white, brown",
    "Anna and Ben and Clara and David and Emma and Finn and Gina",
    "\\begin{pmatrix}1 & 2\\\\\n3 & 4\\end{pmatrix}",
    "12 \\text{ if } n \\text{ is even}, 13 \\text{ otherwise}",
    "\\mathfrak{so}(3)",
    "SO(3)",
    "\\sin x + \\cos x + \\tan x + \\sec x + \\csc x + \\cot x + \\log x + \\exp x",
    "sin x + cos y + tan z + log a + exp b + max c + min d + sqrt e",
    "(B) 5",
    "Tuesday",
]
PROSE = [
    "She has 3 apples and so it is 12",
    "She has 12 apples.",
    "so it is 12",
    "Thus 12",
    "The sum is 12",
    "There are 12 solutions",
    "That makes 12",
    "all of the positive integers that are no multiples of some prime",
    "\\text{the set of all the pairs of numbers that we can form}",
    "We add. So it is four.\nThat is all that we do.",
]


@pytest.mark.parametrize("answer", FINAL)
def test_final_answers(answer):
    check_final(answer)


@pytest.mark.parametrize("answer", PROSE)
def test_prose(answer):
    with pytest.raises(ValueError, match="not a final answer: prose"):
        check_final(answer)
