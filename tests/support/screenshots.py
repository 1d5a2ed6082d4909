"""Pictures of docs/images. Needs streamlit, playwright and chromium.

``python tests/support/screenshots.py RUNS docs/images [RUN ...]``: the app's pages. RUNS: a folder
with runs (and a sweep named ``sweep``) to show; RUN: those to open.

``python tests/support/screenshots.py --comparison FOLDER docs/images``: README's first figure, from
what ``cobasim compare --out FOLDER`` wrote.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from urllib.parse import urlencode

from app_browser import CHROMIUM, Server, settled, unfold
from playwright.sync_api import Browser, sync_playwright

from cobasim.figures import STYLES, final_differences
from cobasim.records import find_runs, read_run
from cobasim.scores import comparison_table
from cobasim.updates import WEIGHTINGS

SIMULATION = [
    ("steps", 100), ("num", 2048), ("batch", 64), ("budget", 512), ("seeds", 3),
    ("prompt_noise", 10), *(("sim_allocators", name) for name in ("uniform", "coba", "signal")),
]  # fmt: skip


def pages(browser: Browser, server: Server, out: Path, opened: list[str]) -> None:
    """Every page of the app."""
    query = urlencode([("open", name) for name in opened])
    shown = {
        "case": ("/", 0, 1000),
        "batch": ("/batch", 2, 1000),
        "sensitivity": ("/sensitivity?show=Finished+sweep&sweep=sweep", 2, 1100),
        "runs": (f"/runs?{query}", 6, 1400),
        "method": ("/method", 5, 1200),
        "simulation": (f"/simulation?{urlencode(SIMULATION)}", 0, 1500),
    }
    for name, (path, figures, height) in shown.items():
        page = browser.new_page(
            viewport={"width": 1280, "height": height},
            color_scheme="dark" if name == "runs" else "light",
        )
        page.goto(server.url + path)
        page.wait_for_selector("h1")
        if name == "batch":
            settled(page, figures)
            unfold(page, "Settings")
        if name == "case":
            page.get_by_role("button", name="Ask").click()
            page.locator(".js-plotly-plot .main-svg").first.wait_for(timeout=300_000)
            figures = 1
        if name == "simulation":
            page.get_by_role("button", name="Start").click()
            page.get_by_text("finished: ").wait_for(timeout=400_000)
            page.get_by_text("Loss weighted per rollout").first.wait_for(timeout=90_000)
            figures = 6
        settled(page, figures)
        page.wait_for_timeout(2500)
        page.screenshot(path=str(out / f"app-{name}.png"))
        page.close()


def comparison(browser: Browser, folder: Path, out: Path) -> None:
    """Final differences to uniform under both weightings."""
    runs = [read_run(path) for path in find_runs(folder)]
    order = [(weighting, name) for weighting in WEIGHTINGS for name in STYLES]
    runs.sort(key=lambda run: order.index((run.header.weighting, run.header.allocator)))
    rows = comparison_table(runs)
    figure = final_differences(rows)
    width, height = 1000, int(figure.layout.height)
    page = browser.new_page(viewport={"width": width, "height": height})
    with tempfile.TemporaryDirectory() as aside:
        file = Path(aside) / "figure.html"
        figure.write_html(file, config={"displayModeBar": False}, default_width=f"{width - 16}px")
        page.goto(file.as_uri())
        page.wait_for_selector(".main-svg")
        page.screenshot(path=str(out / "comparison.png"))
    page.close()


def main(words: list[str]) -> None:
    """What the words ask for."""
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        if words[0] == "--comparison":
            comparison(browser, Path(words[1]), Path(words[2]))
            return
        out = Path(words[1])
        server = Server(Path(words[0]), out / "server.log")
        try:
            pages(browser, server, out, words[2:])
        finally:
            server.close()
            server.log.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
