"""``cobatrain plan``: the table and the JSON say the same, bad input is one line."""

from __future__ import annotations

import json
import re

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from command_line import caller, check_one_line

from cobatrain.cli import main
from cobatrain.planning import GIB, PARTS


@pytest.fixture
def call(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    return caller("cobatrain", main, monkeypatch, capsys)


def test_the_table_shows_what_json_says(call):
    arguments = ["plan", "qwen3-1.7b", "--gpus", "8", "--set", "update.kl_coef=0.1"]
    shown, said = call(*arguments), call(*arguments, "--json")
    assert (shown.code, said.code) == (0, 0)
    values = json.loads(said.out)
    assert shown.out.startswith(values["verdict"])
    assert values["advice"] is None
    for name in (*PARTS, "all"):
        expected = [
            one["bytes"] if name == "all" else one["parts"].get(name, 0)
            for one in values["moments"]
        ]
        found = re.search(rf"^ *{name} +([-\d. ]+)$", shown.out, re.MULTILINE)
        assert found, name
        cells = [0.0 if cell == "-" else float(cell) for cell in found[1].split()]
        assert cells == [round(value / GIB, 2) for value in expected]


def test_a_no_names_the_first_change(call):
    answer = call("plan", "qwen2.5-7b", "--gpus", "8", "--set", "parallel=replicate")
    assert answer.code == 1
    assert answer.err == ""
    assert re.match(r"does not fit: .* of 80 GiB .*; first: set parallel=shard ", answer.out)
    as_json = call("plan", "qwen2.5-7b", "--gpus", "8", "--set", "parallel=replicate", "--json")
    assert as_json.code == 1
    values = json.loads(as_json.out)
    assert not values["fits"]
    assert values["advice"] == ["parallel=shard"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("qwen3-1.7b", "--gpus", "0"),
        ("qwen3-1.7b", "--gpus", "8", "--set", "engine.tensor_parallel_size=2"),
        ("qwen3-1.7b", "--gpu-gib", "-80"),
        ("qwen4",),
        ("qwen3-1.7b", "--set", "model.path=models/Nobody-9B"),
        ("qwen3-1.7b", "--efficiency", "0"),
        ("qwen3-1.7b", "--response-tokens", "100000"),
    ],
)
def test_bad_input_is_one_line(call, arguments):
    check_one_line(*call("plan", *arguments))
