"""The self-check answers in another form, so that it can fail, and says what it found."""

import pytest

from cobatrain.tasks import Prompt, Task, Verifier, make_task, sample_check, self_check
from cobatrain.tasks.verify import ExactMatch, MathJudge
from cobatrain.tasks.verify.other_forms import other_forms


def prompts(*answers: str) -> list[Prompt]:
    return [Prompt(f"q{i}", answer, "l", f"line {i + 1}") for i, answer in enumerate(answers)]


@pytest.mark.parametrize(
    "answer",
    [
        *("6", "0.5", "\\frac{1}{3}", "even", "\\text{no solution}", "x+1", "(1,2)", "73_8", "C"),
        *("73_{8}", "1,234", "50\\%", "5 cm", "5+1=6\n#### 6"),
    ],
)
def test_the_other_form_differs_and_is_right(answer):
    forms = other_forms(answer)
    assert forms
    assert answer not in forms


def test_every_way_of_stating_an_answer_passes_its_own_reference():
    with Verifier(MathJudge(), workers=1) as verifier:
        answers = "6", "-0.5", "\\frac{1}{3}", "even", "x+1", "(1,2)", "73_8", "50\\%", "5t", "C"
        task = Task("t", prompts(*answers, "\\{1,2\\}", "[0,1)"), {}, verifier)
        check = self_check(task, task.train)
        assert (check.checked, check.skipped, check.failed) == (12, 0, ())
        assert check.finding.endswith(
            "12 reference answers, given in another form: all are rewarded"
        )


def test_references_that_cannot_be_met_are_named():
    with Verifier(MathJudge(), workers=1) as verifier:
        bad = "proof", "so it is 5 + 1 = 6 apples, and then 7 more", "\\frac{1}{"
        task = Task("t", prompts("6", *bad), {}, verifier)
        check = self_check(task, task.train)
        assert [prompt.answer for prompt in check.failed] == list(bad)
        assert "3 are not rewarded: 'proof' (line 2)" in check.finding
        assert check.to_dict()["failed"][0] == {"answer": "proof", "source": "line 2"}


@pytest.mark.parametrize(
    ("pattern", "checked"),
    [
        ("<answer>(.*?)</answer>", 2),
        ("#### (\\d+)", 1),
        ("(?i)answer: *(\\S+)", 2),
        ("Res: (.+)", 0),
    ],
)
def test_patterns_are_checked_where_they_match_a_usual_way(pattern, checked):
    with Verifier(MathJudge(answer_pattern=pattern), workers=1) as verifier:
        task = Task("t", prompts("6", "x+1"), {}, verifier)
        check = self_check(task, task.train)
        assert (check.checked, check.skipped, check.failed) == (checked, 2 - checked, ())
        assert ("cannot be checked" in check.finding) == (checked == 1)


def test_exact_match_can_fail_too():
    task = Task("t", prompts("6", " 7"), {}, ExactMatch())
    assert [prompt.answer for prompt in self_check(task, task.train).failed] == [" 7"]


def test_the_sample_has_prompts_of_every_data_set():
    task = make_task({"kind": "arithmetic", "train_size": 500, "heldout_size": 100}, 0)
    check = sample_check(task)
    assert (check.checked, check.failed) == (64, ())


def test_a_function_of_the_users_is_not_checked():
    task = Task("t", prompts("6"), {}, lambda prompt, text: 1.0)
    check = self_check(task, task.train)
    assert (check.checked, check.skipped) == (0, 1)
    assert "no right responses are known" in check.finding
