"""Allocators, worlds and learners of the docs take part."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from documents import SMALL, block, run
from repository import ROOT


@pytest.mark.parametrize(
    ("file", "marker", "name"),
    [
        ("docs/add-allocator.md", "<!-- example: my_allocator.py -->", "my_allocator:Neyman"),
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


def test_an_allocator_of_the_docs_keeps_the_contract(half):
    assert "1 passed" in run(half, sys.executable, "-m", "pytest", "-q", "test_half.py")


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
