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
        ("docs/add-allocator.md", "```python\n# half.py", "half:Half"),
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


@pytest.fixture
def half(tmp_path):
    """A folder with the allocator and the world of the docs, and a config of the trainer."""
    (tmp_path / "half.py").write_text(block("docs/add-allocator.md", "```python\n# half.py"))
    (tmp_path / "rasch.py").write_text(block("docs/add-world.md", "```python\n# rasch.py"))
    test = block("docs/add-allocator.md", "```python\n# test_half.py")
    (tmp_path / "test_half.py").write_text(test)
    return tmp_path


def test_an_allocator_of_the_docs_keeps_the_contract(half):
    assert "1 passed" in run(half, sys.executable, "-m", "pytest", "-q", "test_half.py")


@pytest.mark.slow
def test_an_allocator_by_import_path_takes_part_everywhere(half):
    cobasim = [sys.executable, "-m", "cobasim"]
    name = "half:Half"
    base = ["--allocators", f"uniform,{name}", *SMALL]
    run(half, *cobasim, "sweep", *base, "--param", "sharpness=1,4", "--jobs", "2", "--out", "sweep")
    table = (half / "sweep" / "summary.csv").read_text()
    assert table.count(name) == 4  # two points, two weightings
    small = ["--samples", "4", "--batch-size", "16", "--set", "num_prompts=64", "--seeds", "2"]
    small += ["--param", "sharpness=0.5:4", "--param", "window=1:4:int", "--steps", "8"]
    small += ["--set", "total_budget=256"]
    run(half, *cobasim, "sensitivity", "--allocators", f"uniform,{name}", *small, "--out", "sense")
    assert name in next((half / "sense").glob("*.json")).read_text() + "".join(
        file.read_text() for file in (half / "sense").glob("*.html")
    )
    (half / "rates.json").write_text("[0.1, 0.5, 0.9]")
    out = run(half, *cobasim, "allocate", "rates.json", "--total-budget", "30", "--allocator", name)
    assert "30 rollouts over 3 prompts" in out


def test_an_allocator_by_import_path_is_known_to_the_trainer(half):
    pytest.importorskip("torch", reason="torch is not installed")
    trainer = "from cobatrain.config import load_config; import sys; sys.path.append('')\n"
    trainer += (
        "config = load_config(sys.argv[1], [], allocator='half:Half'); print(config.estimator)"
    )
    tiny = str(ROOT / "cobatrain" / "configs" / "tiny.yaml")
    assert run(half, sys.executable, "-c", trainer, tiny) == "last\n"


def test_a_run_by_import_path_has_a_folder_with_a_safe_name(half):
    command = [sys.executable, "-m", "cobasim", "compare", "--allocators", "uniform,half:Half"]
    run(half, *command, *SMALL, "--weighting", "prompt", "--jobs", "1", "--out", "out")
    assert sorted(path.name for path in (half / "out" / "prompt").iterdir()) == [
        "half%3AHalf",
        "uniform",
    ]


def test_a_world_of_the_docs_is_compared_and_keeps_the_laws(half, monkeypatch):
    command = [sys.executable, "-m", "cobasim", "compare", "--allocators", "uniform,coba"]
    command += ["--world", "rasch:Rasch", "--out", "out", "--jobs", "2"]
    assert "coba" in run(half, *command, *SMALL, "--set", "regime_step=4", "--set", "walk=0.1")
    monkeypatch.syspath_prepend(half)
    from cobasim.world import WorldConfig, find_world

    config = WorldConfig(world="rasch:Rasch", num_prompts=50, num_heldout=30, noise=0.0)
    world = find_world("rasch:Rasch")(config, seed=1)
    rates, prompts = world.all_pass_rates(), np.arange(50)
    np.testing.assert_allclose(world.pass_rates(prompts), rates[:50])
    world.rollout(prompts, np.full(50, 16))
    world.update()
    state = world.state_dict()
    other = find_world("rasch:Rasch")(config, seed=1)
    other.load_state_dict(state)
    np.testing.assert_array_equal(other.all_pass_rates(), world.all_pass_rates())
    assert not np.array_equal(rates, world.all_pass_rates())


def test_a_learner_of_the_docs_runs_in_the_loop(tmp_path):
    (tmp_path / "tabular.py").write_text(block("docs/add-learner.md", "```python\n# tabular.py"))
    lines = run(tmp_path, sys.executable, "tabular.py", "out").splitlines()
    assert [line.partition(":")[0] for line in lines[:2]] == ["uniform", "coba"]
    assert all("from 4 seeds" in line for line in lines[:2])
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000


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
    heavy.append("scipy.stats")  # doubles the time of the import
    code = (
        "import sys, cobasim, cobasim.allocation; "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    assert run(ROOT, sys.executable, "-c", code) == "[]\n"
    code = (
        "import sys, cobasim.cli, cobasim.runs, cobasim.gym; "
        "import cobasim.experiments.benchmark.benchmark; "
        f"print([name for name in {heavy[:4]} if name in sys.modules])"
    )
    assert run(ROOT, sys.executable, "-c", code) == "[]\n"


def test_nothing_in_cobasim_imports_the_heavy_or_the_trainer():
    heavy = "torch|vllm|transformers|streamlit|cobatrain|apps"
    pattern = re.compile(rf"^\s*(?:import|from)\s+({heavy})\b")
    for path in (ROOT / "cobasim").rglob("*.py"):
        for line in path.read_text().splitlines():
            assert not pattern.match(line), f"{path}: {line}"


def test_allocators_know_nothing_of_who_learns():
    pattern = re.compile(r"^\s*(?:import|from)\s+cobasim\.(world|loop|comparison|config)\b")
    for path in (ROOT / "cobasim" / "allocation").rglob("*.py"):
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
