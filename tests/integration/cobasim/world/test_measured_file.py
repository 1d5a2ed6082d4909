"""Whatever runs in a guessed world runs in a measured one: a sweep, the environment, a fit."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from repository import ROOT

from cobasim.allocation import make_allocator
from cobasim.experiments.calibration import FittedWorld, Problem, RealRuns, distance
from cobasim.gym import ENV_ID
from cobasim.loop import run
from cobasim.records import RunWriter, read_runs
from cobasim.runs import CompareConfig, RunConfig, build_loop, run_all, run_header, settle
from cobasim.scores import summarise
from cobasim.settings import validated
from cobasim.world import WorldConfig, find_world

FILE = ROOT / "examples" / "gradients_tiny_lm.npz"
WORLD = f"measured:{FILE}"
LOOP = {"steps": 8, "batch_size": 16, "total_budget": 64, "eval_every": 1}


def config_of(allocator="uniform", seed=0, loop=LOOP, **world):
    values = {"allocator": allocator, "seed": seed, "loop": loop, "world": {"world": WORLD} | world}
    return validated(RunConfig, values)


def test_a_sweep_holds_what_a_comparison_says(cobasim, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    answer = cobasim(
        "sweep", "--world", WORLD, "--param", "learning_rate=1e-5,1e-3", "--jobs", 1,
        "--seeds", 1, "--steps", 3, "--batch-size", 16, "--total-budget", 64,
        "--allocators", "uniform,coba", "--weighting", "rollout", "--set", "num_prompts=64",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    (table,) = (tmp_path / "out").glob("*.parquet")
    rows = parquet.read_table(table).to_pylist()
    chosen = {"weightings": ("rollout",), "seeds": 1, "steps": 3, "batch_size": 16}
    for rate in (1e-5, 1e-3):
        values = {"world": WORLD, "num_prompts": 64, "learning_rate": rate}
        names = ("uniform", "coba")
        settled = settle("quick", values, allocators=names, total_budget=64, **chosen)
        runs = run_all(validated(CompareConfig, settled), tmp_path / f"{rate}", jobs=1)
        found = {row["allocator"]: row for row in rows if row["learning_rate"] == rate}
        assert {run.header.allocator for run in runs} == set(found)
        for one in runs:
            assert found[one.header.allocator]["final_heldout"] == summarise(one).final_heldout
    assert len({row["final_heldout"] for row in rows}) > 1


def test_equal_preferences_are_the_uniform_run():
    world = {"num_prompts": 64}
    config = {"loop": LOOP, "world": world}
    env = gymnasium.make(ENV_ID, config=config, world=WORLD)
    env.reset(seed=4)
    rewards = [env.step(np.zeros(16, np.float32))[1] for _ in range(8)]
    records = run(build_loop(config_of(seed=4, **world)), make_allocator("uniform"))
    gain = records[-1].evaluation["heldout"] - records[0].evaluation["heldout"]
    assert sum(rewards) == pytest.approx(gain)
    assert gain != 0.0
    start = find_world(WORLD)(WorldConfig(world=WORLD, **world), 4)
    assert records[0].evaluation["heldout"] == pytest.approx(start.evaluate()["heldout"])


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Runs that the world itself made, in folders: its step length is there to be found."""
    folder = tmp_path_factory.mktemp("runs")
    for allocator in ("uniform", "coba"):
        for seed in range(2):
            config = config_of(allocator, seed, learning_rate=3e-4, num_prompts=64)
            records = run(build_loop(config), make_allocator(allocator))
            with RunWriter(folder / f"{allocator}-{seed}", run_header(config)) as writer:
                for record in records:
                    writer.append(record)
    return folder


def test_the_step_length_of_the_runs_is_the_closest(made):
    real = RealRuns.of(read_runs([made]))
    world = FittedWorld(world=WORLD, model="step length", fixed={"num_prompts": 64})
    problem = Problem(real, world, seeds=2)
    losses = {
        rate: distance(problem.evaluate({"learning_rate": rate}), problem.targets())
        for rate in (3e-5, 3e-4, 1e-3)
    }
    assert losses[3e-4] == pytest.approx(0.0, abs=1e-12)
    assert min(losses[3e-5], losses[1e-3]) > 0.0


def test_the_command_fits_it(made, cobasim, tmp_path):
    out = tmp_path / "out"
    answer = cobasim(
        "calibrate", made, "--world", WORLD, "--samples", 2, "--refine", 0, "--seeds", 1,
        "--jobs", 1, "--out", out,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    (fitted,) = json.loads((out / "calibration.json").read_text())["models"]
    assert fitted["name"] == "step length"
    assert 1e-6 <= fitted["settings"]["learning_rate"] <= 1e-3
