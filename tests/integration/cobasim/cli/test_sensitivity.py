"""``cobasim sensitivity``."""

import json

import numpy as np
from typer.testing import CliRunner

from cobasim.cli import app
from cobasim.errors import InputError


def test_the_command_writes_numbers_and_page_and_goes_on(tmp_path):
    out = tmp_path / "out"
    arguments = [
        "sensitivity", "--param", "tau=1:32:log", "--param", "noise=1:40:log", "--samples", "2",
        "--seeds", "1", "--steps", "3", "--batch-size", "8", "--jobs", "1", "--out", str(out),
        "--set", "num_prompts=64", "--set", "num_heldout=50", "--set", "total_budget=64",
    ]  # fmt: skip
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    numbers = json.loads((out / "sensitivity.json").read_text())
    for weighting in ("rollout", "prompt"):
        rows = numbers["indices"][weighting]["coba"]["minus_uniform"]
        assert {row["name"] for row in rows} == {"tau", "noise"}
        assert all(np.isfinite(row["total"]) for row in rows)
    assert "plotly" in (out / "sensitivity.html").read_text()
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 0, again.output
    assert json.loads((out / "sensitivity.json").read_text())["indices"] == numbers["indices"]
    other = CliRunner().invoke(app, [*arguments, "--sample-seed", "1"])
    assert isinstance(other.exception, InputError)
    assert "holds another plan (plan.json differs)" in str(other.exception)
    assert json.loads((out / "sensitivity.json").read_text())["seed"] == 0
