"""Screenshots of the app's pages: ``python tests/support/screenshots.py RUNS docs/images``.

RUNS: a folder with runs (and a sweep named ``sweep``) to show. Needs streamlit, playwright and
chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path

from app_browser import CHROMIUM, Server, settled
from playwright.sync_api import sync_playwright


def main(runs: Path, out: Path, opened: list[str]) -> None:
    server = Server(runs, out / "server.log")
    query = "&".join(f"open={name}" for name in opened)
    pages = {
        "batch": ("/", 4, 1000),
        "sensitivity": ("/sensitivity?show=Finished+sweep&sweep=sweep", 4, 1100),
        "runs": (f"/runs?{query}", 6, 1100),
        "method": ("/method", 4, 1200),
        "simulation": ("/simulation?steps=100", 0, 1500),
    }
    try:
        with sync_playwright() as engine:
            browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for name, (path, figures, height) in pages.items():
                page = browser.new_page(
                    viewport={"width": 1280, "height": height},
                    color_scheme="dark" if name == "runs" else "light",
                )
                page.goto(server.url + path)
                page.wait_for_selector("h1")
                if name == "simulation":
                    page.get_by_role("button", name="Start").click()
                    page.get_by_text("finished: ").wait_for(timeout=180_000)
                    page.get_by_text("Loss weighted per rollout").first.wait_for()
                    figures = 6
                settled(page, figures)
                page.wait_for_timeout(2500)
                page.screenshot(path=str(out / f"app-{name}.png"))
                page.close()
            browser.close()
    finally:
        server.close()
        server.log.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
