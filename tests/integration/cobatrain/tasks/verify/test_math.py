"""Mathematical answers in many formats, judged by worker processes."""

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import asks
from optional import needs_math

from cobatrain.tasks import Verifier
from cobatrain.tasks.verify import MathJudge

NUMBERS = st.integers(-(10**6), 10**6)


@needs_math
@settings(deadline=None, max_examples=30)
@given(NUMBERS, st.integers(-(10**6), 10**6))
def test_integers_in_many_formats(maths, number, other):
    texts = [
        f"\\boxed{{{number}}}",
        f"so the answer is {number}.",
        f"Answer: ${number}$",
        f"\\boxed{{{number:,}}}",
        f"\\boxed{{{number}.0}}",
        f"\\boxed{{\\frac{{{2 * number}}}{{2}}}}",
        f"\\boxed{{x = {number}}}",
        f"$$\n{number}\n$$",
    ]
    np.testing.assert_array_equal(maths.score([asks(str(number))] * len(texts), texts), 1.0)
    if other != number:
        wrong = [text.replace(str(number), str(other)) for text in texts[:3]]
        np.testing.assert_array_equal(maths.score([asks(str(number))] * 3, wrong), 0.0)


@needs_math
@settings(deadline=None, max_examples=30)
@given(st.integers(-99, 99), st.integers(2, 99), st.integers(1, 9))
def test_fractions_in_many_formats(maths, top, bottom, factor):
    gold = asks(f"\\frac{{{top}}}{{{bottom}}}")
    right = [
        f"\\boxed{{\\frac{{{top}}}{{{bottom}}}}}",
        f"\\boxed{{\\dfrac{{{top * factor}}}{{{bottom * factor}}}}}",
        f"\\boxed{{{top}/{bottom}}}",
        f"The answer is {top}/{bottom}.",
        f"${top} / {bottom}$",
    ]
    wrong = [f"\\boxed{{\\frac{{{top}}}{{{bottom + 1}}}}}", f"${top + 1}/{bottom}$"][not top :]
    rewards = maths.score([gold] * len(right + wrong), right + wrong)
    np.testing.assert_array_equal(rewards, [1.0] * len(right) + [0.0] * len(wrong))


@needs_math
def test_any_takes_the_last_number_and_boxed_only_a_box(anything):
    assert anything(asks("5"), "I count 4, no, 5") == 1.0
    with Verifier(MathJudge("boxed"), workers=1) as boxed:
        assert boxed(asks("5"), "the answer is 5") == 0.0


@needs_math
def test_it_works_outside_the_main_thread(maths):
    got = []
    gold = asks("x+1")
    threads = [
        threading.Thread(target=lambda: got.append(maths(gold, "\\boxed{1+x}"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == [1.0] * 4
