"""``cobasim allocate`` and ``cobasim allocators``: what they print."""

import json

import numpy as np
import pytest
from command_line import RATES

from cobasim.allocation import ALLOCATORS, Observation, allocate, make_allocator, one_shot


@pytest.mark.parametrize("name", sorted(one_shot()))
def test_json_is_the_public_call(name, rates_file, cobasim):
    code, out, err = cobasim(
        "allocate", rates_file, "--total-budget", 128, "--allocator", name, "--attempts", 20,
        "--json",
    )  # fmt: skip
    assert code == 0
    assert err == (
        f"8 pass rates from {rates_file} (numbers without a name; 20 attempts each), mean 0.469\n"
    )
    printed = json.loads(out)
    assert list(printed) == ["budgets", "alpha", "beta", "total"]
    assert printed["budgets"] == allocate(RATES, 128, allocator=name, attempts=20).tolist()
    assert printed["total"] == 128
    p = np.array(RATES)
    obs = Observation(p, np.full_like(p, 20.0), failure_rate=1 - float(p.mean()))
    shape = make_allocator(name).shape(obs)
    assert (printed["alpha"], printed["beta"]) == ((None, None) if shape is None else shape)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"low": 1, "high": 60}, {}),
        ({"failure_rate": 0.9}, {}),
        ({"failure_rate": 0.0}, {}),
        ({"kappa": 15, "tau": 2.5, "gamma": 4}, {}),
        ({"alpha": 3.5}, {}),
        ({"solver": "heap"}, {}),
        ({"solver": "dp", "tau": 1}, {}),
        ({"allocator": "fixed", "alpha": 2, "beta": 5}, {}),
        ({"allocator": "linear-decay", "progress": 0.75}, {}),
        ({"allocator": "coba-released", "tau": 4}, {}),
        ({"allocator": "knapsack", "solver": "heap"}, {}),
    ],
)
def test_options_reach_the_allocator(options, parameters, rates_file, cobasim):
    flags = [x for name, value in options.items() for x in (f"--{name.replace('_', '-')}", value)]
    code, out, _ = cobasim("allocate", rates_file, "--total-budget", 100, *flags, "--json")
    assert code == 0
    assert json.loads(out)["budgets"] == allocate(RATES, 100, **options, **parameters).tolist()


def test_a_held_alpha_is_printed(rates_file, cobasim):
    code, out, _ = cobasim(
        "allocate", rates_file, "--total-budget", 64, "--alpha", 4, "--kappa", 9, "--json"
    )
    assert code == 0
    assert (json.loads(out)["alpha"], json.loads(out)["beta"]) == (4.0, 5.0)


def test_the_paper_by_the_command_line(rates_file, cobasim):
    for rate, alpha in ((0.6957, 7.26), (0.455, 4.50), (0.342, 2.54)):
        _, out, _ = cobasim(
            "allocate", rates_file, "--total-budget", 64, "--failure-rate", rate, "--json"
        )
        assert json.loads(out)["alpha"] == pytest.approx(alpha, abs=0.005)


@pytest.mark.parametrize("stdin", [json.dumps(RATES), "pass_rate\n" + "\n".join(map(str, RATES)),
                                   " ".join(map(str, RATES))])  # fmt: skip
def test_standard_input(stdin, cobasim):
    code, out, err = cobasim("allocate", "-", "--total-budget", 128, "--json", stdin=stdin)
    assert code == 0
    assert err.startswith("8 pass rates from standard input (")
    assert json.loads(out)["budgets"] == allocate(RATES, 128).tolist()


def test_the_table_adds_up(rates_file, cobasim, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = cobasim("allocate", rates_file, "--total-budget", 130)
    assert code == 0
    assert err.count("\n") == 1
    rows = [line.strip("│ ").split("│") for line in out.splitlines() if line.startswith("│")]
    assert sum(int(row[1]) for row in rows) == len(RATES)
    assert sum(int(row[2]) for row in rows) == 130
    assert "Beta(" in out


def test_budgets_are_written_beside_their_prompts(tmp_path, cobasim):
    source, target = tmp_path / "rates.csv", tmp_path / "budgets.csv"
    source.write_text('id,p,n\n"a, b",0.5,8\nx,,0\nc,0.25,4\n')
    command = ["allocate", source, "--column", "p", "--attempts", "n", "--total-budget", 48]
    command += ["--prompt", "id", "--missing", "unseen", "--out", target]
    answer = cobasim(*command)
    assert answer.code == 0
    budgets = json.loads(cobasim(*command[:-2], "--json").out)["budgets"]
    assert target.read_text() == (
        "row,prompt,pass_rate,attempts,budget\n"
        f'0,"a, b",0.5,8,{budgets[0]}\n1,x,,0,{budgets[1]}\n2,c,0.25,4,{budgets[2]}\n'
    )
    assert "not measured" in answer.out
    again = cobasim(*command)
    assert (again.code, again.out) == (2, "")
    assert "exists; choose another --out" in again.err


def test_allocators_lists_everything(cobasim):
    code, out, err = cobasim("allocators", "--json")
    assert (code, err) == (0, "")
    rows = {row["name"]: row for row in json.loads(out)}
    assert list(rows) == list(ALLOCATORS)
    for row in rows.values():
        assert row["summary"]
        assert row["source"]
        for described in row["parameters"]:
            assert {"name", "default", "doc"} <= set(described)
    kappa = next(p for p in rows["coba"]["parameters"] if p["name"] == "kappa")
    assert (kappa["default"], kappa["above"]) == (11.0, 2)
    tau = next(p for p in rows["coba"]["parameters"] if p["name"] == "tau")
    assert (tau["default"], tau["above"]) == (8.0, 0)


def test_allocators_as_a_table(cobasim, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = cobasim("allocators")
    assert (code, err) == (0, "")
    for name in ALLOCATORS:
        assert name in out
    assert "kappa = 11.0" in out
    assert "(> 2)" in out
    assert "oracle-" in out
