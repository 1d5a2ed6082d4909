"""``cobasim ring``."""

from __future__ import annotations

import json

import pytest
from command_line import check_one_line
from small_rings import TINY

from cobasim.experiments import ring


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "fast"], "preset"),
        (["--allocators", "coba,knapsack"], "must include uniform"),
        (["--allocators", "uniform"], "at least two"),
        (["--allocators", "uniform,cobra"], "coba"),
        (["--allocators", "uniform,oracle-coba"], "leave it out"),
        (["--seeds", "1"], "at least 2 seeds"),
        (["--pass-rates", "none.csv"], "none.csv"),
        (["--set", "nois=3"], "did you mean 'noise'"),
        (["--seeds", "9000"], "--yes"),
    ],
)
def test_bad_rings_are_one_line(tmp_path, cobasim, arguments, words):
    out = tmp_path / "out"
    answer = cobasim("ring", *arguments, "--out", out)
    check_one_line(*answer)
    assert words in answer.err
    assert not out.exists()


def test_the_command_says_what_the_numbers_say(tmp_path, cobasim):
    out = tmp_path / "out"
    held = [word for name, value in TINY.items() for word in ("--set", f"{name}={value}")]
    answer = cobasim(
        "ring", "--allocators", "uniform,coba", "--seeds", 2, "--steps", 2, *held,
        "--jobs", 1, "--out", out,
    )  # fmt: skip
    assert answer.code == 0
    result = json.loads((out / ring.NUMBERS).read_text())
    assert f"{result['leagues']['both']['rows'][0]['mean_rank']:.2f}" in answer.out
    assert "Benjamini-Hochberg" in answer.out
