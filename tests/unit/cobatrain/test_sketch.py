"""Sketches of gradients: linear, the same for a seed, and true to inner products on average."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from cobasim.errors import InputError
from cobatrain.sketch import CountSketch, add_gathered, add_rows

SIZES = [7, 300, 64, 1]


def gradient(seed: int) -> list:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=rng) for size in SIZES]


def flat(parts) -> np.ndarray:
    return torch.cat([part.flatten() for part in parts]).numpy().astype(np.float64)


def test_it_is_linear_and_fixed_by_its_seed():
    one, two = gradient(0), gradient(1)
    sketch = CountSketch(SIZES, 64, seed=3)
    both = sketch.sketch([2.0 * a - b for a, b in zip(one, two, strict=True)])
    torch.testing.assert_close(both, 2.0 * sketch.sketch(one) - sketch.sketch(two))
    again = CountSketch(SIZES, 64, seed=3)
    torch.testing.assert_close(again.sketch(one), sketch.sketch(one), rtol=0, atol=0)
    assert not torch.equal(CountSketch(SIZES, 64, seed=4).sketch(one), sketch.sketch(one))


@pytest.mark.parametrize("dim", [1, 16, 50, 1000])
@pytest.mark.parametrize("at_once", [1, 100, 2**20])
def test_the_way_of_a_gpu_gives_the_same(monkeypatch, dim, at_once):
    monkeypatch.setattr("cobatrain.sketch.GATHERED", at_once)
    sketch = CountSketch(SIZES, dim, seed=3)
    for number, size in enumerate(SIZES):
        rows = torch.randn(3, size, generator=torch.Generator().manual_seed(number)).double()
        totals = [torch.ones(3, dim, dtype=torch.float64) for _ in range(2)]
        drawn = sketch.drawn(number, rows.device)
        for total, add in zip(totals, (add_rows, add_gathered), strict=True):
            add(total, rows, *drawn)
        torch.testing.assert_close(*totals)


def test_parameters_of_several_ranks_add_up():
    one = gradient(0)
    sketch = CountSketch(SIZES, 64, seed=3)
    total = sketch.zeros()
    for number in (2, 0, 3, 1):
        sketch.add(total, number, one[number][None])
    torch.testing.assert_close(total, sketch.sketch(one))


def test_every_coordinate_lands_once_with_its_own_sign():
    sketch = CountSketch(SIZES, 50, seed=0)
    for number, size in enumerate(SIZES):
        for place in range(size):
            part = torch.zeros(1, size)
            part[0, place] = 2.0
            total = sketch.zeros()
            sketch.add(total, number, part)
            assert total.abs().sum() == 2.0
            assert total.count_nonzero() == 1


@pytest.mark.parametrize("dim", [1, 16, 128])
def test_inner_products_are_kept_on_average_with_the_error_of_a_count_sketch(dim):
    one, two = gradient(0), gradient(1)
    truth = flat(one) @ flat(two)
    squares = (flat(one) @ flat(one)) * (flat(two) @ flat(two))
    found = np.array([
        float((sketch.sketch(one) * sketch.sketch(two)).sum())
        for sketch in (CountSketch(SIZES, dim, seed) for seed in range(600))
    ])  # fmt: skip
    error = np.sqrt((squares + truth**2) / dim)
    assert abs(found.mean() - truth) < 5 * error / np.sqrt(len(found))
    assert found.std() < 1.15 * error


def test_what_cannot_be_sketched():
    with pytest.raises(InputError, match="--dim 0"):
        CountSketch(SIZES, 0, 0)
    with pytest.raises(ValueError, match="has 7 numbers, got 8"):
        CountSketch(SIZES, 4, 0).add(torch.zeros(1, 4), 0, torch.zeros(1, 8))
