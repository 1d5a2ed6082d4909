"""How long the app's pages take in a browser, in seconds. Needs streamlit, playwright, chromium.

    python tests/support/app_speed.py        # a minute; on a machine that does nothing else

Medians of five: the first page with an empty cache until its button can be pressed; a slider on the
page of one batch until the last chart is drawn anew; the page of 300 runs until its table is there,
the first time and again. Then what a first load fetches.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app_browser import CHROMIUM, Server, settled
from playwright.sync_api import Browser, Page, sync_playwright
from synthetic_runs import write_run

REPEATS = 5
WATCH = """() => {
  const seen = () => JSON.stringify([...document.querySelectorAll('.js-plotly-plot')].map(
    chart => (chart._fullData || []).map(trace => Array.from(trace.y || []).slice(0, 300))));
  let last = seen();
  setInterval(() => {
    const now = seen();
    if (now !== last) { last = now; window.drawnAt = performance.now(); }
  }, 15);
  window.addEventListener(
    'keydown', () => { window.pressedAt = performance.now(); window.drawnAt = 0; }, true);
}"""


def opened(browser: Browser, url: str) -> Page:
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(url)
    return page


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def first_page(browser: Browser, server: Server) -> float:
    def work() -> None:
        page = opened(browser, server.url)
        page.get_by_role("button", name="Ask").wait_for()
        page.context.close()

    return timed(work)


def slider(page: Page) -> float:
    """From the key to the last change of what any chart draws."""
    page.get_by_role("slider").first.press("ArrowRight")
    page.wait_for_timeout(2000)
    taken: float = page.evaluate("window.drawnAt - window.pressedAt")
    assert taken > 0, "no chart was drawn anew"
    return taken / 1000


def table_of_runs(page: Page, server: Server) -> float:
    def work() -> None:
        page.goto(f"{server.url}/runs")
        page.locator("[data-testid=stDataFrame] canvas").first.wait_for()

    return timed(work)


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as engine:
        runs = Path(scratch) / "runs"
        for seed in range(300):
            write_run(runs / f"r{seed}", "uniform" if seed % 2 else "coba", seed)
        server = Server(runs, Path(scratch) / "log")
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            cold = first_page(browser, server)
            pages = [first_page(browser, server) for _ in range(REPEATS)]
            print(f"first page: {statistics.median(pages):.2f} ({cold:.2f} after the start)")
            for path in ("/batch?settings=true&source=A+Beta+distribution", "/method"):
                page = opened(browser, server.url + path)
                settled(page, 2)
                page.wait_for_timeout(2000)
                page.evaluate(WATCH)
                slides = [slider(page) for _ in range(REPEATS)]
                print(f"slider of {path.partition('?')[0]}: {statistics.median(slides):.2f}")
                page.context.close()
            page = browser.new_context().new_page()
            first = table_of_runs(page, server)
            again = [table_of_runs(page, server) for _ in range(REPEATS)]
            print(f"300 runs: {statistics.median(again):.2f}, the first time {first:.2f}")
            sizes: list[int] = []
            page = browser.new_context().new_page()
            page.on("response", lambda r: sizes.append(int(r.headers.get("content-length", 0))))
            page.goto(server.url)
            page.get_by_role("button", name="Ask").wait_for()
            print(f"first load: {len(sizes)} requests, {sum(sizes) / 1e6:.1f} MB")
        finally:
            server.close()


if __name__ == "__main__":
    main()
