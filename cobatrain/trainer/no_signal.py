"""A warning when steps bring no reward, or teach nothing, with the likeliest reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cobasim.records import StepRecord
from cobatrain.learner import SAMPLES
from cobatrain.tasks import SelfCheck, VerifierStats

STEPS = 3
"""In a row, before anything is said."""

_MANY = 0.5  # share of responses from which on being cut off is the reason


@dataclass(frozen=True)
class Evidence:
    """What is known of some steps without signal, or in which no rollout has passed."""

    check: SelfCheck
    stats: VerifierStats | None
    """What the verifier did; None for rewards without one."""
    mean_reward: float
    cut_off: float
    """Share of responses that the maximum length cut off."""
    max_tokens: int
    failure_rate: float = 1.0
    dropped: bool = False
    """Whether the update leaves responses out that were cut off."""


def likeliest_reason(seen: Evidence) -> str:
    """Why there is no signal, and what to do."""
    if seen.dropped and seen.cut_off >= _MANY:
        return f"{_cut_off(seen)}, or set update.cut_off to keep (they are dropped)"
    if seen.failure_rate <= 0.0:
        return "the task is too easy for this model: give it harder prompts, or stop here"
    if seen.failure_rate < 1.0:
        return (
            "the rollouts of a prompt all pass or all fail: give more rollouts to a prompt (raise "
            "loop.total_budget, or lower loop.batch_size), or prompts of medium difficulty"
        )
    return _why_none_passed(seen)


def _why_none_passed(seen: Evidence) -> str:
    check, stats = seen.check, seen.stats
    if seen.mean_reward > 0:
        return (
            f"rewards are {seen.mean_reward:.3g} on average, but only those above 0.5 count as a "
            "pass: scale the reward function"
        )
    if check.checked and 2 * len(check.failed) > check.checked:
        return (
            f"{len(check.failed)} of {check.checked} reference answers are not rewarded either "
            f"(self-check): look at the data's answers, such as {check.failed[0].answer[:60]!r}"
        )
    if stats is not None and stats.scored:
        lost = stats.timeouts + stats.errors + stats.crashes
        if 2 * lost > stats.scored:
            return (
                f"most judgements failed ({stats.timeouts} timeouts, {stats.errors} errors, "
                f"{stats.crashes} crashes of {stats.scored}): raise task.cpu_seconds, or look at "
                "the reward function"
            )
    if seen.cut_off >= _MANY:
        return _cut_off(seen)
    if stats is not None and 2 * stats.unanswered > stats.scored:
        share = 100 * stats.unanswered / stats.scored
        return (
            f"{share:.0f} % of the responses state no answer that is found: ask for one in "
            "task.instruction, or say where it stands (task.answer_from, task.answer_pattern)"
        )
    return (
        "answers are found and are wrong: the task may be too hard, or the answers have another "
        f"format than the reward reads ({100 * seen.cut_off:.0f} % of the responses are cut off); "
        f"read {SAMPLES}"
    )


def _cut_off(seen: Evidence) -> str:
    return (
        f"{100 * seen.cut_off:.0f} % of the responses are cut off at {seen.max_tokens} tokens: "
        "raise sampling.max_tokens"
    )


def has_signal(record: StepRecord) -> bool:
    """Whether a rollout of a step had an advantage; of a learner that does not say, a mixed group.

    ``record`` is of a step, not of the first evaluation.
    """
    rollouts = record.learner.get("rollouts_with_signal")
    return bool(rollouts if rollouts is not None else record.mixed_share)


class SignalWatch:
    """Watches the steps that a process makes.

    It warns of ``STEPS`` steps in a row without signal, once for each such stretch; of first steps
    in which no rollout passes, signal or not; and, at the end, of a run that never had a signal.
    """

    def __init__(
        self,
        check: SelfCheck,
        stats: Callable[[], VerifierStats | None],
        max_tokens: int,
        *,
        dropped: bool = False,
        say: Callable[[str], None],
    ) -> None:
        """``stats`` gives the verifier's counts so far, in which the self-check is included.

        ``dropped``: responses that were cut off are left out of updates.
        """
        self._check, self._stats, self._max_tokens, self._say = check, stats, max_tokens, say
        self._dropped = dropped
        self._before = stats()
        self._stretch: list[StepRecord] = []  # at most STEPS
        self._steps, self._with_signal = 0, 0
        self._none_passed = True  # so far

    def see(self, record: StepRecord) -> None:
        """Take the record of a step."""
        if record.failure_rate is None:
            return
        signal = has_signal(record)
        self._steps += 1
        self._with_signal += signal
        self._none_passed &= record.failure_rate >= 1.0
        if signal and not self._none_passed:
            self._stretch, self._before = [], self._stats()
        elif len(self._stretch) < STEPS:
            self._stretch.append(record)
            if len(self._stretch) == STEPS:
                self._warn()

    def finish(self) -> None:
        """The run is at its end."""
        if self._steps not in (0, STEPS) and not self._with_signal:  # STEPS: it was just said
            steps = "1 step that was" if self._steps == 1 else f"{self._steps} steps that were"
            self._say(f"warning: none of the {steps} made had a signal: nothing was learned")

    def _warn(self) -> None:
        seen = self._evidence()
        first, last = self._stretch[0].step, self._stretch[-1].step
        what = "not every rollout failed, but no group has unequal rewards"
        if seen.failure_rate >= 1.0:
            what = "no rollout passed"
        elif seen.failure_rate <= 0.0:
            what = "every rollout passed"
        taught = any(has_signal(record) for record in self._stretch)
        steps = f"steps {first} to {last}" + ("" if taught else " taught nothing")
        self._say(f"warning: {steps}: {what}; likely because {likeliest_reason(seen)}")

    def _evidence(self) -> Evidence:
        def mean(name: str) -> float:
            values = [record.learner.get(name, 0.0) for record in self._stretch]
            return sum(values) / len(values)

        stats = self._stats()
        if stats is not None and self._before is not None:
            stats = stats.since(self._before)
        return Evidence(
            check=self._check,
            stats=stats,
            mean_reward=mean("reward"),
            cut_off=mean("cut_off"),
            max_tokens=self._max_tokens,
            failure_rate=sum(record.failure_rate or 0.0 for record in self._stretch) / STEPS,
            dropped=self._dropped,
        )
