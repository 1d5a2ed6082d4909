"""Comparisons of real runs."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import command, wait_for

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain.comparison import Plan, RunFailed, claim, read_runs, run_all, run_directory, score
from cobatrain.parallel import checkpoints


def test_comparison_runs_uniform_once_and_goes_on_where_it_was(config, tmp_path):
    plan = Plan(config("loop.steps=3", "loop.eval_every=3"), ("uniform", "coba"),
                ("rollout", "prompt"), (0, 1))  # fmt: skip
    assert len(list(plan.runs())) == 6
    out = tmp_path / "compare"
    claim(plan, out)
    run_all(plan, out, jobs=2)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("steps.jsonl")}
    assert len(before) == 6
    claim(plan, out)  # the same plan may go on
    run_all(plan, out, jobs=2)
    assert before == {path: path.stat().st_mtime_ns for path in out.rglob("steps.jsonl")}
    rows, verdicts = score(plan, out, command="test")
    assert {(row.weighting, row.allocator) for row in rows} == {
        (weighting, name) for weighting in ("rollout", "prompt") for name in ("uniform", "coba")
    }
    assert len(read_runs(plan, out)) == 8
    assert set(verdicts) == {"rollout", "prompt"}
    assert (out / "report.html").exists()
    other = Plan(plan.config, ("uniform", "knapsack"), plan.weightings, plan.seeds)
    with pytest.raises(InputError, match="another comparison"):
        claim(other, out)


@pytest.mark.parametrize("before", [signal.SIG_DFL, signal.SIG_IGN], ids=lambda how: how.name)
def test_ctrl_c_in_a_comparison_begins_no_further_run(config, tmp_path, model, before):
    """Also if the process was started with SIGINT ignored, as a script's background jobs are."""
    import yaml

    path = tmp_path / "plan.yaml"
    chosen = config("loop.steps=400", "loop.eval_every=400")
    path.write_text(yaml.safe_dump(chosen.model_dump(mode="json")))
    out = tmp_path / "out"
    process = subprocess.Popen(
        command("compare", str(path), "--seeds", "4", "--jobs", "1", "--out", str(out)),
        stderr=subprocess.PIPE, text=True, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, before),
    )  # fmt: skip
    first = out / "rollout" / "uniform" / "seed-000"
    try:
        wait_for(first / "steps.jsonl", 4, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert [found.parent for found in out.rglob("steps.jsonl")] == [first]
    done = read_run(first).steps[-1].step
    assert done < 400
    assert checkpoints(first)[-1].name == f"step-{done:06d}"


def test_a_failed_run_of_a_comparison_is_named_and_the_others_are_kept(config, tmp_path, model):
    plan = Plan(config("loop.steps=2"), ("uniform", "coba"), ("rollout",), (0,))
    out = tmp_path / "compare"
    claim(plan, out)
    broken = run_directory(out, "rollout", "coba", 0)
    broken.mkdir(parents=True)
    (broken / "header.json").write_text("{")
    with pytest.raises(RunFailed, match="coba") as stop:
        run_all(plan, out)
    assert str(stop.value).count("\n") == 0
    assert read_run(run_directory(out, "rollout", "uniform", 0)).steps[-1].step == 2
