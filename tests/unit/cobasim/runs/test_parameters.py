"""Ranges and points of a sweep."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim import runs as sweeps
from cobasim.errors import InputError


@given(
    low=st.floats(1e-6, 1e6), factor=st.floats(1.001, 1e6), log=st.booleans(),
    levels=st.integers(1, 30), share=st.floats(0, 1),
)  # fmt: skip
def test_a_range_stays_within_its_ends_and_a_grid_rises(low, factor, log, levels, share):
    text = f"tau={low!r}:{low * factor!r}" + (":log" if log else "") + f":{levels}"
    one = sweeps.Parameter.parse(text)
    assert one.low <= one.at(share) * (1 + 1e-9)
    assert one.at(share) <= one.high * (1 + 1e-9)
    grid = one.grid()
    assert len(grid) <= levels
    assert grid == sorted(set(grid))
    if levels > 1:
        assert grid[0] == pytest.approx(one.low)
        assert grid[-1] == pytest.approx(one.high)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kappa", "reads name=1,2,3"),
        ("kappa=", "reads name=1,2,3"),
        ("=1,2", "reads name=1,2,3"),
        ("kappa=7,7", "twice"),
        ("tau=5:5", "empty"),
        ("tau=9:5", "empty"),
        ("tau=nan:5", "empty"),
        ("tau=0:5:log", "above 0"),
        ("tau=a:5", "two numbers"),
        ("tau=1:5:lag", "log, int or a number"),
    ],
)
def test_a_bad_range_is_named(text, words):
    with pytest.raises(InputError, match=words):
        sweeps.Parameter.parse(text)


@settings(max_examples=25)
@given(st.sampled_from(["random", "lhs", "sobol"]), st.integers(1, 40), st.integers(0, 100))
def test_samples_are_as_many_as_asked_within_bounds_and_a_function_of_the_seed(method, size, seed):
    box = [
        sweeps.Parameter.parse("tau=1:64:log"), sweeps.Parameter.parse("window=1:9:int"),
        sweeps.Parameter.parse("world=logistic,skill-chain"),
    ]  # fmt: skip
    found = sweeps.points(box, method, samples=size, seed=seed)
    assert found == sweeps.points(box, method, samples=size, seed=seed)
    assert len(found) == size
    for point in found:
        assert 1 <= point["tau"] <= 64
        assert point["window"] in range(1, 10)
        assert point["world"] in ("logistic", "skill-chain")


def test_latin_hypercubes_fill_every_slice():
    box = [sweeps.Parameter.parse("tau=0:10"), sweeps.Parameter.parse("noise=0:10")]
    found = sweeps.points(box, "lhs", samples=10, seed=3)
    for name in ("tau", "noise"):
        assert sorted(int(point[name]) for point in found) == list(range(10))
