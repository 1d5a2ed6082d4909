"""The process in which a `Verifier` judges responses, and the guards that it works behind.

Started as `python -m cobatrain.tasks.worker`. Reads length-prefixed pickles from its parent (the
judge and limits, then one (prompt, answer) at a time) and answers in lines of JSON, so that
nothing a response could shape is unpickled by the parent.

Guards, set before the first response is read:

- sympy's parse_expr, which evaluates text as Python and which sympy calls for every string that
  it is given, is replaced by `parse_expression`, which walks a syntax tree of allowed nodes;
- `eval` and `exec` in every module of reasoning-gym, several of whose scorers evaluate the answer
  (0.1.25: string_insertion, spiral_matrix, binary_matrix, n_queens), become a parser of literals;
- an audit hook refuses to start processes, open sockets, or write, move or remove files.

A custom reward function is the user's own code and runs without these guards.
"""

from __future__ import annotations

import ast
import json
import math
import os
import pickle
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import FrameType
from typing import Any, NoReturn

from cobasim.errors import InputError
from cobatrain.tasks.base import RewardError
from cobatrain.tasks.verify import CustomReward, Judge, Limits

MAX_BITS = 100_000
"""Largest power of two numbers, in bits, that `parse_expression` works out."""

_NAMES = """
sin cos tan sec csc cot asin acos atan sinh cosh tanh asinh acosh atanh exp log ln sqrt Abs
Integer Float Rational Symbol Add Mul Pow
"""
_FUNCTIONS = frozenset(_NAMES.split())
_CONSTANTS = frozenset(["pi", "E", "I", "oo"])
# Applies eval to the question, which the generator wrote, never to the answer.
_TRUSTED_EVAL = frozenset(["reasoning_gym.arithmetic.bitwise_arithmetic"])


class _Late(BaseException):
    """The CPU limit of one item; not an Exception, so that no `except Exception` swallows it."""


def parse_expression(
    text: str,
    local_dict: dict[str, Any] | None = None,
    transformations: object = None,
    global_dict: object = None,
    evaluate: bool = True,
) -> Any:
    """sympy's parse_expr without evaluation of code: same signature, fewer things understood.

    Understands numbers, names (symbols, pi, E, I, oo), + - * / **, signs, brackets and calls of
    elementary functions. Raises ValueError for anything else, and for a power of numbers with
    more than MAX_BITS bits. Departure: factorials, implicit multiplication, lists and attributes
    are not understood; `evaluate` is ignored.
    """
    sympy: Any = import_module("sympy")
    if not isinstance(text, str) or len(text) > 20_000:
        raise ValueError("expected a string of at most 20,000 characters")
    names = local_dict or {}

    def build(node: ast.AST) -> Any:
        match node:
            case ast.Expression(body):
                return build(body)
            case ast.Constant(value) if type(value) is int:
                return sympy.Integer(value)
            case ast.Constant(value) if type(value) is float:
                written = ast.get_source_segment(stripped, node)
                return sympy.Float(written if written else value)
            case ast.Name(name):
                if name in names:
                    return names[name]
                return getattr(sympy, name) if name in _CONSTANTS else sympy.Symbol(name)
            case ast.UnaryOp(ast.USub(), operand):
                return -build(operand)
            case ast.UnaryOp(ast.UAdd(), operand):
                return build(operand)
            case ast.BinOp(left, operator, right):
                a, b = build(left), build(right)
                match operator:
                    case ast.Add():
                        return a + b
                    case ast.Sub():
                        return a - b
                    case ast.Mult():
                        return a * b
                    case ast.Div():
                        return a / b
                    case ast.Pow():
                        return power(a, b)
            case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS:
                built = [build(argument) for argument in arguments]
                if name == "Pow" and len(built) == 2:
                    return power(*built)
                return getattr(sympy, name)(*built)
        raise ValueError(f"{type(node).__name__} is not part of an expression")

    def power(a: Any, b: Any) -> Any:
        if a.is_Number and b.is_Number:
            if not (a.is_Rational and b.is_Rational):
                return a**b
            size = max(abs(int(a.p)).bit_length(), int(a.q).bit_length())
            if size * abs(b) > MAX_BITS:
                raise ValueError("a power too large to work out")
        return a**b

    stripped = text.strip()
    return build(ast.parse(stripped, mode="eval"))


def parse_literal(text: str, *_: object) -> Any:
    """What `eval` becomes: numbers, strings, lists, tuples, dicts and sets, or ValueError."""
    return ast.literal_eval(text)


def _refuse(*_: object) -> NoReturn:
    raise ValueError("model output is not executed")


