"""Hostile answers cost bounded time and give nothing; good ones are scored in order."""

import time

import numpy as np
import pytest
from judging import asks
from optional import needs_math

from cobatrain.tasks import Verifier
from cobatrain.tasks.verify import Limits, MathJudge


@pytest.fixture(scope="module")
def maths():
    with Verifier(MathJudge(), workers=2) as verifier:
        verifier.start()
        yield verifier


RIGHT = [
    ("\\sqrt{2}", "\\boxed{\\sqrt 2}"),
    ("\\sqrt{2}", "\\boxed{2^{1/2}}"),
    ("\\sqrt{2}", "\\boxed{sqrt(2)}"),
    ("x^2+2x+1", "\\boxed{(x+1)^2}"),
    ("2x", "\\boxed{2*x}"),
    ("8", "\\boxed{2**3}"),
    ("\\{1,2\\}", "\\boxed{2, 1}"),
    ("(1,2)", "\\boxed{(1, 2)}"),
    ("[0,1)", "\\boxed{[0,1)}"),
    ("3\\pi", "\\boxed{\\pi \\cdot 3}"),
    ("50\\%", "\\boxed{0.5}"),
    ("90^\\circ", "\\boxed{90}"),
    ("\\text{even}", "\\boxed{even}"),
    ("C", "\\boxed{\\text{(C)}}"),
    ("10{,}000", "\\boxed{10000}"),
    ("070", "Answer: 70"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\boxed{\\begin{bmatrix}1\\\\2\\end{bmatrix}}"),
    ("0.333333333", "\\boxed{1/3}"),
]


WRONG = [
    ("\\sqrt{2}", "\\boxed{\\sqrt 3}"),
    ("x^2+2x+1", "\\boxed{(x-1)^2}"),
    ("\\{1,2\\}", "\\boxed{1, 2, 3}"),
    ("(1,2)", "\\boxed{(2,1)}"),
    ("[0,1)", "\\boxed{[0,1]}"),
    ("even", "\\boxed{odd}"),
    ("5", "5 is a number, but I do not know"),
    ("5", "\\boxed{}"),
    ("5", ""),
    ("5", "\\boxed{5 or 6}"),
    ("5", "\\boxed{5, 6}"),
]


@needs_math
def test_right_and_wrong_answers_in_order_whatever_the_number_of_workers(maths):
    cases = (RIGHT + WRONG) * 3
    order = np.random.default_rng(0).permutation(len(cases))
    prompts = [asks(cases[i][0]) for i in order]
    texts = [cases[i][1] for i in order]
    expected = [float(i % len(RIGHT + WRONG) < len(RIGHT)) for i in order]
    np.testing.assert_array_equal(maths.score(prompts, texts), expected)
    with Verifier(MathJudge(), workers=1) as alone:
        np.testing.assert_array_equal(alone.score(prompts, texts), expected)
        assert alone.stats.timeouts == alone.stats.errors == alone.stats.crashes == 0


HOSTILE = {
    "tower": "\\boxed{9^{9^{9^{9}}}}",
    "python power": "\\boxed{9**9**9}",
    "grouped power": "\\boxed{(9^9)^{9^9}}",
    "10^10^10": "\\boxed{10^{10^{10}}}",
    "factorial": "\\boxed{10000000!}",
    "binomial": "\\boxed{\\binom{10^9}{10^8}}",
    "product": "\\boxed{\\prod_{i=1}^{10^9} i}",
    "sum": "\\boxed{\\sum_{i=1}^{10^{12}} \\frac{1}{i}}",
    "integral": "\\boxed{\\int_0^1 x^{x^{x^x}} dx}",
    "brackets": "\\boxed{" + "(" * 19 + "1" + ")" * 19 + "}",
    "deep brackets": "\\boxed{" + "(" * 480 + "1" + ")" * 480 + "}",
    "deep fractions": "\\boxed{" + "\\frac{" * 18 + "1" + "}{2}" * 18 + "}",
    "deeper fractions": "\\boxed{" + "\\frac{" * 90 + "1" + "}{2}" * 90 + "}",
    "open boxes": "\\boxed{" * 15_000,
    "100 kB of digits": "\\boxed{" + "9" * 100_000 + "}",
    "100 kB unboxed": "answer is " + "9" * 100_000,
    "100 kB of brackets": "(" * 50_000 + ")" * 50_000,
    "long sum": "\\boxed{" + "1+" * 490 + "1}",
    "long product": "\\boxed{" + "(x+y)" * 190 + "}",
    "matrix": "\\boxed{\\begin{pmatrix}" + "x&" * 400 + "x\\end{pmatrix}}",
    "combining marks": "\\boxed{" + "e\u0301" * 400 + "}",
    "other digits": "\\boxed{٤٢}",
    "control characters": "\\boxed{4\x002\ud800\u202e}",
    "nan": "\\boxed{nan}",
    "infinity": "\\boxed{\\infty}",
    "set builder": "\\boxed{\\{x | x^{99999999} > 2\\}}",
    "equation": "\\boxed{x^{10000000} - 1 = 0}",
}


@needs_math
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_costs_bounded_time_and_gives_nothing(maths, name):
    start = time.monotonic()
    assert maths(asks("42"), HOSTILE[name]) == 0.0
    # 2 s of CPU, at most 2 s more for the kernel to end a C call; on a machine that is shared.
    assert time.monotonic() - start < 15.0
    assert maths(asks("x+1"), "\\boxed{1+x}") == 1.0


@needs_math
def test_a_batch_of_good_answers_survives_hostile_ones():
    bad = [HOSTILE["tower"], HOSTILE["product"], HOSTILE["deep fractions"]]
    texts = [*["\\boxed{1+x}"] * 20, *bad, *["\\boxed{2+x}"] * 20]
    limits = Limits(cpu_seconds=0.5)
    with Verifier(MathJudge(), workers=2, limits=limits) as verifier:
        rewards = verifier.score([asks("x+1")] * len(texts), texts)
        np.testing.assert_array_equal(rewards, [1.0] * 20 + [0.0] * 23)
        assert verifier.stats.timeouts >= 1
        assert verifier.stats.scored == verifier.stats.judged == len(texts)
