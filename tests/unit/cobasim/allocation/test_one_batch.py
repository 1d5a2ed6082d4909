"""``allocate``: the budgets of one batch, from pass rates alone."""

import math
import sys

import numpy as np
import pytest
from batches import observe

import cobasim
from cobasim.allocation import (
    ALLOCATORS,
    SOLVERS,
    CobaValue,
    Limits,
    allocate,
    make_allocator,
    one_shot,
    solve,
)
from cobasim.errors import InputError

NAMES = sorted(one_shot())
RATES = [0.05, 0.2, 0.21, 0.5, 0.77, 0.93, 0.0, 1.0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("failure_rate", [None, 0.2, 0.9])
def test_allocate_is_the_allocator_on_what_was_given(name, failure_rate):
    rate = 1 - float(np.mean(RATES)) if failure_rate is None else failure_rate
    obs = observe(RATES, [1] * len(RATES), failure_rate=rate, progress=0.7)
    wanted = make_allocator(name)(obs, Limits(120, 3, 50))
    given_ = allocate(
        RATES,
        120,
        allocator=name,
        low=3,
        high=50,
        failure_rate=failure_rate,
        attempts=obs.attempts,
        progress=0.7,
    )
    assert given_.dtype == np.int64
    assert given_.tolist() == wanted.tolist()


def test_allocate_defaults():
    budgets = allocate([0.1, 0.4, 0.8, 1.0], 64)
    assert budgets.tolist() == cobasim.allocate(np.array([0.1, 0.4, 0.8, 1.0]), total=64).tolist()
    assert budgets.tolist() == allocate([0.1, 0.4, 0.8, 1.0], 64, allocator="coba", low=2, high=128,
                                        failure_rate=None, solver="threshold").tolist()  # fmt: skip
    alpha, beta = make_allocator("coba").shape(observe([0.1, 0.4, 0.8, 1.0], failure_rate=0.425))
    value = CobaValue(np.array([0.1, 0.4, 0.8, 1.0]), alpha=alpha, beta=beta, tau=8.0)
    assert budgets.tolist() == solve(value, Limits(64), "heap").tolist()


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_allocate_passes_solver_and_parameters_on(solver):
    budgets = allocate(RATES, 120, solver=solver, kappa=15, tau=3.0, gamma=5, failure_rate=0.4)
    wanted = make_allocator("coba", kappa=15, tau=3.0, gamma=5)
    assert budgets.tolist() == wanted(observe(RATES, failure_rate=0.4), Limits(120)).tolist()
    held = allocate(RATES, 120, solver=solver, alpha=4.0)
    value = CobaValue(np.array(RATES), alpha=4.0, beta=7.0, tau=8.0)
    assert held.tolist() == solve(value, Limits(120), "heap").tolist()
    assert allocate(RATES, 120, allocator="uniform", solver=solver).tolist() == [15] * 8


def test_allocate_knows_unseen_prompts_when_told():
    budgets = allocate([0.3, 0.5, 0.9, 0.5], 64, attempts=[16, 0, 16, 0])
    assert budgets[[1, 3]].tolist() == [16, 16]
    assert allocate([0.5] * 4, 66, attempts=[0] * 4).tolist() == [16, 17, 16, 17]


def test_allocate_takes_any_array_and_leaves_it_alone():
    p = np.array(RATES)
    wanted = allocate(p, 120).tolist()
    strided = np.repeat(p, 3)[::3]
    reversed_ = p[::-1].copy()[::-1]
    assert not strided.flags["C_CONTIGUOUS"]
    frozen = p.copy()
    frozen.flags.writeable = False
    sixteenths = np.arange(17) / 16
    for array in (RATES, tuple(RATES), strided, reversed_, frozen):
        before = np.array(array)
        assert allocate(array, 120).tolist() == wanted
        assert np.array_equal(np.array(array), before)
    exact = allocate(sixteenths, 200).tolist()
    for dtype in (np.float32, np.float16, ">f8"):
        assert allocate(sixteenths.astype(dtype), 200).tolist() == exact
    assert allocate(np.array([0, 1, 1, 0]), 17).sum() == 17
    assert allocate(np.array([True, False]), 17).sum() == 17
    assert allocate(RATES, np.int32(120)).tolist() == wanted


@pytest.mark.parametrize(
    ("rates", "message"),
    [
        ([], "empty"),
        ([0.5, math.nan], "1 is nan"),
        ([0.5, 1.5, -1], r"1 is 1.5 \(and 1 more\)"),
        ([-0.1], r"in \[0, 1\]"),
        ([math.inf], "inf"),
        ([[0.1, 0.2]], "flat"),
        (["a", "b"], "numbers"),
        ([None, 0.5], "0 is nan"),
        (None, "pass rates"),
        ([10**400], "pass rates"),
        ([[0.1], [0.1, 0.2]], "flat"),
        ({"pass_rate": [0.1]}, "flat"),
        (np.array([0.5 + 1j, 0.2]), "numbers"),
        (0.5, "flat"),
    ],
)
@pytest.mark.filterwarnings("error::numpy.exceptions.ComplexWarning")
def test_allocate_refuses_what_are_no_pass_rates(rates, message):
    with pytest.raises(InputError, match=message):
        allocate(rates, 32)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"total": 3}, "2 prompts.* 4 to 256"),
        ({"total": 257}, "2 prompts.* 4 to 256"),
        ({"total": 32.0}, "total must be a whole number"),
        ({"total": math.nan}, "total must be a whole number"),
        ({"total": "32"}, "total must be a whole number"),
        ({"total": True, "low": 0}, "total must be a whole number"),
        ({"low": 9, "high": 8}, "low"),
        ({"low": -1}, "low"),
        ({"failure_rate": 1.1}, "failure_rate"),
        ({"failure_rate": math.nan}, "failure_rate"),
        ({"failure_rate": "0.5"}, "failure_rate"),
        ({"progress": -0.1}, "progress"),
        ({"progress": math.nan}, "progress"),
        ({"progress": "half"}, "progress"),
        ({"progress": None}, "progress"),
        ({"attempts": [1]}, "attempts"),
        ({"attempts": [1, -1]}, "attempts"),
        ({"attempts": [1, math.nan]}, "attempts"),
        ({"attempts": ["a", "b"]}, "attempts"),
        ({"solver": "fast"}, "unknown solver 'fast'"),
        ({"solver": None}, "solver"),
        ({"allocator": "cobra"}, "did you mean 'coba'"),
        ({"allocator": None}, "allocator"),
        ({"tau": 0}, "tau"),
        ({"tau": math.inf}, "tau"),
        ({"kappa": 2}, "kappa"),
        ({"kappa": True}, "kappa"),
        ({"kappa": 10**400}, "kappa"),
        ({"taw": 2}, "did you mean 'tau'"),
    ],
)
def test_allocate_refuses_what_it_cannot_use(given_, message):
    with pytest.raises(InputError, match=message):
        allocate(**{"pass_rates": [0.5, 0.2], "total": 32, **given_})


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("high", [2**62, sys.maxsize, 10**30])
def test_no_upper_bound_may_be_said_by_any_large_number(name, high):
    known = {"allocator": name, "failure_rate": 0.6, "attempts": 16}
    wanted = allocate(RATES, 120, high=120, **known)
    budgets = allocate(RATES, 120, high=high, **known)
    assert budgets.sum() == 120
    if name != "knapsack":  # its fallback measures what mixed prompts can use by the bound
        assert budgets.tolist() == wanted.tolist()


