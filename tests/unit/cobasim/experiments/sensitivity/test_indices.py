"""Sensitivity: indices of functions whose indices are known."""

import numpy as np
import pytest

from cobasim.errors import InputError
from cobasim.experiments.sensitivity import BOX, indices, plan, sample
from cobasim.runs import Parameter


def ishigami(shares):
    """sin x1 + 7 sin^2 x2 + 0.1 x3^4 sin x1 on (-pi, pi)^3 (Ishigami and Homma 1990)."""
    x = np.pi * (2 * shares - 1)
    return np.sin(x[:, 0]) * (1 + 0.1 * x[:, 2] ** 4) + 7 * np.sin(x[:, 1]) ** 2


def test_sobol_indices_of_a_function_whose_indices_are_known():
    names = ["x1", "x2", "x3"]
    shares = sample(names, "sobol", 4096, seed=1)
    assert shares.shape == (4096 * 5, 3)
    rows = {row.name: row for row in indices(names, "sobol", shares, ishigami(shares))}
    known = {"x1": (0.3139, 0.5576), "x2": (0.4424, 0.4424), "x3": (0.0, 0.2437)}
    for name, (first, total) in known.items():
        row = rows[name]
        assert row.main == pytest.approx(first, abs=0.03)
        assert row.total == pytest.approx(total, abs=0.03)
        assert abs(row.main - first) < 2 * row.main_half + 0.01
        assert abs(row.total - total) < 2 * row.total_half + 0.01


def test_morris_effects_of_a_linear_function_are_its_slopes():
    names = ["a", "b", "c", "d"]
    slopes = np.array([3.0, -2.0, 0.5, 0.0])
    shares = sample(names, "morris", 8, seed=0)
    assert shares.shape == (8 * 5, 4)
    rows = indices(names, "morris", shares, shares @ slopes)
    assert [row.name for row in rows] == names  # strongest first
    for row, slope in zip(rows, slopes, strict=True):
        assert row.main == pytest.approx(slope)
        assert row.total == pytest.approx(abs(slope))
        assert row.spread == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("method", ["morris", "sobol"])
def test_a_constant_has_no_indices_and_a_seed_fixes_the_sample(method):
    names = ["a", "b"]
    shares = sample(names, method, 4, seed=3)
    np.testing.assert_array_equal(shares, sample(names, method, 4, seed=3))
    assert (shares != sample(names, method, 4, seed=4)).any()
    assert all(row.total == 0.0 for row in indices(names, method, shares, np.ones(len(shares))))


def test_bad_designs_are_refused():
    with pytest.raises(InputError, match="power of 2 for sobol, got 12: try 16"):
        sample(["a", "b"], "sobol", 12, seed=0)
    with pytest.raises(InputError, match="at least two settings"):
        sample(["a"], "morris", 4, seed=0)
    with pytest.raises(InputError, match="unknown method"):
        sample(["a", "b"], "fast", 4, seed=0)


def test_the_default_box_is_made_of_settings_that_exist():
    box = [Parameter.parse(text) for text in BOX]
    study = plan(
        box, "morris", 2, 0, preset="quick", settings={"num_prompts": 4096},
        chosen={"allocators": ("uniform", "coba"), "weightings": ("rollout",), "seeds": 1,
                "batch_size": 256, "steps": 2},
    )  # fmt: skip
    assert study.sweep.num_runs == 2 * (len(box) + 1) * 2
