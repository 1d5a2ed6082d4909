"""What an import loads: `cobasim` is light, and what is slow or heavy waits until it is used.

Each test imports in a fresh process. Which room may import which is a contract in pyproject.toml
that `lint-imports` checks; here it is what comes along from outside.
"""

from __future__ import annotations

import json
import pkgutil
import sys

import pytest
from children import printed
from repository import ROOT

import cobasim

# What an entry loads, and what that may load in turn (it depends on versions).
LIGHT = {"cobasim", "numpy"}
OF_NUMPY = {"charset_normalizer", "cython_runtime"}
OF_TYPER = {
    "annotated_doc", "click", "markdown_it", "mdurl", "pygments", "shellingham",
    "typing_extensions",
}  # fmt: skip
LOADS = {
    "cobasim": (LIGHT, OF_NUMPY),
    "cobasim.allocation": (LIGHT, OF_NUMPY),
    "cobasim.budgets": (LIGHT, OF_NUMPY),
    "cobasim.cli": (LIGHT | {"rich", "typer"}, OF_NUMPY | OF_TYPER),
}

HEAVY = {
    "SALib", "datasets", "ray", "stable_baselines3", "streamlit", "torch", "transformers", "vllm",
}  # fmt: skip


def loaded(*modules: str) -> set[str]:
    """The modules in memory after an import, but for those of the interpreter's own start."""
    code = "import importlib, json, sys; before = set(sys.modules)\n"
    code += f"for name in {modules!r}: importlib.import_module(name)\n"
    return set(json.loads(printed(code + "print(json.dumps(sorted(set(sys.modules) - before)))")))


def foreign(modules: set[str]) -> set[str]:
    """Top-level packages that do not belong to Python; private ones belong to a public one."""
    tops = {name.partition(".")[0] for name in modules}
    return {name for name in tops - sys.stdlib_module_names if not name.startswith("_")}


@pytest.mark.parametrize("entry", LOADS)
def test_an_entry_loads_nothing_but_what_is_listed_here(entry):
    listed, in_turn = LOADS[entry]
    assert foreign(loaded(entry)) - in_turn == listed


def test_a_ledger_with_signal_needs_numpy_alone():
    """Asked, told, stored and restored, still: nothing is put off until then."""
    steps = """
import json, sys
from cobasim.budgets import BudgetLedger
ledger = BudgetLedger(64)
for _ in range(3):
    budgets = ledger.ask(range(8))
    ledger.tell(range(8), budgets, budgets // 2)
BudgetLedger(64).load_state_dict(ledger.state_dict())
print(json.dumps(sorted(sys.modules)))
"""
    assert foreign(set(json.loads(printed(steps)))) - OF_NUMPY == LIGHT


def test_no_room_of_cobasim_loads_anything_heavy():
    rooms = [
        module.name
        for module in pkgutil.walk_packages(cobasim.__path__, "cobasim.")
        if not module.name.endswith("__main__")  # which runs the command line
    ]
    assert len(rooms) > 100
    modules = loaded(*rooms)
    assert set(rooms) <= modules
    assert not HEAVY & foreign(modules)


@pytest.mark.parametrize("room", ["allocation", "cli", "scores", "figures", "report"])
def test_an_import_does_not_wait_for_scipy_stats(room):
    """It doubles the time of the import."""
    assert "scipy.stats" not in loaded(f"cobasim.{room}")


def test_the_check_of_allocators_needs_no_test_framework():
    assert not {"hypothesis", "pytest", "pydantic"} & foreign(loaded("cobasim.testing"))


def test_importing_the_tasks_imports_no_reader_and_no_verifier():
    heavy = {"pyarrow", "datasets", "yaml", "math_verify", "reasoning_gym", "sympy", "torch"}
    assert not heavy & foreign(loaded("cobatrain.tasks"))


def test_importing_the_engines_does_not_import_vllm():
    pytest.importorskip("torch", reason="torch is not installed")
    assert "vllm" not in loaded("cobatrain.engines")


@pytest.mark.parametrize("package", ["cobasim", "cobatrain"])
def test_streamlit_is_imported_by_the_app_alone(package):
    for file in (ROOT / package).rglob("*.py"):
        assert "import streamlit" not in file.read_text(), file
