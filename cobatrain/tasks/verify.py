"""Rewards of responses: exact match here, everything that parses hostile text in worker processes.

A response is data. It is cut to its final answer by linear string scans in this process; what
needs a parser (mathematics, reasoning-gym's scorers, a function of the user's) is judged in a
worker process, which is limited four ways, so that no answer costs unbounded time or memory:

1. a timer of CPU seconds inside the worker ends Python-level work and keeps the worker;
2. the kernel's CPU limit ends work inside one long C call (9**9**9) with the worker;
3. a wall-clock limit, from outside, ends what sleeps;
4. the kernel's memory limit makes a huge result a MemoryError.

CPU seconds, not wall seconds, decide about parsed answers, so rewards do not depend on how busy
the machine is. math-verify's own time limit is off: it uses signal.alarm, which raises outside the
main thread and cannot interrupt a C call.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import selectors
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, ClassVar, Literal, Protocol

import numpy as np

from cobasim.errors import InputError
from cobatrain.tasks.base import (
    CustomRewardConfig,
    FloatArray,
    Prompt,
    RewardError,
    Task,
    check_lengths,
    checked_reward,
)

START_SECONDS = 120.0
"""A worker that is not ready after this long is an error."""


@dataclass(frozen=True)
class Limits:
    """What one judgement in a worker may cost."""

    cpu_seconds: float | None = 2.0
    """CPU time; a C call that does not return is ended within about 2 s more. None: no limit."""
    wall_seconds: float = 20.0
    """Wall time after which the worker is killed, whatever it does."""
    memory_bytes: int | None = 2 << 30
    """Address space of the worker; None: no limit."""

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "wall_seconds", "memory_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} {value!r}: expected a positive number")


class Judge(Protocol):
    """How responses of one kind are judged. A frozen dataclass, so that it can be sent."""

    name: ClassVar[str]

    def screen(self, prompt: Prompt, text: str) -> float | str:
        """The reward, if cheap string work decides it; else the part that a worker must judge."""

    def load(self) -> None:
        """Called once in each worker: imports, guards, warm-up. Not under the time limit."""

    def judge(self, prompt: Prompt, answer: str) -> float:
        """The reward of what `screen` left, in a worker, under the limits."""

    def ideal(self, prompt: Prompt) -> str | None:
        """A response that gives the reference answer as it is expected; None if unknown."""


@dataclass(frozen=True)
class ExactMatch:
    """1 if the response, stripped of white space, is the answer, else 0. Needs no worker."""

    def __call__(self, prompt: Prompt, text: str) -> float:
        """The reward of one response."""
        return float(text.strip() == prompt.answer)

    def score(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> FloatArray:
        """Rewards (n,) of the responses, in order."""
        check_lengths(prompts, texts)
        return np.array(
            [t.strip() == p.answer for p, t in zip(prompts, texts, strict=True)], dtype=np.float64
        )

    def ideal(self, prompt: Prompt) -> str | None:
        """The answer itself."""
        return prompt.answer


# --- the final answer of a response, by linear scans -------------------------------------------

_BOX = re.compile(r"\\(?:boxed|fbox)\s*")
_MARKED = re.compile(r"answer[*_]{0,3} ?(?:is ?:?|[:=])", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,3}(?:(?:,|\{,\}|,\\!)\d{3})+|[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:/\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[^0-9+-]", re.ASCII)
_TAIL = 4096  # characters at the end in which an answer without a box is looked for

AnswerFrom = Literal["boxed", "marked", "any"]


def _braced(text: str, start: int, limit: int) -> str | None:
    """What stands between the brace at `start` and its partner, if within `limit` characters."""
    depth = 0
    escaped = False
    for position in range(start, min(len(text), start + limit + 2)):
        character = text[position]
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return text[start + 1 : position]
    return None


def final_answer(text: str, source: AnswerFrom = "marked", limit: int = 1000) -> str | None:
    r"""The final answer that a response states, None if none or longer than `limit` characters.

    "boxed": the last \boxed{...} (or \fbox, or an unbraced \boxed 5). "marked": else what follows
    the last "answer is" or "Answer:" on its line, else the last $...$ or \(...\) or \[...\].
    "any": else the last number. The last box counts, finished or not: an answer before a box that
    was cut off is not taken. Linear in the length of the text.
    """
    start = max(text.rfind("\\boxed"), text.rfind("\\fbox"))
    answer: str | None = None
    if start >= 0:
        match = _BOX.match(text, start)
        end = match.end() if match else len(text)
        if text[end : end + 1] == "{":
            answer = _braced(text, end, limit)
        elif match:
            words = text[end : end + limit].split(None, 1)
            answer = words[0].strip("$.,") if words else None
    elif source != "boxed":
        answer = _marked(text[-_TAIL:]) or _mathematics(text[-_TAIL:])
        if answer is None and source == "any":
            numbers = _NUMBER.findall(text[-_TAIL:])
            answer = numbers[-1].rstrip(",") if numbers else None
    if answer is None:
        return None
    answer = _bare(answer)
    return answer if 0 < len(answer) <= limit else None


def _marked(tail: str) -> str | None:
    """What follows the last answer mark on its line."""
    marks = list(_MARKED.finditer(tail))
    if not marks:
        return None
    line = tail[marks[-1].end() :].lstrip(" *_").split("\n", 1)[0].strip().strip("*_").strip()
    if line[:1] == "$" and "$" in line[1:]:  # "$5$, since ..."
        return line.lstrip("$").split("$", 1)[0]
    return line.removesuffix(".") or None


def _mathematics(tail: str) -> str | None:
    """The last formula between $, \\( \\) or \\[ \\]."""
    found: tuple[int, str] | None = None
    for opening, closing in (("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        end = tail.rfind(closing)
        start = tail.rfind(opening, 0, end) if end > 0 else -1
        if start >= 0 and (found is None or end > found[0]):
            inner = tail[start + len(opening) : end]
            if not inner and opening == "$":  # $$ ... $$
                end = start
                start = tail.rfind("$", 0, end)
                inner = tail[start + 1 : end] if start >= 0 else ""
            found = (end, inner)
    return found[1] if found and found[1].strip() else None


def _bare(answer: str) -> str:
    """The answer without white space and dollar signs around it."""
    answer = answer.strip()
    while len(answer) > 1 and answer[0] == "$" == answer[-1] and answer[-2] != "\\":
        answer = answer[1:-1].strip()
    return answer


def _integer(answer: str) -> int | None:
    """The integer that the whole answer is, thousands separators allowed, else None."""
    if len(answer) > 400 or _INTEGER.fullmatch(answer) is None:
        return None
    return int(_THOUSANDS.sub("", answer))


def _depth(answer: str) -> int:
    """Deepest nesting of brackets."""
    depth = deepest = 0
    for character in answer:
        if character in "{[(":
            depth += 1
            deepest = max(deepest, depth)
        elif character in "}])":
            depth -= 1
    return deepest


# --- judges -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class MathJudge:
    """Mathematical equality with the reference answer, by math-verify's LaTeX parser.

    Departures from math-verify's defaults: the answer is found by `final_answer`; only the LaTeX
    extractor is used, since the one for plain expressions hands the model's text to sympy's
    parse_expr, which evaluates it as Python; in the worker parse_expr itself is replaced by
    `worker.parse_expression`, since sympy calls it for every number. Integers are compared as
    such, without the parser.
    """

    name: ClassVar[str] = "math-verify"
    answer_from: AnswerFrom = "marked"
    max_chars: int = 1000
    """Longer answers get 0 unread."""
    max_depth: int = 20
    """Answers with more nested brackets get 0 unread."""

    def screen(self, prompt: Prompt, text: str) -> float | str:
        """Decides missing, too long or too deep answers, equal strings and integers."""
        answer = final_answer(text, self.answer_from, self.max_chars)
        if answer is None:
            return 0.0
        gold = _bare(prompt.answer)
        if answer == gold:
            return 1.0
        number, expected = _integer(answer), _integer(gold)
        if number is not None and expected is not None:
            return float(number == expected)
        if _depth(answer) > self.max_depth:
            return 0.0
        return answer

    def load(self) -> None:
        """Imports math-verify behind the guards and parses once, since first use is slow."""
        from cobatrain.tasks import worker

        worker.guard_sympy()
        import logging

        logging.getLogger("math_verify").setLevel(logging.CRITICAL)
        logging.getLogger("latex2sympy2_extended").setLevel(logging.CRITICAL)
        import_module("sympy.physics.units")  # sympy loads it when it first compares
        gold = r"\frac{1}{2}+\sqrt{x}"
        self.judge(Prompt("", gold, "", ""), r"x^{1/2} + 0.5")

    def _parsed(self, answer: str) -> list[Any]:
        library: Any = import_module("math_verify")
        answer = answer.replace("**", "^").replace("\\text{ and }", ",")
        parsed: list[Any] = library.parse(
            "\\boxed{" + answer + "}",
            extraction_config=[library.LatexExtractionConfig(boxed_match_priority=0)],
            parsing_timeout=None,
        )
        return parsed

    def judge(self, prompt: Prompt, answer: str) -> float:
        """Parses both answers and compares them."""
        library: Any = import_module("math_verify")
        gold, given = self._parsed(_bare(prompt.answer)), self._parsed(answer)
        return float(bool(library.verify(gold, given, timeout_seconds=None)))

    def ideal(self, prompt: Prompt) -> str | None:
        """The boxed answer."""
        return "\\boxed{" + _bare(prompt.answer) + "}"


@dataclass(frozen=True)
class GymJudge:
    """reasoning-gym's own `score_answer`: 1 where its score reaches the threshold, else 0.

    A prompt's metadata holds its "entry" and the index of its "generator" in `sources`.
    """

    name: ClassVar[str] = "reasoning-gym"
    sources: tuple[tuple[str, str], ...]
    """(generator, its config as JSON)."""
    threshold: float = 1.0
    tagged: bool = True
    """The answer is what the last <answer>...</answer> holds; else it is the whole text."""
    max_chars: int = 20_000

    def screen(self, prompt: Prompt, text: str) -> float | str:
        """Decides missing and too long answers."""
        answer = text.strip()
        if self.tagged:
            end = text.rfind("</answer>")
            start = text.rfind("<answer>", 0, end) if end >= 0 else -1
            if start < 0:
                return 0.0
            answer = text[start + len("<answer>") : end].strip()
        return answer if 0 < len(answer) <= self.max_chars else 0.0

    def load(self) -> None:
        """Imports reasoning-gym behind the guards and builds each generator."""
        from cobatrain.tasks import worker

        worker.guard_sympy()
        library: Any = import_module("reasoning_gym")
        generators = [library.create_dataset(name, **json.loads(c)) for name, c in self.sources]
        worker.guard_reasoning_gym()
        _GENERATORS[self] = generators

    def judge(self, prompt: Prompt, answer: str) -> float:
        """The generator's verdict."""
        generator = _GENERATORS[self][prompt.metadata["generator"]]
        score = float(generator.score_answer(answer, prompt.metadata["entry"]))
        return float(score >= self.threshold - 1e-9)

    def ideal(self, prompt: Prompt) -> str | None:
        """The tagged reference answer, None where the generator gives none."""
        if not prompt.answer:
            return None
        return f"<answer>{prompt.answer}</answer>" if self.tagged else prompt.answer


