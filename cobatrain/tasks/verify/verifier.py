"""Rewards of responses: cheap string work here, everything that parses hostile text in workers.

A response is data. A judge cuts it to its final answer by linear string scans in this process; what
needs a parser (mathematics, reasoning-gym's scorers, a function of the user's) is judged in a pool
of worker processes.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import (
    NO_COLUMNS,
    CustomRewardConfig,
    RewardColumns,
    RewardError,
    check_lengths,
)
from cobatrain.tasks.verify.custom_reward import CustomReward
from cobatrain.tasks.verify.judge import Judge
from cobatrain.tasks.verify.limits import Limits
from cobatrain.tasks.verify.pool import Item, Pool, Verdict


@dataclass(frozen=True)
class VerifierStats:
    """What a verifier has done since it was made, in responses."""

    scored: int = 0
    judged: int = 0
    """Of these, sent to a worker; the others were decided by string work."""
    unanswered: int = 0
    """Without an answer that could be judged."""
    timeouts: int = 0
    """Ended by a time limit."""
    errors: int = 0
    """The judge raised (or ran out of memory)."""
    crashes: int = 0
    """The worker died while judging."""

    def plus(self, **counts: int) -> VerifierStats:
        """These counts and more."""
        return replace(self, **{name: getattr(self, name) + n for name, n in counts.items()})

    def since(self, before: VerifierStats) -> VerifierStats:
        """What was done after other counts were taken."""
        return self.plus(**{name: -n for name, n in vars(before).items()})


class Verifier:
    """Judges responses in worker processes, under limits; a `RewardFunction` and its batch form.

    Rewards come back in order and do not depend on the number of workers. A response that exceeds
    a limit, crashes its worker or makes the judge raise gets 0, except that a CustomReward set to
    "raise" raises RewardError. Workers start when first needed and end with this process; a
    pickled verifier arrives without them. Calls from several threads take turns.
    """

    def __init__(self, judge: Judge, *, workers: int = 2, limits: Limits | None = None) -> None:
        if workers < 1:
            raise InputError(f"workers {workers}: a verifier needs at least 1")
        self.judge = judge
        self.workers = workers
        self.limits = limits or Limits()
        self._stats = VerifierStats()
        self._open()

    def _open(self) -> None:
        self._pool = Pool(self.judge, self.limits, self.workers)
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k not in ("_pool", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open()

    @property
    def stats(self) -> VerifierStats:
        """Counts so far."""
        return self._stats

    def __call__(self, prompt: Prompt, text: str) -> float:
        """The reward of one response."""
        return float(self.score([prompt], [text])[0])

    def __enter__(self) -> Verifier:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stops the workers."""
        self.close()

    def close(self) -> None:
        """Stops the workers; the next call starts new ones."""
        with self._lock:
            self._pool.close()

    def start(self) -> RewardColumns:
        """Starts one worker and waits for it, so that a judge that cannot load is known early.

        Returns the columns that a custom function takes; other judges take none.

        Raises RewardError with the reason, or InputError for a custom function that cannot be
        imported.
        """
        with self._lock:
            columns = self._pool.start()["columns"]
        return RewardColumns.of_json(columns or {})

    def score(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> FloatArray:
        """Rewards (n,) of the responses, in order.

        Raises RewardError if a worker cannot start, or for a custom function set to "raise".
        """
        check_lengths(prompts, texts)
        rewards = np.zeros(len(prompts), dtype=np.float64)
        where: list[int] = []
        items: list[Item] = []
        unanswered = 0
        for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
            reward = self.judge.screen(prompt, text)
            if isinstance(reward, str):
                where.append(i)
                items.append((prompt, reward))
            elif reward is None:
                unanswered += 1
            else:
                rewards[i] = reward
        with self._lock:
            self._stats = self._stats.plus(
                scored=len(prompts), judged=len(items), unanswered=unanswered
            )
            with closing(self._pool.run(items)) as verdicts:
                for k, verdict in verdicts:
                    rewards[where[k]] = self._reward(verdict, items[k][0])
        return rewards

    def _reward(self, verdict: Verdict, prompt: Prompt) -> float:
        """The verdict's reward; RewardError on a failure if the judge is set to raise."""
        if verdict.failure is None:
            return verdict.reward
        self._stats = self._stats.plus(**{verdict.failure: 1})
        if isinstance(self.judge, CustomReward) and self.judge.on_error == "raise":
            raise RewardError(
                f"reward function {self.judge.function!r} {verdict.why}, on a response to "
                f"{prompt.text[:80]!r} ({prompt.source}); set on_error to 'zero' to give 0 instead"
            )
        return 0.0


@contextmanager
def custom_verifier(
    config: CustomRewardConfig | None,
) -> Iterator[tuple[Verifier | None, RewardColumns]]:
    """The verifier of a user's reward function, if there is one, and the columns that it takes.

    It is started, so that a wrong path is known at once; its worker ends if the block raises.
    """
    if config is None:
        yield None, NO_COLUMNS
        return
    verifier = Verifier(
        CustomReward(config.function, config.on_error),
        workers=config.workers,
        limits=Limits(cpu_seconds=None, wall_seconds=config.time_limit, memory_bytes=None),
    )
    try:
        yield verifier, verifier.start()
    except BaseException:
        verifier.close()
        raise
