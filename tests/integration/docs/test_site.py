"""The site is built without a network; its links, formulas and reference hold."""

from __future__ import annotations

import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from repository import ROOT

pytest.importorskip("mkdocs", reason="the extra docs is not installed")
pytest.importorskip("material", reason="the extra docs is not installed")

from cobasim.allocation import ALLOCATORS

NO_NETWORK = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}


class Page(html.parser.HTMLParser):
    """Anchors, links, and what a browser loads by itself."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and found.get("rel") in ("stylesheet", "icon", "preconnect"):
            self.loaded.append(found["href"])
        elif "src" in found:
            self.loaded.append(found["src"])


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(folder)]
    environment = {**os.environ, **NO_NETWORK, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    """The pages of the site; that of errors has links that only a server resolves."""
    found = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    return {path: page for path, page in found.items() if path.name != "404.html"}


def test_every_page_of_the_docs_is_a_page_of_the_site(site):
    for path in (ROOT / "docs").rglob("*.md"):
        place = path.relative_to(ROOT / "docs").with_suffix(".html")
        if place.name == "README.html":
            place = place.with_name("index.html")
        assert (site / place).exists(), place


def test_links_and_anchors_lead_somewhere(pages, site):
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            at = unquote(parts.fragment)
            if not target.exists() or (at and target in pages and at not in pages[target].anchors):
                broken.append(f"{path.relative_to(site)} -> {link}")
    assert not broken


def test_a_page_loads_nothing_from_elsewhere_and_all_that_it_loads_is_there(pages):
    for path, page in pages.items():
        for source in page.loaded:
            parts = urlsplit(source)
            assert not parts.netloc, f"{path.name} loads {source}"
            assert (path.parent / unquote(parts.path)).exists(), f"{path.name} loads {source}"


def test_formulas_are_mathml(site):
    for name in ("allocators", "signal", "world", "measured", "plan"):
        text = (site / f"{name}.html").read_text()
        assert "<math" in text
        formulas = re.findall(r"<math.*?</math>", text, re.DOTALL)
        assert not [one for one in formulas if "\\" in one or "merror" in one]
        assert "arithmatex" not in text


def test_the_reference_has_every_allocator_and_command(site):
    text = (site / "reference" / "allocators.html").read_text()
    assert all(f"<code>{name}</code>" in text for name in ALLOCATORS)
    for package, command in (("cobasim", "compare"), ("cobatrain", "train")):
        text = (site / "reference" / f"commands-{package}.html").read_text()
        assert f"<code>{package} {command}</code>" in text
        assert "--seed" in text


def test_the_reference_shows_what_a_room_exports(site):
    text = (site / "reference" / "cobasim.budgets.html").read_text()
    assert 'id="cobasim.budgets.BudgetLedger.ask"' in text
    assert "rollouts to spend on this batch" in text
