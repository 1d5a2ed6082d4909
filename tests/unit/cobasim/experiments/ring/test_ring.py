"""The ring: fair ranks, antisymmetric differences, planted winners found and planted noise not."""

from __future__ import annotations

import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from cobasim import cli, scores
from cobasim import runs as sweeps
from cobasim.errors import InputError
from cobasim.experiments import ring

POINTS = (ring.condition("logistic", "math"), ring.condition("skill-chain", "easy"))
TINY = {"num_prompts": 160, "num_heldout": 60}
NAMES = ("uniform", "knapsack", "coba")


def tiny(**changes) -> sweeps.Sweep:
    given = {"seeds": 2, "steps": 6, "settings": TINY, "points": POINTS} | changes
    return ring.plan("quick", NAMES, **given)


def ran(sweep, out):
    sweeps.claim(sweep, out)
    return sweeps.run_sweep(sweep, out, jobs=1, measure=ring.measure).to_pylist()


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return ran(tiny(), tmp_path_factory.mktemp("ring") / "a")


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


# -- statistics ----------------------------------------------------------------------------


@given(arrays(np.float64, (3, 5, 2), elements=st.sampled_from([0.1, 0.2, 0.3, 0.4])))
def test_ranks_average_to_the_middle_whatever_the_ties(values):
    ranks = scores.mean_ranks(values)
    assert ranks.shape == (3, 5)
    np.testing.assert_allclose(ranks.mean(axis=1), 3.0)
    np.testing.assert_allclose(scores.mean_ranks(-values), 6.0 - ranks)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_correction_keeps_the_order_and_never_lowers(values):
    found = scores.false_discovery(values)
    assert (found >= np.array(values) - 1e-15).all()
    assert (found <= 1).all()
    assert (np.diff(found[np.argsort(values, kind="stable")]) >= -1e-15).all()
    assert (found <= np.array(scores.holm(values)) + 1e-12).all()


def test_friedman_and_the_critical_difference_agree_with_published_numbers():
    values = np.random.default_rng(0).random((14, 4))
    found = scores.friedman(values)
    ranks = scores.mean_ranks(values[:, :, None]).mean(axis=0)
    chi = 12 * 14 / (4 * 5) * (np.sum(ranks**2) - 4 * 25 / 4)
    assert found == pytest.approx((chi, stats.chi2.sf(chi, 3)))
    assert scores.critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)  # Demsar 2006
    assert scores.friedman(np.ones((5, 3))) is None
    assert scores.friedman(values[:, :2]) is None


# -- outcomes ------------------------------------------------------------------------------


def test_differences_are_antisymmetric_and_uniforms_own_is_zero(rows):
    found = ring.read_outcomes(rows)
    assert found.accuracy.shape == (4, 5, 2)
    assert set(found.methods) == {*NAMES, "oracle-knapsack", "oracle-coba"}
    one, other = ring.differences(found, "uniform"), ring.differences(found, "coba")
    uniform, coba = found.methods.index("uniform"), found.methods.index("coba")
    assert (one.mean[:, uniform] == 0).all()
    assert (one.adjusted[:, uniform] == 1).all()
    np.testing.assert_allclose(one.mean[:, coba], -other.mean[:, uniform])


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


def test_missing_and_doubled_runs_are_refused(rows):
    with pytest.raises(InputError, match="needs one row each"):
        ring.read_outcomes(rows[:-1])
    with pytest.raises(InputError, match="needs one row each"):
        ring.read_outcomes([*rows, rows[0]])


# -- leagues -------------------------------------------------------------------------------


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


# -- plans and files -----------------------------------------------------------------------


def test_presets_cover_what_they_promise():
    full, quick = (
        ring.conditions(preset, 150, ring.measured_file()) for preset in ("full", "quick")
    )
    assert (len(full), len(quick)) == (36, 10)
    assert all(point in full for point in quick)
    labels = [ring.label_of(point) for point in full]
    assert len(set(labels)) == 36
    for word in ("easy", "hard", "math", "measured", "regime", "skill-chain", "noise 40+20"):
        assert any(word in text for text in labels)
    assert len({frozenset(point) for point in full}) == 1  # one set of columns
    sweep = ring.plan("full", NAMES, seeds=2)
    assert sweep.num_runs == 36 * 2 * 5 * 2


def test_an_interrupted_ring_goes_on_to_the_same_numbers(tmp_path, rows):
    sweep, out = tiny(), tmp_path / "b"
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "fast"], "preset"),
        (["--allocators", "coba,knapsack"], "must include uniform"),
        (["--allocators", "uniform"], "at least two"),
        (["--allocators", "uniform,cobra"], "coba"),
        (["--allocators", "uniform,oracle-coba"], "leave it out"),
        (["--seeds", "1"], "at least 2 seeds"),
        (["--pass-rates", "none.csv"], "none.csv"),
        (["--set", "nois=3"], "did you mean 'noise'"),
        (["--seeds", "9000"], "--yes"),
    ],
)
def test_bad_rings_are_one_line(tmp_path, monkeypatch, capsys, arguments, words):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["cobasim", "ring", *arguments, "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    errors = capsys.readouterr().err
    assert stop.value.code == 2
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert words in errors
    assert not out.exists()


def test_the_command_says_what_the_numbers_say(tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    command = ["cobasim", "ring", "--allocators", "uniform,coba", "--seeds", "2", "--steps", "2"]
    for name, value in TINY.items():
        command += ["--set", f"{name}={value}"]
    monkeypatch.setattr(sys, "argv", [*command, "--jobs", "1", "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    result = json.loads((out / ring.NUMBERS).read_text())
    assert f"{result['leagues']['both']['rows'][0]['mean_rank']:.2f}" in printed
    assert "Benjamini-Hochberg" in printed
