"""The app in a process of its own, and pages of it in a browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None
)


class Server:
    """``cobasim explore`` in a process of its own."""

    def __init__(self, runs: Path, log: Path, *, home: Path | None = None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.runs, self.log, self.said = runs, log, log.with_suffix(".said")
        self.url = f"http://127.0.0.1:{self.port}"
        command = [sys.executable, "-m", "cobasim", "explore", "--runs", str(runs)]
        command += ["--port", str(self.port)]
        environment = dict(os.environ)
        if home is None:
            command.append("--no-browser")
        else:  # somebody's first start: an empty home, a terminal that waits, a browser to open
            environment |= {"HOME": str(home), "BROWSER": "true", "DISPLAY": ":0"}
        with log.open("wb") as errors, self.said.open("wb") as said:
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=said, stderr=errors,
                env=environment, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            try:
                urllib.request.urlopen(self.url + "/_stcore/health")
                return
            except OSError:
                time.sleep(0.1)

    def close(self) -> None:
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def without_lost_tabs(log: str) -> str:
    """The log without what the web server says when a tab closes in the middle of its handshake."""
    blocks = re.split(r"(?m)^(?=.*Exception in ASGI application$|\d{4}-\d\d-\d\d )", log)
    lost = ("WebSocketDisconnect", "_websocket_endpoint")
    return "".join(block for block in blocks if not all(part in block for part in lost))


def settled(page, count: int) -> None:
    """Wait until so many figures are drawn and nothing runs."""
    page.wait_for_function(
        "n => document.querySelectorAll('.js-plotly-plot:has(.main-svg)').length >= n "
        "&& !document.querySelector('[data-testid=stStatusWidget]')",
        arg=count,
    )


def drawn(page, title: str) -> list:
    """The y values of the figures whose title (and subtitle, after a comma) begins so."""
    return page.evaluate(
        "begin => [...document.querySelectorAll('.js-plotly-plot')]"
        ".filter(f => [f.layout?.title?.text, f.layout?.title?.subtitle?.text]"
        ".filter(Boolean).join(', ').replaceAll('<br>', ' ').startsWith(begin))"
        ".flatMap(f => f._fullData.map(trace => Array.from(trace.y || [])))",
        title,
    )


def steady(page, title: str) -> list:
    """As ``drawn``, once it stays the same."""
    seen: list[list] = [[]]

    def same() -> bool:
        page.wait_for_timeout(1000)
        settled(page, 1)
        seen.append(drawn(page, title))
        return seen[-1] != [] and seen[-1] == seen[-2]

    eventually(same)
    return seen[-1]


def unfold(page, label: str) -> None:
    """Open a folded part of the page."""
    page.locator("summary").filter(has_text=label).click()


def slide(page, label: str, presses: int) -> None:
    handle = page.get_by_role("slider", name=label)
    handle.focus()
    for _ in range(presses):
        handle.press("ArrowRight")


def eventually(check, seconds: float = 40.0):
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)
    return found
