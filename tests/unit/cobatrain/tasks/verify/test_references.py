"""What a reference answer states, and what is no answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.tasks import Prompt, Verifier
from cobatrain.tasks.verify import MathJudge, reference


@pytest.mark.parametrize(
    ("given_", "stated"),
    [
        ("5+1=<<5+1=6>>6\n#### 6", "6"),
        ("#### 1,001 \n", "1,001"),
        ("so #### 3\nno #### 4", "4"),
        ("Thus #### and \\boxed{7}.", "7"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("$\\boxed{5}$ as before, \\boxed{5}", "5"),
        ('["1,234"]', "1,234"),
        ("['x+1']", "x+1"),
        ("[5]", "5"),
        ('["3", "5"]', "3, 5"),
        ('["3", 5]', "3, 5"),
        ('[["5"]]', "5"),
        ('["\\frac{1}{2}"]', "\\frac{1}{2}"),
        (["\\boxed{5}"], "5"),
        ([["4"]], "4"),
        ([1, 2.0], "1, 2"),
        ("The answer is 5.", "5"),
        ("The answer is: **5**", "5"),
        ("Final answer: the answer is 5", "5"),
        ("**Final Answer:** The final answer is $5$. I hope it is correct.", "5"),
        ("The answer is 5, since the answer to part a is 5.", "5"),
        ("The answer is 5.\nSo, the answer is 5.0", "5.0"),
        ("The answer is 0. Again, the answer is 0.0", "0.0"),
        (142.0, "142"),
        ("[0, 1)", "[0, 1)"),
        ("[0, 1]", "[0, 1]"),
        ("even", "even"),
    ],
)
def test_what_a_reference_states(given_, stated):
    assert reference(given_) == stated
    if isinstance(given_, str):
        assert reference(stated) == stated


@pytest.mark.parametrize(
    ("given_", "why"),
    [
        ("proof", "'proof'"),
        ("\\text{Proof}", "Proof"),
        ("notfound", "'notfound'"),
        ("Not found.", "Not found"),
        ("N/A", "'N/A'"),
        ("None", "'None'"),
        ("-", "'-'"),
        ("", "empty"),
        (" $$ ", "empty"),
        ("####", "empty"),
        ("\\boxed{}", "empty"),
        ([], "empty"),
        ([""], "empty"),
        (None, "empty"),
        ("7" * 1001, "longer than 1000"),
        ("\\boxed{5} or \\boxed{6}", "2 boxes that differ"),
        ("so \\boxed{5", "not closed"),
        ("The answer is 5. No, the answer is 6.", "not a final answer: it states 2 that differ"),
        ("The answer is even. No: the answer is odd.", "it states 2 that differ: even, odd"),
        ("Answer: 5 cm\nAnswer: 6 cm", "not a final answer: it states 2 that differ: 5 cm, 6 cm"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
        (True, "true or false"),
        ({"value": 5}, "dict"),
        ('{"value": 5}', "JSON object"),
        ("\u200b", "empty"),
    ],
)
def test_what_is_no_answer(given_, why):
    with pytest.raises(ValueError, match=why):
        reference(given_)


@given(st.one_of(st.text(max_size=80), st.text('[]"\\box{}#, 5\n$', max_size=40)))
def test_any_text_is_a_reference_or_refused_and_stays_what_it_is(text):
    try:
        stated = reference(text)
    except ValueError:
        return
    assert stated == stated.strip() != ""
    assert reference(stated) == stated


def test_a_reference_without_an_answer_is_never_met():
    with Verifier(MathJudge()) as verifier:
        for answer in ("proof", "n/a", "", "\\boxed{5} \\boxed{6}"):
            prompt = Prompt("q", answer, "level", "source")
            for text in (f"Answer: {answer}", f"\\boxed{{{answer}}}", answer):
                assert verifier(prompt, text) == 0.0
        gsm8k = Prompt("q", "5+1=<<5+1=6>>6\n#### 6", "level", "source")
        assert verifier(gsm8k, "\\boxed{6}") == 1.0
        assert verifier(gsm8k, "\\boxed{5}") == 0.0
