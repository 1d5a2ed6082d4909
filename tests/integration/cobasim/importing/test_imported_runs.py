"""What works on runs works on imported ones: calibration, scores, figures, allocation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from trainer_logs import trl_columns, write_trl, write_validation, write_verl, write_wandb_table

from cobasim import figures
from cobasim.allocation import Limits, make_allocator
from cobasim.importing import GROUPS, PASS_RATES, SAMPLES
from cobasim.records import find_runs, read_run
from cobasim.report import write_report
from cobasim.scores import comparison_table, summarise, verdict
from cobasim.whatif import observation_of_bins

STEPS, SEEDS = 8, 3


@pytest.fixture
def imported(tmp_path, cobasim):
    """A folder of imported runs with evaluations: three seeds, each as uniform and as coba."""
    for seed in range(SEEDS):
        log = write_verl(tmp_path / f"log-{seed}", STEPS, seed=seed)
        validation = write_validation(tmp_path / f"val-{seed}", range(0, STEPS + 1, 2), seed=seed)
        for allocator in ("uniform", "coba"):
            code, out, err = cobasim(
                "import", "verl", log, "--validation", validation, "--seed", seed, "--allocator",
                allocator, "--low", 2, "--high", 32, "--model", "tiny", "--out",
                tmp_path / "runs" / f"{allocator}-{seed}",
            )  # fmt: skip
            assert (code, err) == (0, "")
            assert "Rollouts that taught nothing: " in out
    return tmp_path / "runs"


def test_calibrate_fits_imported_runs(imported, tmp_path, cobasim):
    code, out, err = cobasim(
        "calibrate", imported, "--pass-rates", imported / "uniform-0" / PASS_RATES, "--model",
        "as it was", "--samples", 2, "--refine", 0, "--seeds", 1, "--jobs", 1, "--out",
        tmp_path / "calibration",
    )  # fmt: skip
    assert code == 0, err
    assert "coba per rollout" in out
    numbers = json.loads((tmp_path / "calibration" / "calibration.json").read_text())
    (prediction,) = numbers["models"][0]["predictions"]
    assert prediction["norm_real"] is None  # logs of rollouts have no gradient norms
    assert prediction["real"] == 0.0


def test_scores_and_the_report(imported, tmp_path):
    runs = [read_run(path) for path in find_runs(imported)]
    assert len(runs) == 2 * SEEDS
    scores = summarise(runs[0])
    first = read_run(imported / "coba-0").steps
    assert scores.final_heldout == first[-1].evaluation["heldout"]
    rows = comparison_table(runs)
    assert {(row.allocator, len(row.seeds)) for row in rows} == {("uniform", 3), ("coba", 3)}
    page = write_report(
        tmp_path / "report.html", runs, rows, title="Imported", settings={"trainer": "verl"},
        verdicts=verdict(rows), command="cobasim import",
    )  # fmt: skip
    assert "plotly" in page.read_text()


def test_figures_of_imported_runs(imported):
    runs = [read_run(path) for path in find_runs(imported)]
    for figure in (
        figures.accuracy(runs),
        figures.difference_to_baseline(runs),
        figures.mixed_share(runs),
        figures.budgets_by_pass_rate(runs),
        figures.budget_heatmap(runs, "uniform"),
        figures.run_curves({"a": runs[0]}, "learner.reward"),
    ):
        assert figure.data


def test_pass_rates_of_an_import_start_a_simulation_and_an_allocation(imported, tmp_path, cobasim):
    rates = imported / "uniform-0" / PASS_RATES
    code, out, err = cobasim("allocate", rates, "--total-budget", 96, "--allocator", "signal")
    assert code == 0, err
    assert "12 pass rates from" in err
    assert "attempts in column attempts" in err
    assert "96 rollouts over 12 prompts" in out
    code, _, err = cobasim(
        "compare", "--pass-rates", rates, "--column", "last_pass_rate", "--attempts",
        "last_attempts", "--steps", 4, "--seeds", 2, "--batch-size", 4, "--total-budget", 32,
        "--allocators", "uniform,signal", "--jobs", 1, "--out", tmp_path / "compare",
    )  # fmt: skip
    assert code == 0, err


def test_a_step_of_an_imported_run_can_be_allocated_again(imported):
    step = read_run(imported / "uniform-0").steps[-1]
    obs = observation_of_bins(step.bins, step.smoothed_failure_rate)
    assert obs.attempts.sum() == 4 * 8  # all four prompts were seen before, with 8 rollouts each
    budgets = make_allocator("signal")(obs, Limits(32, 2, 32))
    assert budgets.sum() == 32
    assert np.unique(budgets).size > 1


def test_json_is_all_that_is_printed(tmp_path, cobasim):
    log = write_verl(tmp_path / "log", 2)
    code, out, err = cobasim("import", "verl", log, "--out", tmp_path / "run", "--json")
    assert (code, err) == (0, "")
    numbers = json.loads(out)
    assert numbers["rollouts"] == 2 * 4 * 8
    assert numbers["rollouts_that_taught_nothing"] == numbers["classes"][-1]["taught_nothing"]
    assert {path.name for path in (tmp_path / "run").iterdir()} == {
        "header.json", "steps.jsonl", GROUPS, PASS_RATES, SAMPLES,
    }  # fmt: skip


def test_parquet_and_tables_of_one_trl_run_give_the_same_run(tmp_path, cobasim):
    write_trl(tmp_path / "out", 6)
    for step in range(1, 7):
        columns = trl_columns(step, [((step - 1) * 4 + k) % 12 for k in range(4)])
        write_wandb_table(tmp_path / "tables" / f"completions_{step}_0.table.json", columns)
    for name, source in (("a", "out"), ("b", "tables")):
        code, _, err = cobasim("import", "trl", tmp_path / source, "--out", tmp_path / name)
        assert code == 0, err
    for file in ("steps.jsonl", PASS_RATES, SAMPLES):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
