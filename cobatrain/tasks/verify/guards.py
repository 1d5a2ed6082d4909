"""What keeps model output from being executed in a worker, set before the first response is read.

- sympy's parse_expr, which evaluates text as Python and which sympy calls for every string that
  it is given, is replaced by `parse_expression`, which walks a syntax tree of allowed nodes.
- `eval` and `exec` in every module of reasoning-gym, several of whose scorers evaluate the answer
  (0.1.25: string_insertion, spiral_matrix, binary_matrix, n_queens), become a parser of literals.
- An audit hook refuses to start processes, to open sockets, and to write, move or remove files.

Guards hold for the process in which they are set and cannot be taken back. A custom reward function
is the user's own code and runs without them.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Any, NoReturn

from cobatrain.tasks.verify.expressions import parse_expression, parse_literal

# Applies eval to the question, which the generator wrote, never to the answer.
_TRUSTED_EVAL = frozenset(["reasoning_gym.arithmetic.bitwise_arithmetic"])

_REFUSED = (
    "os.system os.exec os.posix_spawn os.spawn os.fork os.forkpty os.remove os.rename os.rmdir "
    "os.mkdir os.link os.symlink os.chmod os.chown os.truncate os.kill os.putenv shutil. "
    "subprocess. socket. pty. ctypes. urllib. http. ftplib. smtplib. sqlite3. webbrowser. "
    "tempfile. mmap. fcntl. signal."
)


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
