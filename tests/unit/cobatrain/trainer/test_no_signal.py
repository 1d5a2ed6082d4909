"""A warning when steps bring no reward or teach nothing, with the likeliest reason."""

import pytest

pytest.importorskip("transformers", reason="transformers is not installed")

from hypothesis import given
from hypothesis import strategies as st

from cobasim.records import StepRecord
from cobatrain.tasks import Prompt, SelfCheck, VerifierStats
from cobatrain.trainer.no_signal import STEPS, Evidence, SignalWatch, likeliest_reason

FINE = SelfCheck(checked=10, skipped=0)
BROKEN = SelfCheck(10, 0, tuple(Prompt("q", "proof", "l", "s") for _ in range(6)))
REASONS = {
    "only those above 0.5 count": Evidence(FINE, None, 0.2, 0, 100),
    "6 of 10 reference answers are not rewarded": Evidence(BROKEN, None, 0, 0, 100),
    "most judgements failed (60 timeouts": Evidence(
        FINE, VerifierStats(scored=100, judged=100, timeouts=60), 0, 0, 100
    ),
    "97 % of the responses are cut off at 100 tokens: raise sampling.max_tokens": Evidence(
        FINE, VerifierStats(scored=100, unanswered=90), 0, 0.97, 100
    ),
    "90 % of the responses state no answer": Evidence(
        FINE, VerifierStats(scored=100, unanswered=90), 0, 0, 100
    ),
    "answers are found and are wrong": Evidence(FINE, VerifierStats(scored=100), 0, 0, 100),
    "(12 % of the responses are cut off)": Evidence(FINE, None, 0, 0.12, 100),
    "the task is too easy": Evidence(FINE, None, 1, 0.1, 100, failure_rate=0.0),
    "all pass or all fail": Evidence(FINE, None, 0.5, 0.9, 100, failure_rate=0.5),
    "(they are dropped)": Evidence(FINE, None, 0.5, 1.0, 100, failure_rate=0.5, dropped=True),
}


@pytest.mark.parametrize("reason", REASONS)
def test_the_likeliest_reason(reason):
    found = likeliest_reason(REASONS[reason])
    assert reason in found
    assert "\n" not in found


def record(step: int, failure_rate: float | None, signal: int | None = None) -> StepRecord:
    """Of a step; without ``signal`` there is one where both outcomes are."""
    mixed = failure_rate is not None and 0 < failure_rate < 1
    rollouts = (4 if mixed else 0) if signal is None else signal
    learner = {"reward": 0.0, "cut_off": 0.25, "rollouts_with_signal": float(rollouts)}
    return StepRecord(step=step, rollouts=8 * step, failure_rate=failure_rate, learner=learner)


def watched(
    steps: list[float | tuple[float, int] | None],
    stats: list[VerifierStats] | None = None,
    finished: bool = False,
) -> list[str]:
    said: list[str] = []
    given = iter(stats or [])
    watch = SignalWatch(FINE, lambda: next(given, None), 100, say=said.append)
    for step, case in enumerate(steps):
        watch.see(record(step, *case) if isinstance(case, tuple) else record(step, case))
    if finished:
        watch.finish()
    return said


def test_it_warns_once_after_the_first_steps():
    (warning,) = watched([None, *[1.0] * 9])
    assert warning.startswith("warning: steps 1 to 3 taught nothing: no rollout passed; likely")


def test_first_steps_may_teach_without_a_pass():
    (warning,) = watched([None, *[(1.0, 4)] * 9])
    assert warning.startswith("warning: steps 1 to 3: no rollout passed; likely because")


@pytest.mark.parametrize(
    "rates", [[None, 1.0, 1.0], [0.99, 1.0, 1.0, 0.9], [1.0, 1.0, 0.5, 1.0], [0.5, *[(1.0, 4)] * 5]]
)
def test_it_is_silent_before_enough_steps_and_while_there_is_signal(rates):
    assert watched(rates) == []


@given(signals=st.lists(st.booleans(), max_size=30))
def test_once_for_each_stretch_of_steps_without_signal(signals):
    lines = watched([0.5, *[(0.5, 4 * signal) for signal in signals]])
    stretches = "".join(".X"[not signal] for signal in signals).split(".")
    assert len(lines) == sum(len(stretch) >= STEPS for stretch in stretches)
    assert all("taught nothing" in line and "\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.0, "every rollout passed"), (1.0, "no rollout passed"), (0.5, "no group")],
)
def test_it_says_what_the_outcomes_were(rate, words):
    (warning,) = watched([0.5, *[(rate, 0)] * STEPS])
    assert warning.startswith(f"warning: steps 1 to {STEPS} taught nothing")
    assert words in warning


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 7])
def test_a_run_without_any_signal_ends_with_saying_so(steps):
    lines = watched([None, *[0.0] * steps], finished=True)
    assert len(lines) == {0: 0, 3: 1, 7: 2}.get(steps, 1)
    if steps:
        assert ("nothing was learned" in lines[-1]) == (steps != STEPS)
    assert watched([0.5, *[1.0] * 2], finished=True) == []


def test_the_self_checks_own_judgements_are_not_counted():
    before, after = (
        VerifierStats(scored=50, unanswered=50),
        VerifierStats(scored=150, unanswered=55),
    )
    (warning,) = watched([1.0] * 3, [before, after])
    assert "answers are found and are wrong" in warning
