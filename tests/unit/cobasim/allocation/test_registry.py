"""Allocators by name, and the parameters that they take."""

import json
import math

import numpy as np
import pytest
from batches import observe

from cobasim.allocation import (
    ALLOCATORS,
    PEERS,
    Allocator,
    describe_allocators,
    make_allocator,
    one_shot,
)
from cobasim.errors import InputError

NAMES = sorted(one_shot())


def test_the_registry():
    own = {"uniform", "knapsack", "fixed-exploit", "fixed-explore", "fixed", "linear-decay",
           "coba", "coba-explore-first", "coba-released", "coba-variance", "coba-mixed",
           "coba-update", "signal", "signal-skip", "signal-parts"}  # fmt: skip
    assert own == set(ALLOCATORS) - set(PEERS)
    rows = describe_allocators()
    assert [row["name"] for row in rows] == list(ALLOCATORS)
    json.dumps(rows)
    for row in rows:
        assert row["summary"]
        assert "\n" not in row["summary"]
        assert row["source"]
        for described in row["parameters"]:
            assert described["doc"]
            bounds = {"above", "at_least", "at_most", "choices"} & set(described)
            assert bounds, described
        built = make_allocator(row["name"])
        assert isinstance(built, Allocator)
        for described in row["parameters"]:
            assert getattr(built, described["name"]) == described["default"]


@pytest.mark.parametrize("kind", ["nan", "inf", "-inf", "below", "text", "bool", "none", "list"])
@pytest.mark.parametrize("name", NAMES)
def test_every_parameter_of_every_allocator_is_validated(name, kind):
    for row in describe_allocators():
        if row["name"] != name:
            continue
        for described in row["parameters"]:
            wrong = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf, "text": "8",
                     "bool": True, "none": None, "list": [8.0]}.get(kind)  # fmt: skip
            if kind == "below":
                if "choices" in described:
                    continue
                lowest = described.get("above", described.get("at_least", 0) - 1e-9)
                wrong = lowest
            if kind == "none" and described["default"] is None:
                make_allocator(name, **{described["name"]: None})
                continue
            with pytest.raises(InputError, match=described["name"]):
                make_allocator(name, **{described["name"]: wrong})


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("coba", {"tau": 0}, "tau must be above 0, got 0"),
        ("coba", {"tau": -1.0}, "tau must be above 0"),
        ("coba", {"kappa": 2}, "kappa must be above 2, got 2"),
        ("coba", {"kappa": 1.5}, "kappa must be above 2"),
        ("coba", {"alpha": 11.0}, "alpha must be below kappa"),
        ("coba", {"alpha": 12.0, "kappa": 11}, "alpha must be below kappa"),
        ("coba", {"alpha_max": 11.0}, "alpha_max must be below kappa"),
        ("coba", {"alpha_min": 5.0, "alpha_max": 4.0}, "alpha_min .* above alpha_max"),
        ("coba", {"gamma": 0.0}, "gamma"),
        ("fixed", {"alpha": 0.0}, "alpha"),
        ("fixed", {"beta": -1.0}, "beta"),
        ("linear-decay", {"steps": 0}, "steps"),
        ("linear-decay", {"steps": 2.5}, "steps"),
        ("coba", {"kapa": 9}, "did you mean 'kappa'"),
        ("fixed", {"alfa": 9}, "did you mean 'alpha'"),
        ("uniform", {"tau": 9}, "takes no parameters"),
        ("coba", {"solver": "heep"}, "did you mean 'heap'"),
        ("cobaa", {}, "did you mean 'coba'"),
        ("knapsak", {}, "did you mean 'knapsack'"),
        ("Uniform", {}, "did you mean 'uniform'"),
        ("CoBA", {}, "did you mean 'coba'"),
        ("fixed_explore", {}, "did you mean 'fixed-explore'"),
        ("zzzz", {}, "known: cero, "),
        ("cobasim.allocation:Allocator", {}, "Allocator"),
        ("cobasim.allocation:solve", {}, "not a subclass"),
        ("cobasim.allocation:Nothing", {}, "cannot import"),
        ("no.such.module:X", {}, "cannot import"),
        (".relative:X", {}, "cannot import"),
        (":X", {}, "cannot import"),
    ],
)
def test_what_cannot_be_built(name, parameters, message):
    with pytest.raises(InputError, match=message):
        make_allocator(name, **parameters)


def test_an_allocator_module_that_does_not_even_compile(tmp_path, monkeypatch):
    (tmp_path / "broken_allocator.py").write_text("def oops(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="broken_allocator"):
        make_allocator("broken_allocator:Mine")


@pytest.mark.filterwarnings("error")
def test_parameters_may_be_any_number():
    for given_ in (9, 9.0, np.float32(9), np.int64(9)):
        assert make_allocator("coba", kappa=given_).shape(observe([0.5], failure_rate=1.0)) == (
            8,
            1,
        )