_GENERATORS: dict[GymJudge, list[Any]] = {}  # filled in workers only


@dataclass(frozen=True)
class CustomReward:
    """A function of the user's, named by import path; it may return any number in [0, 1]."""

    name: ClassVar[str] = "custom"
    function: str
    on_error: Literal["raise", "zero"] = "raise"

    def __post_init__(self) -> None:
        module, _, name = self.function.partition(":")
        if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
            raise InputError(
                f"reward function {self.function!r}: expected an import path "
                "`package.module:function`"
            )

    def resolve(self) -> Any:
        """The function. Raises InputError if it cannot be imported or called."""
        module, _, name = self.function.partition(":")
        try:
            found: Any = import_module(module)
            for part in name.split("."):
                found = getattr(found, part)
        except Exception as error:
            raise InputError(
                f"reward function {self.function!r} cannot be imported: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not callable(found):
            raise InputError(f"reward function {self.function!r} is a {type(found).__name__}")
        return found

    def screen(self, prompt: Prompt, text: str) -> float | str:
        """The whole text: nothing is known about it."""
        return text

    def load(self) -> None:
        """Imports the function."""
        self.resolve()

    def judge(self, prompt: Prompt, answer: str) -> float:
        """The function's value, checked."""
        return checked_reward(self.resolve()(prompt, answer), "it")

    def ideal(self, prompt: Prompt) -> str | None:
        """Unknown."""
        return None


# --- the pool of workers ------------------------------------------------------------------------


@dataclass(frozen=True)
class VerifierStats:
    """What a verifier has done since it was made, in responses."""

    scored: int = 0
    judged: int = 0
    """Of these, sent to a worker; the others were decided by string work."""
    timeouts: int = 0
    """Ended by a limit of time."""
    errors: int = 0
    """The judge raised (or ran out of memory)."""
    crashes: int = 0
    """The worker died in the middle."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    started: float
    ready: bool = False
    item: int | None = None
    sent: float = 0.0
    done: int = 0
    buffer: bytes = b""


def _kill(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.process.kill()
        for pipe in (worker.process.stdin, worker.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        worker.process.wait()
    workers.clear()


_TIME_SIGNALS = (signal.SIGXCPU, signal.SIGALRM, signal.SIGPROF)


class Verifier:
    """Judges responses in worker processes, under limits; a `RewardFunction` and its batch form.

    Rewards come back in order and do not depend on the number of workers. A response that exceeds
    a limit, crashes its worker or makes the judge raise gets 0, except that a CustomReward set to
    "raise" raises RewardError. Workers are plain subprocesses (no fork of a process that holds a
    GPU, no re-import of the main module), start when first needed, are replaced when they die, and
    end with this process. Calls from several threads take turns.
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
        self._pool: list[_Worker] = []
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(self, _kill, self._pool)

    def __getstate__(self) -> dict[str, Any]:
        hidden = ("_pool", "_lock", "_finalizer")
        return {k: v for k, v in self.__dict__.items() if k not in hidden}

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
            _kill(self._pool)

    def start(self) -> None:
        """Starts one worker and waits for it, so that a judge that cannot load is known early.

        Raises RewardError with the reason, or InputError for a custom function that cannot be
        imported.
        """
        with self._lock:
            if not self._pool:
                self._spawn()
            self._run([], [], [], until_ready=True)

    def score(self, prompts: Sequence[Prompt], texts: Sequence[str]) -> FloatArray:
        """Rewards (n,) of the responses, in order.

        Raises RewardError if a worker cannot start, or for a custom function set to "raise".
        """
        check_lengths(prompts, texts)
        rewards = np.zeros(len(prompts), dtype=np.float64)
        where: list[int] = []
        answers: list[str] = []
        for i, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
            verdict = self.judge.screen(prompt, text)
            if isinstance(verdict, str):
                where.append(i)
                answers.append(verdict)
            else:
                rewards[i] = verdict
        with self._lock:
            self._count(scored=len(prompts), judged=len(where))
            if where:
                rewards[where] = self._run(where, [prompts[i] for i in where], answers)
        return rewards

    def _count(self, **more: int) -> None:
        now = {name: getattr(self._stats, name) + n for name, n in more.items()}
        self._stats = replace(self._stats, **now)

    # One thread runs all workers: it sends an item to each idle worker, waits for whichever
    # answers first, and replaces those that die or are late.

    def _spawn(self) -> None:
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
        environment = {
            **os.environ,
            "PYTHONPATH": paths,
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "cobatrain.tasks.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the trainer, which stops the workers itself
            bufsize=0,
        )
        worker = _Worker(process, time.monotonic())
        assert process.stdin is not None
        os.set_blocking(process.stdin.fileno(), False)
        self._pool.append(worker)
        self._send(worker, (self.judge, self.limits))

    def _send(self, worker: _Worker, message: object) -> bool:
        """Whether the whole message was taken."""
        body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        data = memoryview(struct.pack("<Q", len(body)) + body)
        assert worker.process.stdin is not None
        descriptor = worker.process.stdin.fileno()
        deadline = time.monotonic() + max(self.limits.wall_seconds, 5.0)
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_WRITE)
            while data and time.monotonic() < deadline:
                try:
                    data = data[os.write(descriptor, data) :]
                except BlockingIOError:
                    selector.select(0.5)
                except OSError:
                    return False
        return not data

    def _discard(self, worker: _Worker) -> int:
        """Kills the worker; its return code."""
        self._pool.remove(worker)
        _kill([worker])
        return worker.process.returncode

    def _run(
        self,
        where: Sequence[int],
        prompts: Sequence[Prompt],
        answers: Sequence[str],
        *,
        until_ready: bool = False,
    ) -> FloatArray:
        rewards = np.zeros(len(answers), dtype=np.float64)
        waiting = deque(range(len(answers)))
        retried: set[int] = set()
        settled = 0
        try:
            while settled < len(answers) or (until_ready and not any(w.ready for w in self._pool)):
                while len(self._pool) < min(self.workers, max(1, len(answers) - settled)):
                    self._spawn()
                for worker in [w for w in self._pool if w.ready and w.item is None]:
                    if not waiting:
                        break
                    worker.item, worker.sent = waiting.popleft(), time.monotonic()
                    if not self._send(worker, (prompts[worker.item], answers[worker.item])):
                        waiting.appendleft(worker.item)
                        self._discard(worker)
                for worker, reply in self._replies():
                    item, worker.item = worker.item, None
                    if reply is None:  # the worker died or was late, and is gone
                        code = self._discard(worker)
                        late = code == -signal.SIGKILL or -code in _TIME_SIGNALS
                        if not worker.ready:
                            raise RewardError(
                                f"a {self.judge.name} worker ended (exit code {code}) before it "
                                "was ready; its messages are above"
                            )
                        if item is None:
                            continue
                        # An earlier item may have left it short of memory: once more, afresh.
                        if not late and worker.done and item not in retried:
                            retried.add(item)
                            waiting.appendleft(item)
                            continue
                        self._count(**{"timeouts" if late else "crashes": 1})
                        what = "exceeded its time limit" if late else f"crashed its worker ({code})"
                        rewards[item] = self._failed(what, prompts[item])
                        settled += 1
                    elif "fatal" in reply:
                        self._discard(worker)
                        error = InputError if reply.get("input") else RewardError
                        raise error(reply["fatal"])
                    elif "ready" in reply:
                        worker.ready = True
                    elif item is not None:
                        worker.done += 1
                        if "reward" in reply:
                            rewards[item] = reply["reward"]
                        else:
                            self._count(**{"timeouts" if reply["late"] else "errors": 1})
                            rewards[item] = self._failed(reply["error"], prompts[item])
                        settled += 1
        except BaseException:
            _kill([w for w in self._pool if w.item is not None])
            self._pool[:] = [w for w in self._pool if w.process.poll() is None]
            raise
        return rewards

    def _failed(self, what: str, prompt: Prompt) -> float:
        """0, or RewardError if the judge is a custom function set to raise."""
        if isinstance(self.judge, CustomReward) and self.judge.on_error == "raise":
            raise RewardError(
                f"reward function {self.judge.function!r} {what}, on a response to "
                f"{prompt.text[:80]!r} ({prompt.source}); set on_error to 'zero' to give 0 instead"
            )
        return 0.0

    def _replies(self) -> list[tuple[_Worker, dict[str, Any] | None]]:
        """Waits for something to happen; a reply of None: the worker is to be replaced."""
        out: list[tuple[_Worker, dict[str, Any] | None]] = []
        now = time.monotonic()

        def deadline(worker: _Worker) -> float:
            if not worker.ready:
                return worker.started + START_SECONDS
            return worker.sent + self.limits.wall_seconds if worker.item is not None else np.inf

        with selectors.DefaultSelector() as selector:
            for worker in self._pool:
                assert worker.process.stdout is not None
                selector.register(worker.process.stdout, selectors.EVENT_READ, worker)
            wait = min((deadline(worker) for worker in self._pool), default=now) - now
            events = selector.select(min(max(wait, 0.0), 60.0))
        for key, _ in events:
            worker = key.data
            data = os.read(key.fd, 1 << 16)
            worker.buffer += data
            *lines, worker.buffer = worker.buffer.split(b"\n")
            if not data:
                worker.process.wait()
                out.append((worker, None))
            out += [(worker, json.loads(line)) for line in lines]
        answered = {id(worker) for worker, _ in out}
        now = time.monotonic()
        for worker in self._pool:
            if id(worker) not in answered and deadline(worker) <= now:
                worker.process.kill()
                worker.process.wait()
                out.append((worker, None))
        return out


