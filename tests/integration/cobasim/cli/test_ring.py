"""``cobasim ring``."""

from __future__ import annotations

import json

import pytest
from command_line import check_one_line
from measured_files import made
from small_rings import TINY

from cobasim.experiments import ring
from cobasim.gradients import write_measured


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
        (["--world", "skill-chain"], "measured:FILE"),
        (["--world", "measured:none.npz"], "no such file of measured gradients"),
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


def test_a_measured_world_names_what_it_leaves_out_and_ranks_the_rest(tmp_path, cobasim):
    write_measured(made(), tmp_path / "g.npz")
    out, world = tmp_path / "out", f"measured:{tmp_path}/g.npz"
    answer = cobasim(
        "ring", "--world", world, "--allocators", "uniform,greso", "--seeds", 2, "--steps", 4,
        "--set", "batch_size=8", "--set", "total_budget=64", "--no-oracles", "--preset", "full",
        "--jobs", 1, "--out", out,
    )  # fmt: skip
    assert answer.code == 0, answer.err
    assert "left out: conditions that vary population, pass_rates, prompt_noise" in answer.err
    assert "left out: tau 1: none of the allocators has it" in answer.err
    result = json.loads((out / ring.NUMBERS).read_text())
    assert {row["world"] for row in result["conditions"]} == {world}
    assert result["conditions"][0]["label"] == "as measured"
    page = (out / ring.REPORT).read_text()
    for text in ("as measured", "learning rate 0.003", "it has no population", "dr-grpo"):
        assert text in page.replace("It has", "it has")
