"""The reproduction's page in a browser."""

from __future__ import annotations

import pytest
from app_browser import CHROMIUM

from cobasim.experiments import reproduction
from cobasim.experiments.reproduction import paper


@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(reproduced, width):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    out, _ = reproduced
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((out / reproduction.REPORT).as_uri())
        drawn = page.locator(".js-plotly-plot").count()
        assert drawn >= len(paper.RESULTS) + 2
        page.wait_for_function(
            "n => document.querySelectorAll('.js-plotly-plot .main-svg').length >= n", arg=drawn
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click('a[href="#loss"]')
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
