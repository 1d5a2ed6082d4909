"""``cobasim reproduce``: bad input is one line."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "fulll"], "did you mean 'full'"),
        (["--jobs", "0"], "--jobs"),
        (["--out", "FILE"], "holds no sweep"),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path):
    (tmp_path / "FILE").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "cobasim", "reproduce", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()
