"""A warning when the first steps bring no reward, with the likeliest reason."""

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from cobasim.records import StepRecord
from cobatrain.tasks import Prompt, SelfCheck, VerifierStats
from cobatrain.trainer.no_reward import FIRST_STEPS, Evidence, FirstSteps, likeliest_reason

FINE = SelfCheck(checked=10, skipped=0)
BROKEN = SelfCheck(10, 0, tuple(Prompt("q", "proof", "l", "s") for _ in range(6)))
REASONS = {
    "only those above 0.5 count": Evidence(FINE, None, 0.2, 5, 100),
    "6 of 10 reference answers are not rewarded": Evidence(BROKEN, None, 0, 5, 100),
    "most judgements failed (60 timeouts": Evidence(
        FINE, VerifierStats(scored=100, judged=100, timeouts=60), 0, 5, 100
    ),
    "responses are cut off: 97 of 100 tokens": Evidence(
        FINE, VerifierStats(scored=100, unanswered=90), 0, 97, 100
    ),
    "90 % of the responses state no answer": Evidence(
        FINE, VerifierStats(scored=100, unanswered=90), 0, 5, 100
    ),
    "answers are found and are wrong": Evidence(FINE, VerifierStats(scored=100), 0, 5, 100),
}


@pytest.mark.parametrize("reason", REASONS)
def test_the_likeliest_reason(reason):
    assert reason in likeliest_reason(REASONS[reason])


def record(step: int, failure_rate: float | None) -> StepRecord:
    learner = {"reward": 0.0, "response_length": 4.0}
    return StepRecord(step=step, rollouts=8 * step, failure_rate=failure_rate, learner=learner)


def watched(rates: list[float | None], stats: list[VerifierStats] | None = None) -> list[str]:
    said: list[str] = []
    given = iter(stats or [])
    watch = FirstSteps(FINE, lambda: next(given, None), 100, say=said.append)
    for step, rate in enumerate(rates):
        watch.see(record(step, rate))
    return said


def test_it_warns_once_after_the_first_steps():
    (warning,) = watched([None, *[1.0] * 9])
    assert warning.startswith(f"warning: no rollout of the first {FIRST_STEPS} steps passed")


@pytest.mark.parametrize("rates", [[None, 1.0, 1.0], [0.99, 1.0, 1.0, 1.0], [1.0, 1.0, 0.5, 1.0]])
def test_it_is_silent_after_a_pass_or_before_enough_steps(rates):
    assert watched(rates) == []


def test_the_self_checks_own_judgements_are_not_counted():
    before, after = (
        VerifierStats(scored=50, unanswered=50),
        VerifierStats(scored=150, unanswered=55),
    )
    (warning,) = watched([1.0] * 3, [before, after])
    assert "answers are found and are wrong" in warning