WEIGH_EVIDENCE = [name for name in one_shot() if "evidence" in ALLOCATORS[name].needs]


@pytest.mark.parametrize("name", WEIGH_EVIDENCE)
def test_an_allocator_that_weighs_evidence_says_when_there_is_none(name):
    with pytest.raises(InputError, match=r"how many attempts .* are not known"):
        allocate(RATES, 120, allocator=name)
    assert allocate(RATES, 120, allocator=name, attempts=4).sum() == 120


def test_signal_acts_on_the_evidence():
    """The report: with attempts unsaid signal was uniform; with 16 its budgets are not."""
    rates = np.linspace(0.0, 1.0, 32)
    budgets = [allocate(rates, 512, allocator="signal", attempts=n) for n in (2, 16, 10_000)]
    assert len({tuple(row.tolist()) for row in budgets}) == 3
    assert budgets[1].min() == 2
    assert budgets[1].max() >= 16


@pytest.mark.parametrize("name", sorted({*one_shot()}))
def test_one_number_of_attempts_is_that_number_for_all(name):
    one = allocate(RATES, 120, allocator=name, attempts=16)
    each = allocate(RATES, 120, allocator=name, attempts=[16.0] * len(RATES))
    assert one.tolist() == each.tolist()


@pytest.mark.parametrize("attempts", [-1, [1.0], "many", float("nan"), float("inf"), [[16] * 3]])
def test_attempts_that_cannot_be(attempts):
    with pytest.raises(InputError, match="attempts must be one number"):
        allocate(RATES, 120, attempts=attempts)


@pytest.mark.parametrize("name", ["greso", "signal-skip", "cero"])
def test_an_allocator_with_memory_refuses_a_single_batch(name):
    with pytest.raises(InputError, match="remembers of earlier steps"):
        allocate(RATES, 120, allocator=name, attempts=16)


def test_input_errors_are_value_errors():
    with pytest.raises(ValueError, match="empty"):
        allocate([], 3)
