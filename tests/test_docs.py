"""What the README and the docs say can be done is done here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
SMALL = [
    "--seeds", "2", "--steps", "8", "--set", "num_prompts=64", "--set", "num_heldout=32",
    "--batch-size", "16", "--total-budget", "256",
]  # fmt: skip


def block(file: str, marker: str) -> str:
    """The fenced block behind a marker (an HTML comment) or that starts with a line."""
    text = (ROOT / file).read_text()
    found = re.search(re.escape(marker) + r"\n?(?:```\w+\n)?(.*?)```", text, re.DOTALL)
    assert found, f"{file} has no block at {marker!r}"
    return found.group(1)


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("file", "marker", "name"),
    [
        ("README.md", "<!-- example: my_allocator.py -->", "my_allocator:Neyman"),
        ("docs/adding.md", "```python\n# half.py", "half:Half"),
    ],
)
def test_an_allocator_of_the_docs_takes_part_in_a_comparison(file, marker, name, tmp_path):
    module = name.partition(":")[0]
    (tmp_path / f"{module}.py").write_text(block(file, marker))
    command = [sys.executable, "-m", "cobasim", "compare", "--out", "out", "--jobs", "2"]
    out = run(tmp_path, *command, "--allocators", f"uniform,{name},oracle-{name}", *SMALL)
    assert name in out
    assert f"oracle-{name}" in out


def test_neyman_of_the_readme_is_proportional_to_the_standard_deviation():
    scope: dict = {}
    exec(block("README.md", "<!-- example: my_allocator.py -->"), scope)
    from cobasim.allocation import Limits, solve

    p = np.array([0.5, 0.1, 0.02, 0.0])
    budgets = solve(scope["NeymanValue"](p), Limits(4000, 1, 4000))
    expected = np.sqrt(p * (1 - p))
    np.testing.assert_allclose(budgets / 4000, expected / expected.sum(), atol=2e-3)


def test_a_learner_of_the_docs_runs_in_the_loop(tmp_path):
    (tmp_path / "coin.py").write_text(block("docs/adding.md", "```python\n# coin.py"))
    assert run(tmp_path, sys.executable, "coin.py") == "11 records, 2560 rollouts\n"


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


def test_import_is_light():
    heavy = ["torch", "vllm", "transformers", "streamlit", "plotly", "pydantic", "gymnasium"]
    code = (
        "import sys, cobasim, cobasim.allocation; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert run(ROOT, sys.executable, "-c", code) == "[]\n"
    code = (
        "import sys, cobasim.cli, cobasim.comparison, cobasim.benchmark, cobasim.world.env; "
        f"print([name for name in {heavy[:4]} if name in sys.modules])"
    )
    assert run(ROOT, sys.executable, "-c", code) == "[]\n"


def test_nothing_in_cobasim_imports_the_heavy_or_the_trainer():
    heavy = "torch|vllm|transformers|streamlit|cobatrain|apps"
    pattern = re.compile(rf"^\s*(?:import|from)\s+({heavy})\b")
    for path in (ROOT / "cobasim").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not pattern.match(line), f"{path}: {line}"


def test_links_and_files_named_in_the_docs_exist():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(((?!https?:)[^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_ci_runs_the_readmes_own_test_command():
    command = block("README.md", "<!-- test command -->")
    assert "pip install" in command
    assert "pytest" in command
    assert "<!-- test command -->" in (ROOT / ".ci" / "run").read_text()
