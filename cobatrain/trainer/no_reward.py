"""A warning when the first steps bring no reward, with the likeliest reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cobasim.records import StepRecord
from cobatrain.learner import SAMPLES
from cobatrain.tasks import SelfCheck, VerifierStats

FIRST_STEPS = 3
_CUT_OFF = 0.9  # share of sampling.max_tokens that the mean response has


@dataclass(frozen=True)
class Evidence:
    """What is known when no rollout has passed."""

    check: SelfCheck
    stats: VerifierStats | None
    """What the verifier did; None for rewards without one."""
    mean_reward: float
    mean_length: float
    """Of responses, in tokens."""
    max_tokens: int


def likeliest_reason(seen: Evidence) -> str:
    """Why there is no reward, and what to do."""
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
    if seen.mean_length >= _CUT_OFF * seen.max_tokens:
        return (
            f"responses are cut off: {seen.mean_length:.0f} of {seen.max_tokens} tokens on "
            "average; raise sampling.max_tokens"
        )
    if stats is not None and 2 * stats.unanswered > stats.scored:
        share = 100 * stats.unanswered / stats.scored
        return (
            f"{share:.0f} % of the responses state no answer that is found: ask for one in "
            "task.instruction, or say where it stands (task.answer_from, task.answer_pattern)"
        )
    return f"answers are found and are wrong: the task may be too hard; read {SAMPLES}"


class FirstSteps:
    """Watches the first steps that a process makes, and warns once if none of them is rewarded."""

    def __init__(
        self,
        check: SelfCheck,
        stats: Callable[[], VerifierStats | None],
        max_tokens: int,
        *,
        say: Callable[[str], None],
    ) -> None:
        """``stats`` gives the verifier's counts so far, in which the self-check is included."""
        self._check, self._stats, self._max_tokens, self._say = check, stats, max_tokens, say
        self._before = stats()
        self._records: list[StepRecord] = []
        self._watching = True

    def see(self, record: StepRecord) -> None:
        """Take the record of a step."""
        if not self._watching or record.failure_rate is None:
            return
        self._records.append(record)
        if record.failure_rate < 1.0:
            self._watching = False
        elif len(self._records) == FIRST_STEPS:
            self._watching = False
            self._say(
                f"warning: no rollout of the first {FIRST_STEPS} steps passed; likely because "
                + likeliest_reason(self._evidence())
            )

    def _evidence(self) -> Evidence:
        def mean(name: str) -> float:
            values = [record.learner.get(name, 0.0) for record in self._records]
            return sum(values) / len(values)

        stats = self._stats()
        if stats is not None and self._before is not None:
            stats = stats.since(self._before)
        return Evidence(
            check=self._check,
            stats=stats,
            mean_reward=mean("reward"),
            mean_length=mean("response_length"),
            max_tokens=self._max_tokens,
        )