def custom_verifier(config: CustomRewardConfig) -> Verifier:
    """The verifier of a user's reward function, started, so that a wrong path is known at once."""
    verifier = Verifier(
        CustomReward(config.function, config.on_error),
        workers=config.workers,
        limits=Limits(cpu_seconds=None, wall_seconds=config.time_limit, memory_bytes=None),
    )
    verifier.start()
    return verifier


@dataclass(frozen=True)
class SelfCheck:
    """Which prompts' own answers are not rewarded."""

    checked: int
    skipped: int
    """Without a known right response."""
    failed: tuple[Prompt, ...] = field(default_factory=tuple)


def self_check(task: Task, prompts: Sequence[Prompt]) -> SelfCheck:
    """Gives each prompt its own reference answer, as a model would, and reports those not rewarded.

    Such a prompt can never be passed: its reference cannot be parsed, or its generator gives an
    example that its scorer refuses.
    """
    judge: Any = getattr(task.reward, "judge", task.reward)
    ideal = getattr(judge, "ideal", lambda prompt: None)
    pairs = [(p, ideal(p)) for p in prompts]
    known = [(p, text) for p, text in pairs if text is not None]
    rewards = task.score([p for p, _ in known], [text for _, text in known])
    failed = tuple(p for (p, _), reward in zip(known, rewards, strict=True) if reward <= 0)
    return SelfCheck(len(known), len(pairs) - len(known), failed)
