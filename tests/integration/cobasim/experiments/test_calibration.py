"""Calibration: settings that made runs are found again, and what cannot be used is refused."""

import gzip
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from cobasim.allocation import make_allocator
from cobasim.cli import app
from cobasim.data import RateOptions
from cobasim.errors import InputError
from cobasim.experiments.calibration import (
    BOX,
    KNOBS,
    MODELS,
    FittedWorld,
    Problem,
    RealRuns,
    Search,
    calibrate,
    distance,
    ready_command,
    sentence,
)
from cobasim.loop import run
from cobasim.records import Run, read_runs
from cobasim.runs import Parameter, RunConfig, build_loop, run_header
from cobasim.settings import validated

LOOP = {"steps": 16, "batch_size": 16, "total_budget": 128, "eval_every": 4}
WORLD = {"num_prompts": 64, "num_heldout": 200}
TRUE = {"learning_rate": 0.03, "transfer": 0.5, "noise": 5.0, "forgetting": 0.05}


def made(allocator="uniform", weighting="rollout", seed=0, world=None, **loop):
    world = WORLD | TRUE | {"weighting": weighting} | (world or {})
    config = validated(
        RunConfig, {"allocator": allocator, "seed": seed, "loop": LOOP | loop, "world": world}
    )
    records = run(build_loop(config), make_allocator(allocator))
    return Run(run_header(config), tuple(records), Path())


@pytest.fixture(scope="module")
def runs():
    return [
        made(allocator, weighting, seed)
        for allocator, weighting in [
            ("uniform", "rollout"), ("coba", "rollout"), ("coba", "prompt"),
        ]
        for seed in range(3)
    ]  # fmt: skip


def archive(runs, path):
    with gzip.open(path, "wt") as file:
        for one in runs:
            content = {
                "header": json.loads(one.header.to_json()),
                "steps": [json.loads(json.dumps(asdict(step))) for step in one.steps],
            }
            file.write(json.dumps(content) + "\n")


def loss(problem, **changed):
    """The distance of the settings that made the runs, but for some, to the targets."""
    return distance(problem.evaluate(TRUE | changed), problem.targets())


def test_the_settings_that_made_the_runs_are_closer_than_others(runs):
    problem = Problem(RealRuns.of(runs), FittedWorld(fixed=WORLD), seeds=3)
    assert problem.with_norms
    assert loss(problem) == pytest.approx(0.0, abs=1e-12)
    assert loss(problem, learning_rate=0.003) > 1.0
    assert loss(problem, prompt_noise=100.0) > loss(problem, prompt_noise=1.0) > 0.0


@pytest.mark.parametrize("model", MODELS)
def test_a_fit_stays_in_the_box_and_does_not_depend_on_jobs(runs, model):
    real = RealRuns.of(runs)

    problem = Problem(real, FittedWorld(model=model, fixed=WORLD), seeds=1)
    how = Search(samples=4, refine=3, bootstrap=8)

    def fit(jobs):
        return calibrate(problem, how, predict_seeds=2, jobs=jobs)

    one = fit(1)
    box = [Parameter.parse(text) for text in BOX["logistic"] + tuple(map(KNOBS.get, MODELS[model]))]
    assert set(one.intervals) == {parameter.name for parameter in box}
    for parameter in box:
        assert parameter.low <= one.settings[parameter.name] <= parameter.high
        low, high = one.intervals[parameter.name]
        assert parameter.low <= low <= high <= parameter.high
    assert one.loss >= 0.0
    assert [(p.allocator, p.weighting) for p in one.predictions] == real.others
    for prediction in one.predictions:
        assert prediction.low <= prediction.predicted <= prediction.high
    assert -1.0 <= one.tau <= 1.0
    assert fit(2).to_json() == one.to_json()
    assert "Loss" in sentence(one)
    assert "--set learning_rate=" in ready_command(one, real.loop, None, RateOptions())


def test_uniform_runs_at_other_learning_rates_join_the_targets(runs):
    faster = [made(seed=seed, world={"learning_rate": 0.09}) for seed in range(3)]
    real, plain = RealRuns.of([*runs, *faster]), RealRuns.of(runs)
    assert list(real.rates) == [pytest.approx(3.0)]
    assert real.targets(True).shape[1] == plain.targets(True).shape[1] + 12
    problem = Problem(real, FittedWorld(fixed=WORLD), seeds=3)
    assert loss(problem) == pytest.approx(0.0, abs=1e-12)
    assert loss(problem, harm=30.0) > 0.0
    with pytest.raises(InputError, match="only uniform runs may differ"):
        RealRuns.of([*runs, made("coba", seed=9, world={"learning_rate": 0.09})])


def test_refinement_never_ends_above_the_sample(runs):
    world = FittedWorld(model="as it was", fixed=WORLD)
    problem = Problem(RealRuns.of(runs[:3]), world, seeds=1)
    losses = [
        calibrate(
            problem, Search(samples=4, refine=refine, bootstrap=2), predict_seeds=1, jobs=1
        ).loss
        for refine in (0, 8)
    ]
    assert losses[1] <= losses[0]


def test_folders_and_archives_hold_the_same(runs, tmp_path):
    archive(runs, tmp_path / "runs.jsonl.gz")
    again = RealRuns.of(read_runs([tmp_path / "runs.jsonl.gz"]))
    direct = RealRuns.of(runs)
    np.testing.assert_allclose(again.targets(True), direct.targets(True))


def test_what_cannot_be_calibrated_on_is_named(runs, tmp_path):
    with pytest.raises(InputError, match="no uniform run"):
        RealRuns.of([one for one in runs if one.header.allocator != "uniform"])
    with pytest.raises(InputError, match="at least two seeds"):
        RealRuns.of(runs[:1])
    with pytest.raises(InputError, match="2 different loops"):
        RealRuns.of([*runs, made(steps=8)])
    with pytest.raises(InputError, match="not finished"):
        RealRuns.of([*runs[:3], replace(runs[3], steps=runs[3].steps[:5])])
    with pytest.raises(InputError, match="1 of 4 parts of its 3 steps have no failure rate"):
        RealRuns.of([made(seed=seed, steps=3) for seed in range(2)])
    (tmp_path / "changed").mkdir()
    (tmp_path / "changed" / "changes.json").write_text("[]")
    with pytest.raises(InputError, match=r"changed on the way \(changes\.json\)"):
        RealRuns.of([*runs[:3], replace(runs[3], path=tmp_path / "changed")])
    with pytest.raises(InputError, match=r"expected a folder of runs"):
        read_runs([tmp_path / "nothing"])
    with pytest.raises(InputError, match="no runs found"):
        read_runs([tmp_path])
    (tmp_path / "broken.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(InputError, match="cannot be read"):
        read_runs([tmp_path / "broken.jsonl.gz"])
    with pytest.raises(InputError, match="did you mean 'with forgetting'"):
        FittedWorld(model="with forgettin")


def test_the_command(runs, tmp_path):
    archive(runs, tmp_path / "runs.jsonl.gz")
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app,
        ["calibrate", str(tmp_path / "runs.jsonl.gz"), "--model", "as it was", "--samples", "2",
         "--refine", "0", "--seeds", "1", "--jobs", "1", "--out", str(out)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    numbers = json.loads((out / "calibration.json").read_text())
    assert numbers["models"][0]["name"] == "as it was"
    assert numbers["versions"]
    assert "plotly" in (out / "calibration.html").read_text()
