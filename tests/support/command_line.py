"""Command lines that run in the process of the test: what they answer, and what they promise."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

RATES = [0.0, 0.1, 0.1, 0.4, 0.5, 0.75, 0.9, 1.0]


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def feed_standard_input(monkeypatch: pytest.MonkeyPatch, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))


def caller(
    name: str,
    main: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    capture: pytest.CaptureFixture[str],
) -> Callable[..., Answer]:
    """``call(*arguments, stdin=None)`` runs the command line ``name`` in this process."""

    def call(*arguments: object, stdin: str | None = None) -> Answer:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        if stdin is not None:
            feed_standard_input(monkeypatch, stdin)
        capture.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        return Answer(int(stopped.value.code or 0), *capture.readouterr())

    return call


def check_one_line(code: int, out: str, err: str) -> None:
    """Bad input is one clear line and exit code 2, nothing else."""
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert len(err.strip()) > len("error: ")
