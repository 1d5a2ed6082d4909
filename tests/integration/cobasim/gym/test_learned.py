"""The learned allocator in comparisons, in the trainer and on the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest
from children import printed
from repository import ROOT

from cobasim.allocation import make_allocator
from cobasim.errors import InputError
from cobasim.gym import learn
from cobasim.runs import RunConfig


def test_it_is_used_by_name_with_its_own_estimator(learned_file):
    config = RunConfig(allocator=f"learned:{learned_file}")
    assert config.estimator == "posterior"
    assert RunConfig(allocator=f"oracle-learned:{learned_file}").estimator == "truth"
    with pytest.raises(InputError, match="takes no parameters"):
        make_allocator(f"learned:{learned_file}", kappa=3)


def test_it_takes_part_in_a_comparison_in_other_processes(learned_file):
    command = [sys.executable, "-m", "cobasim", "compare", "--seeds", "2", "--steps", "6"]
    command += ["--set", "num_prompts=64", "--set", "num_heldout=32", "--batch-size", "16"]
    command += ["--total-budget", "256", "--jobs", "2", "--out", "out", "--weighting", "prompt"]
    command += ["--allocators", "uniform,learned:policy.json,oracle-learned:policy.json"]
    done = subprocess.run(
        command, cwd=learned_file.parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (learned_file.parent / "out" / "prompt").iterdir()) == [
        "learned%3Apolicy.json", "oracle-learned%3Apolicy.json", "uniform",
    ]  # fmt: skip


def test_the_trainer_takes_it(learned_file):
    pytest.importorskip("torch", reason="torch is not installed")
    from cobatrain.config import load_config

    tiny = str(ROOT / "cobatrain" / "configs" / "tiny.yaml")
    assert load_config(tiny, [], allocator=f"learned:{learned_file}").estimator == "posterior"
    with pytest.raises(InputError, match="No such file"):
        load_config(tiny, [], allocator="learned:nowhere.json")


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, cobasim, tmp_path):
    monkeypatch.setattr(learn, "find_spec", lambda name: None)
    answer = cobasim("learn", "--out", tmp_path / "a.json")
    assert answer.code == 2
    assert "coba-testbed[learn]" in answer.err
    assert not (tmp_path / "a.json").exists()


def test_neither_a_file_nor_the_command_line_needs_torch(learned_file):
    code = (
        "import sys, cobasim.cli, cobasim.gym; "
        "from cobasim.allocation import make_allocator; "
        f"make_allocator('learned:{learned_file}'); "
        "print([n for n in ('torch', 'stable_baselines3') if n in sys.modules])"
    )
    assert printed(code) == "[]\n"


def test_the_environment_is_made_by_the_name_of_its_room_and_loads_nothing_heavy():
    code = (
        "import sys, gymnasium; env = gymnasium.make('cobasim.gym:cobasim/RolloutBudget-v0'); "
        "print(env.reset(seed=0)[0]['pass_rate'].shape, "
        "[n for n in ('torch', 'stable_baselines3', 'streamlit') if n in sys.modules])"
    )
    assert printed(code) == "(64,) []\n"
