"""Answers that plain prose states, and prose that states none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.tasks.verify import final_answer

STATED = [
    "The answer is **73**.",
    "The answer is:\n73",
    "The answer is: \n\n73\n",
    "The answer is 73, because 1+72=73.",
    "The answer is 73 since it is not 74.",
    "The answer is 73; so 74 is wrong.",
    "The answer is therefore 73.",
    "The answer is, therefore, 73.",
    "**Final Answer**\n\n73",
    "**Final Answer**\n\n\n73.",
    "### Final Answer\n73",
    "**Final Answer:**\n**73**",
    "Final Answer: The final answer is $73$. I hope it is correct.",
    "The correct answer is `73`. Let me check it: 2 + 2 = 4.",
    "**The answer is 73.**",
    "*The answer is 73.* Done.",
    "The answer is \\(73\\).",
    "The answer is\n\\[\n73\n\\]",
    "The answer is:\n$$73$$",
    "The answer to the second question is 73.",
    "The answer is equal to 73.",
    "The answer is approximately 73.",
    "The answer would be 73.",
    "Answer: 73",
    "answer = 73",
    "Answer: 12.\nNo. Answer: 73.\nThat is all.",
    "#### 73",
    "70+3=<<70+3=73>>73\n#### 73\n",
    "It is 72.\n####73.",
    "so it is so. #### **73**",
    "#### $73$",
    "#### 73 ####",
    "The answer is 72.\n#### 73",
    "#### 72\n#### 73",
    "#### Answer: 73",
    "The answer is 73.\n#### Some final remarks",
    "#### Answer\n73",
]
OTHER = {
    "The answer is 73.5": "73.5",
    "The answer is -73.": "-73",
    "The answer is **73**.5": "73.5",
    "The answer is $73$.5": "73.5",
    "The answer is **73** + 1": "73 + 1",
    "The answer is 73 or 74.": "73 or 74",
    "The answer is 73\nor 74": "73 or 74",
    "The answer is **73** million.": "73 million",
    "The answer is not 73.": "not 73",
    "The answer is 73 apples.": "73 apples",
    "The answer is 1\\,000.": "1\\,000",
    "The answer is 12.": "12",
    "The answer is 12. 5 apples are left.": "12. 5 apples are left",
    "The answer is (A) because 73.": "(A)",
    "The answers are 3 and 5.": "3 and 5",
    "The answer is $\\frac{1}{2}$, so we stop.": "\\frac{1}{2}",
    "The answer is x = 73.": "x = 73",
    "#### 73 or 74": "73 or 74",
    "#### 73 apples": "73 apples",
    "#### $73$ + 1": "73 + 1",
    "Answer: 73\n#### even": "even",
    "#### 73\nThe answer is 74.": "74",
}
NOWHERE = [
    "The answer isn't 73",
    "#### 73\nThat is all.",
    "##### 73",
    "### 73",
    "Answer: 73\n#### Step 2",
    "Answer: 73\n#### 2. Apples",
    "Answer: 73\n#### 73. Wait, it is 74",
    "Answer: 73\n#### > 74",
    "Answer: 73, or $73$.\n#### now we add 5 to the sum of both",
    "Answer:\n\n1. Add 72 and 1.\n2. That gives 73.",
    "73",
    "An answer can be found. It has 73 parts.",
    "**Final Answer**\n\nWe add 72 and 1 to get the sum that was asked for.",
]


@pytest.mark.parametrize("text", STATED)
def test_prose_states_73(text):
    assert final_answer(text) == "73"
    assert final_answer(f"First, 5 and 6. {text}") == "73" or text.startswith(("*", "#"))


@pytest.mark.parametrize("text", OTHER)
def test_prose_states_something_else(text):
    assert final_answer(text) == OTHER[text]


@pytest.mark.parametrize("text", NOWHERE)
def test_prose_states_nothing(text):
    assert final_answer(text) is None


@given(st.text("answeris 7*_`$\n.,:\\()[]or", max_size=60))
def test_any_prose_is_read_without_error(text):
    for before in ("", "The answer is ", "**Final Answer**\n"):
        answer = final_answer(before + text)
        assert answer is None or answer.strip() == answer != ""
