"""Files of measured pass rates on the command line: read alike by every command that takes one."""

from __future__ import annotations

import csv
import json

import pytest
from command_line import check_one_line
from repository import MEASURED

SMALL = ["--batch-size", 8, "--total-budget", 64, "--steps", 2, "--seeds", 1]
COMMANDS = {
    # command: (before the file, after it)
    "allocate": (["allocate"], ["--total-budget", 96]),
    "compare": (["compare", "--out", "out", *SMALL, "--allocators", "uniform", "--pass-rates"], []),
    "sweep": (
        ["sweep", "--param", "tau=8,9", "--out", "out", *SMALL, "--allocators", "coba",
         "--pass-rates"],
        [],
    ),
    "ring": (
        ["ring", "--out", "out", "--seeds", 2, "--steps", 2, "--no-oracles", "--pass-rates"],
        [],
    ),
}  # fmt: skip
FAULTS = {
    # name: (content, options, what the one line says)
    "no such column": ("id,solve_rate\na,0.5\n", [], "solve_rate"),
    "a decimal comma": ("pass_rate\n0,5\n", [], "--decimal-comma"),
    "a point among decimal commas": (
        "p;n\n0,5;2.000\n", ["--column", "p", "--attempts", "n", "--decimal-comma"],
        "could stand for thousands",
    ),
    "percent unsaid": ("pass_rate\n50\n", [], "--percent"),
    "a field too many": ("id,pass_rate\na,0,5\n", [], "3 fields"),
    "no value": ("pass_rate\n\"\"\n0.5\n", [], "--missing skip"),
    "counts without attempts": ("k\n3\n", ["--passes", "k"], "--attempts COLUMN or --out-of N"),
    "two columns of results": ("k\n3\n", ["--passes", "k", "--column", "k"], "exclude each other"),
    "a score without its prompt": ("s\n1\n", ["--score", "s"], "--group-by"),
    "a sample too large": ("pass_rate\n0.5\n", ["--sample", 3], "--sample 3"),
}  # fmt: skip


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_gives_the_same_line_for_the_same_fault(cobasim, at_home, command, fault):
    content, options, words = FAULTS[fault]
    (at_home / "rates.csv").write_text(content)
    before, after = COMMANDS[command]
    answer = cobasim(*before, "rates.csv", *after, *options)
    check_one_line(*answer)
    assert words in answer.err
    assert not (at_home / "out").exists()
    same = cobasim("allocate", "rates.csv", "--total-budget", 96, *options)
    assert answer.err == same.err


@pytest.mark.parametrize("command", COMMANDS)
def test_what_was_read_is_said(cobasim, at_home, command):
    (at_home / "r.csv").write_text("p,k,n\na,1,8\nb,4,8\nc,,8\n" + "d,8,8\n" * 200)
    before, after = COMMANDS[command]
    options = ["--passes", "k", "--attempts", "n", "--missing", "skip", "--limit", 140]
    after = ["--total-budget", 1400] if command == "allocate" else after
    answer = cobasim(*before, "r.csv", *after, *options)
    assert answer.code == 0, answer.err
    assert "140 of 203 pass rates from r.csv (passes in column k" in answer.err
    assert "8 attempts each; 1 row without a value" in answer.err


def budgets(answer) -> list[int]:
    assert answer.code == 0, answer.err
    return json.loads(answer.out)["budgets"]


def test_the_attempts_of_a_file_make_signal_uneven(cobasim, tmp_path):
    rates = tmp_path / "rates.csv"
    rates.write_text("pass_rate\n" + "\n".join(f"{k / 16!r}" for k in range(17)))
    wanted = ["allocate", rates, "--total-budget", 17 * 8, "--allocator", "signal", "--json"]
    refused = cobasim(*wanted)
    check_one_line(*refused)
    assert "--attempts" in refused.err
    known = budgets(cobasim(*wanted, "--attempts", 16))
    assert sum(known) == 17 * 8
    assert max(known) > min(known)
    assert budgets(cobasim(*wanted, "--out-of", 16)) == known
    with rates.open("w") as file:
        csv.writer(file).writerows([("pass_rate", "rollouts"), *((k / 16, 16) for k in range(17))])
    assert budgets(cobasim(*wanted)) == known  # the column is read without being named


def test_beliefs_start_from_the_counts_unless_told_otherwise(cobasim, at_home):
    common = ["compare", *SMALL, "--allocators", "signal", "--pass-rates", MEASURED, "--json"]
    results = {}
    for name, more in {"default": [], "measured": ["--first-beliefs", "measured"],
                       "unseen": ["--first-beliefs", "unseen"]}.items():  # fmt: skip
        answer = cobasim(*common, "--out", name, *more)
        assert answer.code == 0, answer.err
        rows = json.loads(answer.out)["rows"]
        results[name] = [{**row, "allocate_ms": None} for row in rows]  # all but the timing
    assert results["default"] == results["measured"] != results["unseen"]


def test_counts_cannot_be_asked_of_a_file_without_them(cobasim, at_home):
    (at_home / "rates.csv").write_text("pass_rate\n" + "0.5\n" * 20)
    answer = cobasim("compare", *SMALL, "--pass-rates", "rates.csv", "--out", "out",
                  "--first-beliefs", "measured")  # fmt: skip
    check_one_line(*answer)
    assert "needs a file of pass rates with attempts" in answer.err
    assert not (at_home / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", *SMALL, "--set", "num_prompts=40"],
        ["sweep", *SMALL, "--param", "num_prompts=20,40", "--allocators", "coba"],
    ],
)
def test_the_file_says_how_many_prompts_there_are(cobasim, at_home, arguments):
    (at_home / "rates.csv").write_text("pass_rate\n" + "0.5\n" * 20)
    answer = cobasim(*arguments, "--pass-rates", "rates.csv", "--out", "out")
    check_one_line(*answer)
    assert "leave num_prompts out" in answer.err
    assert not (at_home / "out").exists()


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "allocate"])
def test_runs_are_not_made_of_standard_input(cobasim, at_home, command):
    before, after = COMMANDS[command]
    answer = cobasim(*before, "-", *after, stdin="0.5 0.5")
    check_one_line(*answer)
    assert "give a file, not standard input" in answer.err
    assert not (at_home / "out").exists()


@pytest.mark.parametrize("flag", [["--column", "x"], ["--limit", 3], ["--missing", "skip"]])
def test_how_a_file_is_read_needs_a_file(cobasim, at_home, flag):
    answer = cobasim("compare", *SMALL, "--out", "out", *flag)
    check_one_line(*answer)
    assert f"{flag[0]} says how a file of pass rates is read" in answer.err
    assert not (at_home / "out").exists()


def test_sensitivity_of_settings_that_a_measured_world_lacks(cobasim, at_home):
    world = f"measured:{MEASURED.parent / 'gradients_tiny_lm.npz'}"
    answer = cobasim("sensitivity", "--world", world, "--samples", 2, "--out", "out")
    check_one_line(*answer)
    assert "a measured world has no" in answer.err
    assert not (at_home / "out").exists()
