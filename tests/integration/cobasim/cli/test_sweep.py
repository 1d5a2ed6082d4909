"""``cobasim sweep``: plans in files, dry runs, bad input."""

from __future__ import annotations

import pytest
from command_line import check_one_line

from cobasim import runs as sweeps


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing to sweep"),
        (["--param", "kapa=7,11"], "did you mean 'kappa'"),
        (["--param", "kappa=7,1"], "kappa must be above 2"),
        (["--param", "total_budget=8192,1"], "total"),
        (["--param", "kappa=7,11", "--method", "sobl"], "unknown method"),
        (["--param", "kappa=7,11", "--param", "kappa=2"], "swept twice"),
        (["--param", "kappa=3:30:1000", "--param", "noise=0:9:10"], "--yes"),
        (["--param", "kappa=7", "--backend", "slurm"], "backend"),
        (["--param", "kappa=7", "--allocators", "cobra"], "coba"),
        (["--file", "none.yaml"], "none.yaml"),
    ],
)
def test_bad_plans_are_one_line(tmp_path, cobasim, arguments, words):
    out = tmp_path / "out"
    answer = cobasim("sweep", *arguments, "--out", out)
    check_one_line(*answer)
    assert words in answer.err
    assert not out.exists()


def test_a_plan_in_yaml_and_a_dry_run(tmp_path, cobasim):
    file = tmp_path / "plan.yaml"
    file.write_text('param: {kappa: [7, 11], tau: "1:64:log:3"}\nset: {num_prompts: 700}\n')
    texts, held = sweeps.read_plan(file)
    assert texts == ["kappa=7,11", "tau=1:64:log:3"]
    assert held == {"num_prompts": 700}
    out = tmp_path / "out"
    answer = cobasim(
        "sweep", "--file", file, "--dry-run", "--seeds", 2, "--steps", 5, "--batch-size", 32,
        "--total-budget", 256, "--out", out,
    )  # fmt: skip
    assert answer.code == 0
    assert "6 points, 216 runs" in answer.out
    assert not out.exists()
