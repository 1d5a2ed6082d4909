"""Where the final answer of a text is found."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobatrain.tasks.verify import final_answer


@settings(max_examples=200)
@given(
    st.text(), st.text("abc{}\\ $019.", max_size=30), st.sampled_from(["boxed", "marked", "any"])
)
def test_final_answer_never_raises_and_a_closed_box_wins(before, inner, source):
    final_answer(before, source)
    if inner.strip() and inner.count("{") == inner.count("}") == inner.count("\\") == 0:
        answer = final_answer(before + "\\boxed{" + inner + "} done", source)
        assert answer is None or inner.strip().strip("$").strip() == answer.strip("$").strip()


@pytest.mark.parametrize(
    ("text", "source", "answer"),
    [
        ("so \\boxed{\\frac{1}{2}}.", "boxed", "\\frac{1}{2}"),
        ("\\boxed{1} no, \\boxed{2}", "boxed", "2"),
        ("\\boxed 7.", "boxed", "7"),
        ("\\boxed{1} then \\boxed{2", "any", None),
        ("\\boxed{\\}}", "boxed", "\\}"),
        ("Answer: 34", "marked", "34"),
        ("Answer: 34", "boxed", None),
        ("**Final Answer:** $34$, since", "marked", "34"),
        ("The answer is 1. The answer is: 2.", "marked", "2"),
        ("thus $x=5$ holds", "marked", "x=5"),
        ("thus $$5$$", "marked", "5"),
        ("thus \\(5\\) or \\[6\\]", "marked", "6"),
        ("it is 1,234", "marked", None),
        ("it is 12 or 1,234, ok", "any", "1,234"),
        ("", "any", None),
        ("it is -5.", "any", "-5"),
        ("x = - 5", "any", "-5"),
        ("2^5", "any", "2^5"),
        ("about 1e5!", "any", "1e5"),
        ("(x=5),", "any", "x=5"),
        ("it weighs **5kg**", "any", "5kg"),
        ("3/4", "any", "3/4"),
        ("no digits", "any", None),
        ("\\boxed{}", "any", None),
        ("\\boxed{" + "1" * 2000 + "}", "any", None),
    ],
)
def test_where_the_final_answer_is_found(text, source, answer):
    assert final_answer(text, source) == answer


@pytest.mark.parametrize(
    "piece", ["\\boxed{", "answer is ", "$", "\\(", "{", "answer ", "1,", "\\"]
)
def test_finding_the_answer_in_a_huge_text_is_fast(piece):
    text = piece * (2_000_000 // len(piece))
    start = time.perf_counter()
    for source in ("boxed", "marked", "any"):
        final_answer(text, source)
    assert time.perf_counter() - start < 1.0
