"""Parts of a gradient: known when they are made up, without bias, and what cannot be measured."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from cobasim.errors import InputError
from cobasim.figures import gradient_parts, parts_over_steps, shared_between_levels
from cobasim.gradients import MeasuredGroups, Part, compress, measure_parts

DIM = 64


def groups(rng, count=300, half=4, within=9.0, own=4.0, shared=1.0) -> MeasuredGroups:
    """Groups whose means share a direction (length sqrt(shared)) and differ by own parts."""
    common = np.zeros(DIM)
    common[0] = np.sqrt(shared)
    mean = common + rng.standard_normal((count, DIM)) * np.sqrt(own / DIM)
    noise = rng.standard_normal((2, count, DIM)) * np.sqrt(within / half / DIM)
    first, second = mean + noise
    return MeasuredGroups(
        prompt=np.arange(count),
        rate=rng.uniform(0.1, 0.9, count),
        level=rng.choice(["a", "b"], count),
        count=np.full(count, half),
        square=((first**2).sum(1) + (second**2).sum(1)) / 2,
        product=(first * second).sum(1),
        mean=((first + second) / 2).astype(np.float32),
    )


def test_known_parts_are_found_inside_their_intervals():
    report = measure_parts(groups(np.random.default_rng(0)), np.random.default_rng(1))
    parts = report.overall
    for part, truth in ((parts.within, 9.0), (parts.own, 4.0), (parts.shared, 1.0)):
        assert part.low <= truth <= part.high
        assert part.low < part.value < part.high
        assert part.high - part.low < truth
    assert parts.ratio == pytest.approx(4 / 9, rel=0.1)
    assert parts.fewest_prompts(512) == pytest.approx(512 * parts.ratio)
    assert report.between.shape == (2, 2)
    np.testing.assert_allclose(report.between, 1.0, atol=0.3)


def test_the_estimates_have_no_bias():
    """Means over repetitions, within five standard errors of the truth."""
    found = []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        parts = measure_parts(groups(rng, count=12, half=2), rng).overall
        found.append([parts.within.value, parts.own.value, parts.shared.value])
    values = np.array(found)
    error = values.std(axis=0, ddof=1) / np.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - [9.0, 4.0, 1.0]) < 5 * error).all()


def test_intervals_cover_as_often_as_they_say():
    covered = []
    for seed in range(60):
        rng = np.random.default_rng(1000 + seed)
        parts = measure_parts(groups(rng, count=60), rng).overall
        covered.append([parts.within.low <= 9.0 <= parts.within.high,
                        parts.own.low <= 4.0 <= parts.own.high,
                        parts.shared.low <= 1.0 <= parts.shared.high])  # fmt: skip
    assert np.mean(covered) > 0.85
    assert np.mean(covered, axis=0).min() > 0.8  # each part


@pytest.mark.parametrize("part", ["within", "own"])
def test_a_part_of_nothing_has_no_ratio(part):
    report = measure_parts(
        groups(np.random.default_rng(0), **{part: 0.0}), np.random.default_rng(1)
    ).overall
    for value in (0.0, -1.0):
        nothing = replace(report, **{part: Part(value, value, value)})
        ratio = nothing.ratio if part == "within" else nothing.signal
        assert np.isnan(ratio)
        json.dumps(nothing.to_json(), allow_nan=False)


def test_the_order_of_the_prompts_does_not_matter():
    made = groups(np.random.default_rng(0), count=20)
    order = np.random.default_rng(1).permutation(20)
    other = MeasuredGroups(**{name: value[order] for name, value in vars(made).items()})
    one, two = (measure_parts(g, np.random.default_rng(0)).overall for g in (made, other))
    for name in ("within", "own", "shared"):
        assert getattr(one, name).value == pytest.approx(getattr(two, name).value, rel=1e-6)


def test_what_cannot_be_measured():
    made = groups(np.random.default_rng(0), count=4)
    with pytest.raises(InputError, match="at least two prompts"):
        measure_parts(
            MeasuredGroups(**{name: value[:1] for name, value in vars(made).items()}),
            np.random.default_rng(0),
        )
    made.square[2] = np.nan
    with pytest.raises(InputError, match="NaN or infinity"):
        measure_parts(made, np.random.default_rng(0))


def test_pictures_show_the_numbers_of_the_report():
    report = measure_parts(groups(np.random.default_rng(0)), np.random.default_rng(1)).to_json()
    figure = gradient_parts(report)
    assert [trace.name.partition(":")[0] for trace in figure.data] == ["within", "own", "shared"]
    assert figure.data[0].y.tolist() == [row["within"][0] for row in report["by pass rate"]]
    over = parts_over_steps([0, 40], [report["all"], report["all"]])
    assert over.data[0].x == (0, 40)
    assert over.data[1].y.tolist() == [report["all"]["own"][0]] * 2
    heat = shared_between_levels(report).data[0]
    assert np.asarray(heat.z).tolist() == report["shared between levels"]


@pytest.mark.parametrize("rank", [1, 3, 8, 50])
def test_low_rank_keeps_lengths_and_the_best_directions(rank):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((20, 8)) @ np.diag(2.0 ** -np.arange(8)) @ np.eye(8, 30)
    low = compress(vectors, rank)
    squares = (low.coordinates**2).sum(axis=1) + low.rest**2
    np.testing.assert_allclose(squares, (vectors**2).sum(axis=1), rtol=1e-9)
    kept = low.coordinates.shape[1]
    assert kept == min(rank, 8)
    np.testing.assert_allclose(low.directions @ low.directions.T, np.eye(kept), atol=1e-6)
    np.testing.assert_allclose(vectors @ low.directions.T, low.coordinates, atol=1e-6)
    best = np.linalg.svd(vectors, compute_uv=False)[:kept]
    np.testing.assert_allclose((low.coordinates**2).sum(axis=0), best**2, rtol=1e-6)


def test_bad_vectors():
    with pytest.raises(InputError, match="rank of features"):
        compress(np.ones((3, 4)), 0)
    with pytest.raises(InputError, match="NaN or infinity"):
        compress(np.array([[np.nan, 1.0]]), 1)
