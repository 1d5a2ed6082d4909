"""Code, links and commands of the README and the docs."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import pytest
import yaml
from documents import block
from repository import ROOT

import cobasim
from cobasim.allocation import Limits, solve
from cobasim.records import read_run


def test_neyman_of_the_docs_is_proportional_to_the_standard_deviation():
    scope: dict = {}
    exec(block("docs/add-allocator.md", "<!-- example: my_allocator.py -->"), scope)
    p = np.array([0.5, 0.1, 0.02, 0.0])
    budgets = solve(scope["NeymanValue"](p), Limits(4000, 1, 4000))
    expected = np.sqrt(p * (1 - p))
    np.testing.assert_allclose(budgets / 4000, expected / expected.sum(), atol=2e-3)


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    scope: dict = {"keys": [f"prompt {i}" for i in range(512)], "passes": np.arange(512) % 17}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    ours = [code for code in blocks if "cobatrain.integrations" not in code]  # needs TRL
    assert len(ours) == len(blocks) - 1
    for code in ours:
        exec(code, scope)
    ledger = scope["ledger"]
    assert scope["budgets"].tolist() == [16] * 512
    again = ledger.ask(scope["keys"])
    assert again.sum() == 8192
    assert len(set(again.tolist())) > 2
    assert len(read_run("runs/mine").steps) == ledger.step == 1


def test_the_readme_is_short_and_shows_one_picture():
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    assert len(re.findall(r"!\[", text)) == 1


def test_the_environment_of_the_docs_is_made():
    scope: dict = {}
    exec(block("docs/env.md", "```python"), scope)
    assert scope["env"].reset(seed=0)


def test_links_of_all_pages_lead_to_files():
    """As the repository shows the pages; the site's own test follows anchors, too."""
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(((?!https?:)[^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if target.startswith("reference/"):  # made with the site
                continue
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_citation_is_read_and_names_the_project():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"cff-version", "message", "title", "authors"} <= set(cited)
    assert cited["license"] == project["license"]
    assert cited["version"] == cobasim.__version__


def test_the_architecture_page_names_every_room():
    page = (ROOT / "docs" / "architecture.md").read_text()
    for package in ("cobasim", "cobatrain"):
        part = page[page.index(f"| `{package}/`") :]
        for path in (ROOT / package).glob("*/__init__.py"):
            assert f"`{path.parent.name}/`" in part, f"{package}/{path.parent.name}"


def test_ci_runs_the_readmes_own_test_command():
    command = block("README.md", "<!-- test command -->")
    assert "pip install" in command
    assert "pytest" in command
    assert "<!-- test command -->" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    ("page", "folder", "steps"),
    [("records.md", "my-run", range(3)), ("ledger.md", "runs/mine", range(1, 21))],
)
def test_the_documented_example_runs(page, folder, steps, tmp_path, monkeypatch):
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, page, "exec"), {})
    assert [step.step for step in read_run(tmp_path / folder).steps] == [*steps]


def test_pages_of_findings_say_when_as_their_table_does():
    table = (ROOT / "docs" / "findings.md").read_text().partition("## When and with what")[2]
    dates: dict[str, set[str]] = {}
    page = ""
    for row in re.findall(r"^\| (.*?) \| (.*?) \|", table, re.MULTILINE)[1:]:
        page = next(
            iter(re.findall(r"\]\((.*?)\)", row[0])), page
        )  # "its ..." is of the page above
        dates.setdefault(page, set()).update(re.findall(r"\d{4}-\d\d-\d\d", row[1]))
    dates.pop("phase.md")  # as its command wrote it, with versions
    for page, said in dates.items():
        line = re.search(r"^\*(Made.*?)\*$", (ROOT / "docs" / page).read_text(), re.M | re.S)
        assert line, page
        assert set(re.findall(r"\d{4}-\d\d-\d\d", line[1])) == said, page
    assert len(dates) >= 10
