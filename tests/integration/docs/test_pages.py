"""Code, links and commands of the README and the docs."""

from __future__ import annotations

import re

import numpy as np
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


def test_python_of_the_readme_runs():
    text = (ROOT / "README.md").read_text()
    scope: dict = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(code, scope)
    assert scope["budgets"].sum() == 80
    prompts = np.arange(512)
    first = scope["budgets_for"](prompts)
    assert (first == 16).all()
    scope["after_step"](prompts, first, first // 3)
    assert scope["budgets_for"](prompts).sum() == 8192
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


def test_the_documented_example_runs(tmp_path, monkeypatch):
    page = (ROOT / "docs" / "records.md").read_text()
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "records.md", "exec"), {})
    assert [step.step for step in read_run(tmp_path / "my-run").steps] == [0, 1, 2]
