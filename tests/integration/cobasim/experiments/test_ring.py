"""A small ring, run: fair ranks, antisymmetric differences, the same when resumed."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from small_rings import NAMES, POINTS, TINY, ran, tiny_ring

from cobasim import runs as sweeps
from cobasim.errors import InputError
from cobasim.experiments import ring


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return ran(tiny_ring(), tmp_path_factory.mktemp("ring") / "a")


def test_differences_are_antisymmetric_and_uniforms_own_is_zero(rows):
    found = ring.read_outcomes(rows)
    assert found.accuracy.shape == (4, 5, 2)
    assert set(found.methods) == {*NAMES, "oracle-knapsack", "oracle-coba"}
    one, other = ring.differences(found, "uniform"), ring.differences(found, "coba")
    uniform, coba = found.methods.index("uniform"), found.methods.index("coba")
    assert (one.mean[:, uniform] == 0).all()
    assert (one.adjusted[:, uniform] == 1).all()
    np.testing.assert_allclose(one.mean[:, coba], -other.mean[:, uniform])


def test_conditions_without_a_second_visit_are_named(rows, tmp_path):
    found = ring.read_outcomes(rows)
    assert not found.blind.any()
    assert ring.analyse(found)["blind_conditions"] == 0
    short = ring.plan(
        "quick", ("uniform", "coba"), seeds=2, steps=2, points=POINTS,
        settings=TINY | {"num_prompts": 256},
    )  # fmt: skip
    result = ring.analyse(ring.read_outcomes(ran(short, tmp_path / "short")))
    assert result["blind_conditions"] == 4
    first = ring.statements(result)[0]
    assert first.startswith("No prompt was visited twice yet in any condition")
    result["conditions"] *= 2
    assert "in 4 of 8 conditions" in ring.statements(result)[0]


def test_final_accuracies_are_compared_where_all_spend_alike(rows):
    found = ring.read_outcomes(rows)
    table = {(r["weighting"], r["point"], r["allocator"], r["seed"]): r for r in rows}
    for c, one in enumerate(found.conditions):
        for m, name in enumerate(found.methods):
            for s, seed in enumerate(found.seeds):
                row = table[one["weighting"], one["point"], name, seed]
                assert found.accuracy[c, m, s] == row["final_heldout"]
    assert (found.common == 6 * 2048).all()
    assert (found.spent == 6 * 2048).all()


def test_missing_and_doubled_runs_are_refused(rows):
    with pytest.raises(InputError, match="needs one row each"):
        ring.read_outcomes(rows[:-1])
    with pytest.raises(InputError, match="needs one row each"):
        ring.read_outcomes([*rows, rows[0]])


def test_leagues_rank_both_weightings_and_each(rows):
    result = ring.analyse(ring.read_outcomes(rows))
    assert list(result["leagues"]) == ["both", "rollout", "prompt"]
    ranks = {
        title: {row["allocator"]: row["mean_rank"] for row in one["rows"]}
        for title, one in result["leagues"].items()
    }
    for one in result["leagues"].values():
        found = [row["mean_rank"] for row in one["rows"]]
        assert found == sorted(found)
        assert np.mean(found) == pytest.approx(2.0)
        assert {row["allocator"] for row in one["rows"]} == set(NAMES)  # oracles do not compete
        for row in one["rows"]:
            if row["allocator"] != "uniform":
                parts = [row[f"{name}_uniform"] for name in ("beats", "loses", "inside")]
                assert sum(parts) == one["conditions"]
    for name in NAMES:
        assert ranks["both"][name] == pytest.approx(
            (ranks["rollout"][name] + ranks["prompt"][name]) / 2
        )


def test_an_interrupted_ring_goes_on_to_the_same_numbers(tmp_path, rows):
    sweep, out = tiny_ring(), tmp_path / "b"
    ran(sweep, out)
    for number in range(0, sweep.num_runs, 3):
        (out / sweeps.ROWS / f"{number:07d}.json").unlink()
    again = sweeps.run_sweep(sweep, out, jobs=1, measure=ring.measure).to_pylist()
    results = [ring.analyse(ring.read_outcomes(table)) for table in (rows, again)]
    for result in results:
        for one in result["conditions"]:
            one.pop("seconds")
    assert results[0] == results[1]


def test_the_page_is_one_file_and_escapes(tmp_path, rows):
    result = ring.analyse(ring.read_outcomes(rows))
    ring.store(result, tmp_path, command="cobasim ring <script>")
    page = (tmp_path / ring.REPORT).read_text()
    assert "cobasim ring &lt;script&gt;" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    for text in (*NAMES, "Both weightings", "never significantly below uniform", "noise 10+0"):
        assert text in page
    stored = json.loads((tmp_path / ring.NUMBERS).read_text())
    assert stored["leagues"] == json.loads(json.dumps(result["leagues"]))


@pytest.mark.parametrize("name", ["world", "noise", "learning_rate", "population"])
def test_what_conditions_vary_cannot_be_set(name):
    """It would be overwritten in silence."""
    with pytest.raises(InputError, match=f"--set {name}: a ring's conditions set that") as caught:
        ring.plan("quick", ("uniform", "coba"), settings={name: 1})
    assert "\n" not in str(caught.value)
