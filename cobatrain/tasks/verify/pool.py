"""A pool of reward workers: items in, verdicts out, under limits, whatever the workers do.

Each worker is limited four ways, so that no answer costs unbounded time or memory:

1. a timer of CPU seconds inside the worker ends Python-level work and keeps the worker;
2. the kernel's CPU limit ends work inside one long C call (9**9**9) with the worker;
3. a wall-clock limit, from outside, ends what sleeps;
4. the kernel's memory limit makes a huge result a MemoryError.

CPU seconds, not wall seconds, decide about parsed answers, so rewards do not depend on how busy
the machine is.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from cobasim.errors import InputError
from cobatrain.processes import Child, ChildError, ChildSettings, wait_for_any
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import RewardError
from cobatrain.tasks.verify.judge import Judge
from cobatrain.tasks.verify.limits import Limits

START_SECONDS = 120.0
"""A worker that is not ready after this long is an error."""

_TIME_SIGNALS = (signal.SIGKILL, signal.SIGXCPU, signal.SIGALRM, signal.SIGPROF)

Item = tuple[Prompt, str]
"""A prompt and the answer to judge."""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one item."""

    reward: float = 0.0
    failure: Literal["timeouts", "errors", "crashes"] | None = None
    """Why there is no reward: a time limit ended it, the judge raised, or the worker died."""
    why: str = ""
    """The same, as the end of a sentence that starts with the judge's name."""


@dataclass(eq=False)
class _Worker:
    child: Child
    started: float = field(default_factory=time.monotonic)
    ready: bool = False
    item: int | None = None
    sent: float = 0.0
    done: int = 0

    def deadline(self, limits: Limits) -> float:
        """When it is late, on the monotonic clock."""
        if not self.ready:
            return self.started + START_SECONDS
        return self.sent + limits.wall_seconds if self.item is not None else float("inf")


class Pool:
    """Up to `size` workers of one judge, driven by one thread.

    Workers start when first needed, are replaced when they die or are late, and end with this
    process.
    """

    def __init__(self, judge: Judge, limits: Limits, size: int) -> None:
        self._judge = judge
        self._limits = limits
        self._size = size
        self._workers: list[_Worker] = []
        self._greeting: dict[str, Any] = {}

    def close(self) -> None:
        """End the workers; `start` and `run` start new ones."""
        for worker in list(self._workers):
            self._discard(worker)

    def start(self) -> dict[str, Any]:
        """Start one worker, wait until it is ready, and give its first reply; raises as `run`."""
        while not any(worker.ready for worker in self._workers):
            self._grow(1)
            for worker, reply in self._replies():
                self._greet(worker, reply)
        return self._greeting

    def run(self, items: Sequence[Item]) -> Generator[tuple[int, Verdict], None, None]:
        """(index, verdict) of each item, in the order in which they are settled.

        Ending the iteration early ends the workers that are busy.

        Raises:
            RewardError: a worker cannot start.
            InputError: because the settings name something that cannot be imported.
        """
        waiting = deque(range(len(items)))
        retried: set[int] = set()
        left = len(items)
        try:
            while left:
                self._grow(left)
                self._hand_out(items, waiting)
                for worker, reply in self._replies():
                    if not worker.ready:
                        self._greet(worker, reply)
                        continue
                    item, worker.item = worker.item, None
                    verdict = self._lost(worker) if reply is None else _verdict(reply)
                    if item is None:
                        continue
                    # An earlier item may have left it short of memory: once more, afresh.
                    if verdict.failure == "crashes" and worker.done and item not in retried:
                        retried.add(item)
                        waiting.appendleft(item)
                        continue
                    worker.done += 1
                    left -= 1
                    yield item, verdict
        finally:
            for worker in [w for w in self._workers if w.item is not None]:
                self._discard(worker)

    def _grow(self, wanted: int) -> None:
        """Start workers until there are `wanted`, or as many as allowed."""
        environment = {
            **os.environ,
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        settings = ChildSettings(
            environment=environment, answers="json", memory_bytes=self._limits.memory_bytes
        )
        while len(self._workers) < min(self._size, wanted):
            worker = _Worker(Child("cobatrain.tasks.verify.worker:serve", settings))
            self._workers.append(worker)
            with contextlib.suppress(ChildError):  # then it has ended, which is seen next
                worker.child.send((self._judge, self._limits))

    def _hand_out(self, items: Sequence[Item], waiting: deque[int]) -> None:
        """Give each idle worker an item."""
        for worker in [w for w in self._workers if w.ready and w.item is None]:
            if not waiting:
                return
            item = waiting.popleft()
            try:
                worker.child.send(items[item])
            except ChildError:
                waiting.appendleft(item)
                self._discard(worker)
            else:
                worker.item, worker.sent = item, time.monotonic()

    def _replies(self) -> Iterator[tuple[_Worker, dict[str, Any] | None]]:
        """Wait for something to happen; a reply of None: the worker died or is late.

        A reply is taken from its worker only when its turn comes.
        """
        if not self._workers:
            return
        first = min(worker.deadline(self._limits) for worker in self._workers)
        wait = min(max(first - time.monotonic(), 0.0), 60.0)
        speaking = set(wait_for_any([worker.child for worker in self._workers], wait))
        now = time.monotonic()
        for worker in list(self._workers):
            if worker.child in speaking:
                yield worker, self._reply(worker)
            elif worker.deadline(self._limits) <= now:
                yield worker, None

    def _reply(self, worker: _Worker) -> dict[str, Any] | None:
        try:
            reply: dict[str, Any] = worker.child.receive(self._limits.wall_seconds)
        except ChildError:
            worker.child.wait(1.0)  # it is ending: wait, to get its exit code
            return None
        return reply

    def _greet(self, worker: _Worker, reply: dict[str, Any] | None) -> None:
        """Take the first reply of a worker; raises if it cannot start."""
        if reply is None:
            code = self._discard(worker)
            raise RewardError(
                f"a {self._judge.name} worker ended (exit code {code}) before it was ready; its "
                "messages are above"
            )
        if "fatal" in reply:
            self._discard(worker)
            raise (InputError if reply["input"] else RewardError)(reply["fatal"])
        worker.ready, self._greeting = True, reply

    def _lost(self, worker: _Worker) -> Verdict:
        """The verdict on the item that a worker had when it died or was late."""
        code = self._discard(worker)
        if -code in _TIME_SIGNALS:
            return Verdict(failure="timeouts", why="exceeded its time limit")
        return Verdict(failure="crashes", why=f"crashed its worker ({code})")

    def _discard(self, worker: _Worker) -> int:
        """End a worker; its exit code."""
        self._workers.remove(worker)
        return worker.child.kill()


def _verdict(reply: dict[str, Any]) -> Verdict:
    if "reward" in reply:
        return Verdict(reward=reply["reward"])
    return Verdict(failure="timeouts" if reply["late"] else "errors", why=reply["error"])
