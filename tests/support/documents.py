"""Code blocks of the README and the docs, and how they are run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from types import ModuleType

from repository import ROOT

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


def script(path: Path) -> ModuleType:
    """A script of the docs as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_half(folder: Path) -> Path:
    """Write the allocator, its test and the world of the docs to a folder."""
    (folder / "half.py").write_text(block("docs/add-allocator.md", "```python\n# half.py"))
    (folder / "rasch.py").write_text(block("docs/add-world.md", "```python\n# rasch.py"))
    test = block("docs/add-allocator.md", "```python\n# test_half.py")
    (folder / "test_half.py").write_text(test)
    return folder
