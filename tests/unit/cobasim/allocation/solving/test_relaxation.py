"""Studies: each answers with finite numbers, goes on where it stopped, refuses bad input."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim import cli
from cobasim import runs as sweeps
from cobasim.allocation import (
    CobaValue,
    KnapsackValue,
    Limits,
    Observation,
    make_allocator,
    solve,
)
from cobasim.allocation.solving.relaxation import LOG_SLOPES, relaxed_budgets, rounded_budgets
from cobasim.allocation.solving.values import ValueFunction
from cobasim.errors import InputError
from cobasim.experiments.studies import (
    NUMBERS,
    REPORT,
    SIZES,
    STUDIES,
    TEXT_REPORT,
    Options,
    against,
    claim,
    first_crossing,
    run_study,
    store,
)

TINY = Options("tiny")
SIGNALS = ("coba-variance", "coba-mixed", "coba-update")


def finite(content) -> bool:
    """Whether every number anywhere is finite."""
    if isinstance(content, dict):
        return all(finite(value) for value in content.values())
    if isinstance(content, list):
        return all(finite(value) for value in content)
    return not isinstance(content, float) or math.isfinite(content)


# -- every study ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_answers_with_finite_numbers(name, tmp_path):
    study = STUDIES.find(name)
    planned = claim(study, TINY, tmp_path)
    rows, answer = run_study(study, TINY, tmp_path, planned, jobs=1)
    files = store(study, TINY, tmp_path, planned, answer, command="cobasim study <x>")
    assert [file.name for file in files] == [REPORT, NUMBERS, TEXT_REPORT]
    assert rows
    assert answer.conclusion
    assert answer.figures
    content = json.loads((tmp_path / NUMBERS).read_text())
    assert content["numbers"]
    assert finite(content["numbers"])
    assert content["command"] == "cobasim study <x>"
    assert content["seeds"] == SIZES["tiny"].seeds
    assert set(content["versions"]) == {"cobasim", "numpy", "python"}
    text, page = (tmp_path / TEXT_REPORT).read_text(), (tmp_path / REPORT).read_text()
    for line in answer.conclusion:
        assert line in " ".join(text.replace("\n  - ", " ").split("\n"))
        assert any(character.isdigit() for character in line)
        assert "nan" not in line.lower().split()
    assert "cobasim study &lt;x&gt;" in page
    assert page.count("plotly.js v") == 1
    for table in answer.tables:
        assert {len(row) for row in table.rows} <= {len(table.columns)}
    for one in planned.values():  # both worlds (but for a quick map) and both weightings
        assert set(one.chosen["weightings"]) == {"rollout", "prompt"}


def test_a_resumed_study_ends_as_an_uninterrupted_one(tmp_path):
    study = STUDIES.find("regime")

    def run(folder):
        planned = claim(study, TINY, folder)
        return run_study(study, TINY, folder, planned, jobs=1)[1]

    whole = run(tmp_path / "whole")
    run(tmp_path / "half")
    rows = sorted((tmp_path / "half" / "regime" / sweeps.ROWS).iterdir())
    for file in rows[::2]:
        file.unlink()
    (tmp_path / "half" / "regime" / sweeps.TABLE).unlink()
    assert run(tmp_path / "half").conclusion == whole.conclusion


@pytest.mark.parametrize("preset", SIZES)
@pytest.mark.parametrize("name", STUDIES)
def test_plans_are_valid_and_not_too_long(name, preset):
    more = ("coba-released",) if STUDIES.find(name).open_to_more else ()
    options = Options(preset, more)
    runs = sum(one.num_runs for one in STUDIES.find(name).plan(options).values())
    assert runs <= sweeps.MOST_RUNS


def test_a_contrast_is_paired_by_seed_and_corrected_within_its_group():
    noise = np.random.default_rng(0).normal(0, 1e-3, 6)
    rows = [
        {"world": world, "weighting": "prompt", "seed": seed, "allocator": name,
         "score": 0.1 * seed + gain + noise[seed] * (name == "b")}
        for world in ("x", "y")
        for seed in range(6)
        for name, gain in (("a", 0.0), ("b", 0.01), ("c", 0.0))
    ]  # fmt: skip
    rows.append({"world": "x", "weighting": "prompt", "seed": 9, "allocator": "b", "score": None})
    found = against(
        rows, "score", variant=lambda row: row["allocator"], reference=lambda _: "a"
    )  # fmt: skip
    assert [(one.group[0], one.what) for one in found] == [
        ("x", "b"), ("x", "c"), ("y", "b"), ("y", "c"),
    ]  # fmt: skip
    b, c = found[:2]
    assert b.mean == pytest.approx(1.0 + 100 * noise.mean())
    assert b.beyond
    assert not c.beyond
    assert c.p == 1.0


def test_first_crossing_lies_between_evaluations():
    assert first_crossing([10, 20, 30], [0.0, 0.5, 1.0], 0.25) == 15
    assert first_crossing([10, 20], [0.0, 0.5], -1.0) == 10
    assert first_crossing([10, 20], [0.0, 0.5], 2.0) == 20


# -- signals -------------------------------------------------------------------------------


@given(
    rates=st.lists(st.floats(0, 1), min_size=1, max_size=20),
    name=st.sampled_from(SIGNALS),
)
def test_a_signal_is_a_share_and_reading_it_the_other_way_turns_alpha_round(rates, name):
    p = np.array(rates)
    signal = make_allocator(name).signal(p)
    assert -1e-12 <= signal <= 1 + 1e-12
    obs = Observation(p, np.ones_like(p), failure_rate=0.4)
    for sense, rate in (("success", 1.0 - signal), ("failure", signal)):
        told = Observation(p, np.ones_like(p), failure_rate=rate)
        assert make_allocator(name, read_as=sense).shape(obs) == make_allocator("coba").shape(told)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_signal_is_largest_at_one_half_and_zero_at_the_ends(name):
    allocator = make_allocator(name)
    assert allocator.signal(np.array([0.0, 1.0])) == 0.0
    assert allocator.signal(np.array([0.5])) == pytest.approx(1.0, abs=1e-4)


# -- relaxation ----------------------------------------------------------------------------


def functions(p) -> list[ValueFunction]:
    return [KnapsackValue(p), CobaValue(p, alpha=6.0, beta=5.0, tau=8.0)]


@settings(deadline=None, max_examples=30)
@given(
    rates=st.lists(st.sampled_from([0.0, 1e-6, 0.05, 0.25, 0.5, 0.9, 1.0]) | st.floats(0, 1),
                   min_size=1, max_size=12),
    low=st.integers(1, 4), room=st.integers(0, 30), share=st.floats(0, 1),
)  # fmt: skip
def test_whole_budgets_are_worth_at_most_what_real_ones_are(rates, low, room, share):
    p = np.array(rates)
    high = low + room
    limits = Limits(p.size * low + round(share * p.size * room), low, high)
    for value in functions(p):
        real = relaxed_budgets(value, limits)
        assert real.sum() == pytest.approx(limits.total, abs=1e-6)
        assert real.min() >= low - 1e-9
        assert real.max() <= high + 1e-9
        rounded = rounded_budgets(real, limits)
        assert rounded.sum() == limits.total
        assert low <= rounded.min() <= rounded.max() <= high
        top = value.value(real).sum()
        best = value.value(solve(value, limits)).sum()
        slack = 1e-9 * max(top, 1e-30)
        assert best <= top + slack
        assert value.value(rounded).sum() <= best + slack


def test_the_relaxation_meets_its_dual_bound():
    """Weak duality: sum_i max_n (V_i(n) - L n) + L total is above every feasible value."""
    p = np.random.default_rng(0).beta(0.35, 0.8, 64)
    limits = Limits(16 * 64, 2, 128)
    fine = np.linspace(2, 128, 40_001)[:, None]
    for value in functions(p):
        real = relaxed_budgets(value, limits)
        slopes = np.exp(LOG_SLOPES[type(value)](value, real))
        inside = (real > 2 + 1e-6) & (real < 128 - 1e-6)
        multiplier = slopes[inside].mean()
        assert slopes[inside] == pytest.approx(multiplier, rel=1e-6)
        bound = (value.value(fine) - multiplier * fine).max(axis=0).sum()
        bound += multiplier * limits.total
        assert value.value(real).sum() == pytest.approx(bound, rel=1e-6)


def test_a_value_function_without_a_slope_is_refused():
    class Other(KnapsackValue):
        pass

    with pytest.raises(InputError, match="no slope is known for Other; known: CobaValue"):
        relaxed_budgets(Other(np.array([0.5])), Limits(4, 2, 8))
    with pytest.raises(InputError, match="low must be at least 1"):
        relaxed_budgets(KnapsackValue(np.array([0.5])), Limits(4, 0, 8))


# -- the command ---------------------------------------------------------------------------


def call(*words: str) -> int:
    """Run the command line in this process; its exit code."""
    return cli.app(["study", *words], standalone_mode=False) or 0


def test_the_command_lists_studies_with_one_line_each(capsys):
    call()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(STUDIES)
    call("--list", "--json")
    assert json.loads(capsys.readouterr().out) == {n: s.question for n, s in STUDIES.items()}


def test_the_command_refuses_what_it_does_not_know(tmp_path):
    with pytest.raises(InputError, match="did you mean 'rounding'"):
        call("roundin")
    with pytest.raises(InputError, match="did you mean 'quick'"):
        call("rounding", "--preset", "quik")
    with pytest.raises(InputError, match="did you mean 'coba'"):
        call("phase", "--allocators", "cobba", "--out", str(tmp_path / "new"))
    with pytest.raises(InputError, match="has its own allocators, got coba"):
        call("rounding", "--allocators", "coba", "--out", str(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_the_command_refuses_a_folder_of_something_else(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="holds no study"):
        call("rounding", "--preset", "tiny", "--out", str(tmp_path))
    with pytest.raises(InputError, match="holds no study"):
        call("rounding", "--preset", "tiny", "--out", str(tmp_path / "mine.txt"))


def test_the_command_goes_on_in_its_folder_and_in_no_other(tmp_path, capsys):
    folder = str(tmp_path / "out")
    for _ in range(2):
        call("rounding", "--preset", "tiny", "--out", folder, "--json")
        assert json.loads(capsys.readouterr().out)["study"] == "rounding"
    with pytest.raises(InputError, match=r"holds another plan \(study-plan.json differs"):
        call("rounding", "--preset", "quick", "--out", folder)
