"""Code, links and commands of the README and the docs."""

from __future__ import annotations

import re

import numpy as np
import pytest
from documents import block
from repository import ROOT

from cobasim.allocation import Limits, solve
from cobasim.records import read_run


def test_neyman_of_the_readme_is_proportional_to_the_standard_deviation():
    scope: dict = {}
    exec(block("README.md", "<!-- example: my_allocator.py -->"), scope)
    p = np.array([0.5, 0.1, 0.02, 0.0])
    budgets = solve(scope["NeymanValue"](p), Limits(4000, 1, 4000))
    expected = np.sqrt(p * (1 - p))
    np.testing.assert_allclose(budgets / 4000, expected / expected.sum(), atol=2e-3)


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text()
    scope: dict = {"keys": [f"prompt {i}" for i in range(512)], "passes": np.arange(512) % 17}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, scope)
    ledger = scope["ledger"]
    assert scope["budgets"].tolist() == [16] * 512
    again = ledger.ask(scope["keys"])
    assert again.sum() == 8192
    assert len(set(again.tolist())) > 2
    assert len(read_run("runs/mine").steps) == ledger.step == 1
    assert scope["env"].reset(seed=0)


def test_links_and_files_named_in_the_docs_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


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
