"""What the browser's first request gets: where the server is, and what it will need soon.

A page that is opened by its own address asks for the server below that address first, which costs
two answers of 404 (in red in the browser's console) and their time; so the frame of the page says
where the server is. And on pages that begin with charts their code, the largest part, is loaded
from the start rather than after the first answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from pathlib import Path
from typing import Any

import streamlit

WITHOUT_CHARTS = ("", "sensitivity", "runs")
"""Addresses of pages that begin without charts, below that of the app; empty: its first page."""

PACKED = (b"accept-encoding",)

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@cache
def head(*, charts: bool) -> bytes:
    """What is put into the head of the frame: HTML. charts: whether the page begins with charts.

    The server is where the page's own name, the last part of its address, would be.
    """
    script = (
        "<script>window.__streamlit = {BACKEND_BASE_URL: location.origin + "
        "location.pathname.replace(/[^/]*$/, '')}</script>"
    )
    folder = Path(streamlit.__file__).parent / "static" / "static" / "js"
    soon = [
        f'<link rel="modulepreload" crossorigin href="./static/js/{file.name}">'
        for file in sorted(folder.glob("PlotlyChart.*.js"))
    ]
    return "".join([script, *(soon if charts else [])]).encode()


class FirstLoad:
    """ASGI middleware that adds ``head`` to every page of HTML."""

    def __init__(self, app: Callable[[Message, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass everything on; only HTML is kept until it is whole, and changed."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if any(name == b"accept" and b"text/html" in value for name, value in scope["headers"]):
            plain = [(name, value) for name, value in scope["headers"] if name not in PACKED]
            scope = {**scope, "headers": plain}  # what is packed cannot be changed
        started: Message = {}
        body = b""

        async def changed(message: Message) -> None:
            nonlocal body
            if message["type"] == "http.response.start" and _is_html(message):
                started.update(message)
                return
            if not started or message["type"] != "http.response.body":
                await send(message)
                return
            body += message.get("body", b"")
            if message.get("more_body", False):
                return
            page = scope["path"].rstrip("/").rpartition("/")[2]
            own = head(charts=page not in WITHOUT_CHARTS)
            whole = body.replace(b"<head>", b"<head>" + own, 1)
            kept = [
                (name, value)
                for name, value in started["headers"]
                if name.lower() not in (b"content-length", b"etag", b"last-modified")
            ]
            length = (b"content-length", str(len(whole)).encode())
            await send(started | {"headers": [*kept, length]})
            await send({"type": "http.response.body", "body": whole})

        await self.app(scope, receive, changed)


def _is_html(start: Message) -> bool:
    """Whether a response that starts so has a page of HTML as its body."""
    return start["status"] == 200 and any(
        name.lower() == b"content-type" and value.startswith(b"text/html")
        for name, value in start["headers"]
    )