def guard_sympy() -> None:
    """Replaces sympy's evaluating parser, wherever it can be reached by name, in this process."""
    sympy: Any = import_module("sympy")
    parser: Any = import_module("sympy.parsing.sympy_parser")
    evaluating = {id(parser.parse_expr), id(parse_expression)}
    if find_spec("math_verify") is not None:  # it binds the parser's name when imported
        import_module("math_verify")
    for module in [m for m in sys.modules.values() if m is not None]:
        if id(getattr(module, "__dict__", {}).get("parse_expr")) in evaluating:
            module.parse_expr = parse_expression  # type: ignore[attr-defined]
    parser.eval_expr = _refuse
    assert sympy.parse_expr is parse_expression


def guard_reasoning_gym() -> None:
    """Replaces `eval`, `exec` and sympy's parser in all modules of reasoning-gym, in this process.

    Any module, not only those known to evaluate answers: a later version is guarded as well.
    """
    original: Any = import_module("sympy.parsing.sympy_parser").parse_expr
    assert original is parse_expression
    for name, module in list(sys.modules.items()):
        if not name.startswith("reasoning_gym") or module is None:
            continue
        namespace = vars(module)
        namespace["exec"] = _refuse
        if name not in _TRUSTED_EVAL:
            namespace["eval"] = parse_literal
        for key, value in list(namespace.items()):
            if getattr(value, "__module__", None) == "sympy.parsing.sympy_parser":
                namespace[key] = parse_expression if key == "parse_expr" else _refuse


_REFUSED = (
    "os.system os.exec os.posix_spawn os.spawn os.fork os.forkpty os.remove os.rename os.rmdir "
    "os.mkdir os.link os.symlink os.chmod os.chown os.truncate os.kill os.putenv shutil. "
    "subprocess. socket. pty. ctypes. urllib. http. ftplib. smtplib. sqlite3. webbrowser. "
    "tempfile. mmap. fcntl. signal."
)


def refuse_side_effects() -> None:
    """Installs the audit hook. It cannot be removed; reading files and importing stay possible."""
    refused = tuple(_REFUSED.split())
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            if (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & writing
            ):
                raise PermissionError("a verifier writes no files")
        elif event.startswith(refused):
            raise PermissionError(f"a verifier does not do {event}")

    sys.addaudithook(hook)


def _judged(judge: Judge, limits: Limits, item: tuple[Any, str]) -> dict[str, Any]:
    """The reply to one item, under the limits that this process can hold itself to."""
    prompt, answer = item
    reply: dict[str, Any]
    try:
        try:
            if limits.cpu_seconds is not None:
                spent = math.ceil(time.process_time() + limits.cpu_seconds) + 1
                resource.setrlimit(resource.RLIMIT_CPU, (spent, resource.RLIM_INFINITY))
                signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds, 0.25)
            signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + 1.0)
            reply = {"reward": float(judge.judge(prompt, answer))}
            if not 0.0 <= reply["reward"] <= 1.0:
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


def _read(descriptor: int, parent: int) -> bytes:
    """One message; ends the process when the parent is gone."""

    def exactly(size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            while not select.select([descriptor], [], [], 5.0)[0]:
                if os.getppid() != parent:
                    os._exit(0)
            more = os.read(descriptor, min(size - len(data), 1 << 20))
            if not more:
                os._exit(0)
            data += more
        return bytes(data)

    return exactly(struct.unpack("<Q", exactly(8))[0])


def _replier(descriptor: int) -> Callable[[dict[str, Any]], None]:
    def reply(message: dict[str, Any]) -> None:
        data = json.dumps(message).encode() + b"\n"
        while data:
            data = data[os.write(descriptor, data) :]

    return reply


def _late(signum: int, frame: FrameType | None) -> NoReturn:
    raise _Late


def main() -> None:
    """Serves one parent until it closes the pipe."""
    parent = os.getppid()
    inbox = os.dup(0)
    reply = _replier(os.dup(1))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what a judge prints is not a reply
    sys.dont_write_bytecode = True
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        judge, limits = pickle.loads(_read(inbox, parent))
        if limits.memory_bytes is not None:
            hard = resource.getrlimit(resource.RLIMIT_AS)[1]
            resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, hard))
        judge.load()
    except InputError as error:
        reply({"fatal": str(error), "input": True})
        return
    except BaseException as error:
        reply({"fatal": f"a verifier worker cannot start: {type(error).__name__}: {error}"})
        return
    signal.signal(signal.SIGPROF, _late)
    if not isinstance(judge, CustomReward):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        os.dup2(2, 1)
        refuse_side_effects()
    reply({"ready": True})
    while True:
        reply(_judged(judge, limits, pickle.loads(_read(inbox, parent))))


if __name__ == "__main__":
    import_module("cobatrain.tasks.worker").main()  # under its own name, not a second copy
