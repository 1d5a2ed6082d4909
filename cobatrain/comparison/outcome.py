"""Table, verdicts and report of a finished comparison."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from cobasim.files import writing
from cobasim.records import Run, read_run
from cobasim.report import write_report
from cobasim.runs import BASELINE, NUMBERS, REPORT, write_numbers
from cobasim.scores import Row, comparison_table, verdict
from cobatrain.comparison.plan import Plan, run_directory


def read_runs(plan: Plan, out: Path) -> list[Run]:
    """Every allocator under every weighting; a run that stands for two weightings comes twice."""
    runs: list[Run] = []
    for weighting, allocator, seed in plan.cells():
        source = plan.source(weighting, allocator)
        run = read_run(run_directory(out, source, allocator, seed))
        runs.append(replace(run, header=replace(run.header, weighting=weighting)))
    return runs


def score(plan: Plan, out: Path, *, command: str) -> tuple[list[Row], dict[str, str]]:
    """Table and verdicts of finished runs; writes the numbers and the report below ``out``."""
    runs = read_runs(plan, out)
    rows = comparison_table(runs, BASELINE)
    verdicts = verdict(rows)
    numbers: dict[str, Any] = {"rows": [asdict(row) for row in rows], "verdicts": verdicts}
    with writing(out):
        write_numbers(out / NUMBERS, numbers, command=command)
        write_report(
            out / REPORT,
            runs,
            rows,
            title="Rollout-budget allocators, a real language model",
            settings=_flat(plan.config.model_dump(mode="json")),
            verdicts=verdicts,
            command=command,
        )
    return rows, verdicts


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Settings by dotted name, without those that differ between the runs."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        elif prefix + key not in ("allocator", "weighting", "seed"):
            flat[prefix + key] = value
    return flat
