"""``cobasim explore``: the app in the browser."""

from __future__ import annotations

import os
import socket
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from cobasim.cli.output import say
from cobasim.errors import InputError

EXPLORER = "explorer.py"  # the app's entry, in the package cobasim_apps
MOST_MIB = 200
"""Of an upload: what the app's most generous widget takes."""


def explore(
    runs: Annotated[str, typer.Option(help="Folder where runs are found, and saved.")] = "runs",
    run: Annotated[
        str | None, typer.Option(help="Folder of a run to open first.", show_default="none")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    address: Annotated[
        str, typer.Option(help="Address to listen on; the app has no password.")
    ] = "127.0.0.1",
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    allocator: Annotated[
        list[str] | None,
        typer.Option(
            help="Also offer an allocator of your own, module:Class. May be repeated.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Open the what-if app in the browser; Ctrl-C ends it."""
    from cobasim.allocation import find_allocator
    from cobasim.records import read_header

    script = _script()
    if run is not None:
        read_header(run)
    for name in allocator or []:
        find_allocator(name)
    _check_free(address, port)
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += [f"--{name}={value}" for name, value in _server(address, port, browser).items()]
    command += ["--", "--runs", runs, *([] if run is None else ["--run", run])]
    command += [f"--allocator={name}" for name in allocator or []]
    say(f"The app is at {_url(address, port)}; Ctrl-C ends it.", wrap=False)
    sys.stdout.flush()
    os.execv(sys.executable, command)  # nothing is left behind when it ends


def _script() -> Path:
    """The app's entry. Raises InputError if the extra is not installed."""
    missing = [name for name in ("streamlit", "cobasim_apps") if find_spec(name) is None]
    if missing:
        raise InputError(f"{missing[0]} is not installed; pip install 'coba-testbed[app]'")
    spec = find_spec("cobasim_apps")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / EXPLORER


def _check_free(address: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except (OSError, OverflowError) as error:
            raise InputError(f"cannot listen on {address}:{port} ({error}); try --port") from None


def _url(address: str, port: int) -> str:
    """Where a browser on this machine finds the app."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address, address)
    return f"http://{host}:{port}"


def _server(address: str, port: int, browser: bool) -> dict[str, object]:
    """Options of streamlit."""
    return {
        "server.address": address,
        "server.port": port,
        "server.headless": str(not browser).lower(),
        "server.showEmailPrompt": "false",  # otherwise it asks a question at the first start
        "server.maxUploadSize": MOST_MIB,
        "browser.gatherUsageStats": "false",
        "logger.hideWelcomeMessage": "true",  # and what Streamlit offers in front of the page
        "client.showErrorDetails": "none",
        "client.toolbarMode": "minimal",
        "server.fileWatcherType": "none",
    }
