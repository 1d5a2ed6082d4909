"""The ring: equal rollouts and time, planted winners found and planted noise not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_rings import NAMES

from cobasim.experiments import ring


def made_up(accuracy, rollouts=(0, 50, 100), names=None):
    """Rows of (conditions, methods, seeds) final accuracies that rise linearly from 0.3."""
    table = []
    for c, m, s in np.ndindex(accuracy.shape):
        curve = np.linspace(0.3, accuracy[c, m, s], len(rollouts))
        table.append(
            {
                **ring.condition("logistic", "math", (float(c), 0.0)),
                "point": c, "weighting": "rollout", "seed": s, "seconds": 1.0,
                "allocator": (names or [*NAMES, "oracle-coba"])[m], "rollouts": rollouts[-1],
                "curve_rollouts": list(rollouts), "curve_heldout": curve.tolist(),
                "curve_seconds": [2.0 * at for at in rollouts],
            }
        )  # fmt: skip
    return table


def test_an_allocator_that_spends_more_is_read_at_equal_rollouts():
    table = made_up(np.full((1, 4, 2), 0.5))
    for row in table:
        if row["allocator"] == "knapsack":  # reaches 0.5 only at twice the cost
            row["curve_rollouts"], row["rollouts"] = [0, 100, 200], 200
    found = ring.read_outcomes(table)
    assert (found.common == 100).all()
    np.testing.assert_allclose(found.accuracy[0, :, 0], [0.5, 0.4, 0.5, 0.5])
    result = ring.analyse(found)
    by_name = {row["allocator"]: row for row in result["leagues"]["rollout"]["rows"]}
    assert by_name["knapsack"]["spent"] == 2
    assert by_name["knapsack"]["minus_uniform_timed"]["mean"] == 0.0  # as fast as the others
    assert result["compared_at"] == 1
    assert any("other totals" in line and "knapsack" in line for line in ring.statements(result))


def test_an_allocator_that_takes_longer_is_read_at_equal_modelled_time():
    table = made_up(np.full((1, 4, 2), 0.5))
    for row in table:
        if row["allocator"] == "knapsack":  # twice the seconds for the same rollouts
            row["curve_seconds"] = [0.0, 200.0, 400.0]
    found = ring.read_outcomes(table)
    np.testing.assert_allclose(found.timed[0, :, 0], [0.5, 0.4, 0.5, 0.5])
    np.testing.assert_allclose(found.accuracy[0, :, 0], 0.5)


def test_a_planted_winner_is_found_and_its_oracle_gap_measured():
    noise = np.random.default_rng(1).normal(0, 0.002, (12, 4, 6))
    accuracy = 0.5 + noise
    accuracy[:, 1] += 0.05  # knapsack wins everywhere
    accuracy[:6, 2] -= 0.05  # coba loses in six conditions
    accuracy[:, 3] = accuracy[:, 2] + 0.01  # its oracle
    result = ring.analyse(ring.read_outcomes(made_up(accuracy)))
    first, second, last = result["leagues"]["rollout"]["rows"]
    assert [first["allocator"], second["allocator"], last["allocator"]] == [
        "knapsack", "uniform", "coba",
    ]  # fmt: skip
    assert first["mean_rank"] == 1
    assert (first["beats_uniform"], first["loses_uniform"]) == (12, 0)
    assert first["never_below_uniform"]
    assert not last["never_below_uniform"]
    assert last["loses_uniform"] == len(last["below_uniform_at"]) == 6
    assert last["oracle_gap"]["mean"] == pytest.approx(0.01)
    assert first["oracle_gap"] is None
    assert result["leagues"]["rollout"]["friedman"]["p_value"] < 1e-3
    text = " ".join(ring.statements(result))
    assert "best mean rank 1.00, knapsack" in text
    assert "Never significantly below uniform: knapsack (weak" in text


def test_planted_noise_is_not_found():
    calls = 0
    for seed in range(20):
        accuracy = 0.5 + np.random.default_rng(seed).normal(0, 0.01, (10, 4, 5))
        result = ring.analyse(ring.read_outcomes(made_up(accuracy)))
        rows = result["leagues"]["rollout"]["rows"]
        calls += any(row.get("beats_uniform") or row.get("loses_uniform") for row in rows)
    assert calls <= 4  # 5 % of 20, and room for luck


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)))
def test_the_order_of_rows_does_not_matter(order):
    accuracy = 0.5 + np.random.default_rng(5).normal(0, 0.01, (3, 4, 3))
    names = [*NAMES, "oracle-coba"]
    one = ring.analyse(ring.read_outcomes(made_up(accuracy)))
    other = ring.analyse(
        ring.read_outcomes(made_up(accuracy[:, order], names=[names[i] for i in order]))
    )
    for a, b in zip(*(x["leagues"]["rollout"]["rows"] for x in (one, other)), strict=True):
        assert a["allocator"] == b["allocator"]
        assert a["mean_rank"] == b["mean_rank"]
        assert a.get("beats_uniform") == b.get("beats_uniform")


def test_presets_cover_what_they_promise():
    full, quick = (
        ring.conditions(preset, 150, ring.measured_file()) for preset in ("full", "quick")
    )
    assert (len(full), len(quick)) == (36, 10)
    assert all(point in full for point in quick)
    labels = [ring.label_of(point, full[0]) for point in full]
    assert len(set(labels)) == 36
    for word in ("easy", "hard", "math", "measured", "regime", "skill-chain", "noise 40+20"):
        assert any(word in text for text in labels)
    assert len({frozenset(point) for point in full}) == 1  # one set of columns
    sweep = ring.plan("full", NAMES, seeds=2)
    assert sweep.num_runs == 36 * 2 * 5 * 2
