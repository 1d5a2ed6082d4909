"""The service of a reward worker: a child process that judges one response at a time.

First it is sent (judge, limits), then one (prompt, answer) after another. It answers in JSON, so
that nothing that a response could shape is unpickled by the parent:

    {"ready": true, "columns": what a function of the user's takes (RewardColumns), else null}
                      or {"fatal": why, "input": whether the user's settings are at fault}
    {"reward": 0.5}   or {"error": end of a sentence, "late": whether a time limit ended it}
"""

from __future__ import annotations

import math
import os
import resource
import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn

from cobasim.errors import InputError
from cobatrain.processes import Parent
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import RewardError
from cobatrain.tasks.verify.custom_reward import CustomReward
from cobatrain.tasks.verify.guards import refuse_side_effects
from cobatrain.tasks.verify.judge import Judge
from cobatrain.tasks.verify.limits import Limits


class _Late(BaseException):
    """The CPU limit of one item; not an Exception, so that no `except Exception` swallows it."""


def _late(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Late


def serve(parent: Parent) -> None:
    """Judge what the parent sends, until it closes the connection."""
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    messages = iter(parent)
    judge: Judge
    limits: Limits
    try:
        start = next(messages, None)
        if start is None:
            return  # the parent is gone
        judge, limits = start
        judge.load()
        columns = vars(judge.columns()) if isinstance(judge, CustomReward) else None
    except InputError as error:
        parent.send({"fatal": str(error), "input": True})
        return
    except BaseException as error:
        why = f"a verifier worker cannot start: {type(error).__name__}: {error}"
        parent.send({"fatal": why, "input": False})
        return
    signal.signal(signal.SIGPROF, _late)
    if not isinstance(judge, CustomReward):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.dup2(2, 1)
        refuse_side_effects()
    parent.send({"ready": True, "columns": columns})
    for prompt, answer in messages:
        parent.send(_judged(judge, limits, prompt, answer))


def _judged(judge: Judge, limits: Limits, prompt: Prompt, answer: str) -> dict[str, Any]:
    """The reply to one item, under the limits that this process can hold itself to."""
    reply: dict[str, Any]
    try:
        try:
            if limits.cpu_seconds is not None:
                spent = math.ceil(time.process_time() + limits.cpu_seconds) + 1
                resource.setrlimit(resource.RLIMIT_CPU, (spent, resource.RLIM_INFINITY))
                signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds, 0.25)
            signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + 1.0)
            reply = {"reward": float(judge.judge(prompt, answer))}
            if not math.isfinite(reply["reward"]):
                reply = {"error": f"returned {reply['reward']!r}", "late": False}
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0.0)
            signal.setitimer(signal.ITIMER_REAL, 0.0)
    except _Late:
        reply = {"error": "exceeded its time limit", "late": True}
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        reply = {"error": _message(error), "late": False}
    return reply


def _message(error: BaseException) -> str:
    """What went wrong, as the end of a sentence that starts with the function's name."""
    try:
        text = str(error)[:1000]
    except Exception:
        text = "(a message that cannot be shown)"
    if isinstance(error, RewardError):
        return f"gave no reward: {text}"
    return f"raised {type(error).__name__}: {text}"
