"""``cobasim explore``: bad input is one line."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run", "nowhere"], "nowhere"),
        (["--port", "0"], "port"),
        (["--address", "no.such.host.invalid"], "cannot listen"),
    ],
)
def test_explore_refuses_what_cannot_be(arguments, words):
    done = subprocess.run(
        [sys.executable, "-m", "cobasim", "explore", "--no-browser", *arguments],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
