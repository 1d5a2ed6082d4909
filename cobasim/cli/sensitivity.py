"""``cobasim sensitivity``: which settings matter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Table

from cobasim.cli.common import command_text
from cobasim.cli.options import (
    BatchOption,
    JobsOption,
    ResumeOption,
    SampleSeedOption,
    SeedsOption,
    SettingsOption,
    StepsOption,
    WeightingOption,
    WorldOption,
    YesFlag,
    allocator_list,
    plain_settings,
    weighting_list,
)
from cobasim.cli.output import resumable, run_experiment, say, say_files, show
from cobasim.errors import InputError

SHOWN = {
    "minus_uniform": "minus uniform",
    "final_heldout": "held-out",
    "auc": "area",
    "mixed_share": "mixed",
}
"""Metrics and their columns."""


@dataclass(frozen=True)
class DesignOptions:
    """Which settings vary, and how they are sampled."""

    param: Annotated[
        list[str] | None,
        typer.Option(
            help="Settings to vary, as for sweep.",
            show_default="a box of thirteen, see docs/sensitivity.md",
        ),
    ] = None
    method: Annotated[str, typer.Option(help="morris (screening) or sobol (indices).")] = "morris"
    samples: Annotated[
        int, typer.Option(help="N: N (D + 1) points for morris, N (D + 2) for sobol.")
    ] = 16
    sample_seed: SampleSeedOption = 0


@dataclass(frozen=True)
class HeldOptions:
    """What is the same in all runs, unless it varies."""

    allocators: Annotated[str, typer.Option(help="Comma-separated names, uniform among them.")] = (
        "uniform,coba"
    )
    seeds: SeedsOption = 2
    steps: StepsOption = 100
    world: WorldOption = None
    weighting: WeightingOption = "both"
    batch_size: BatchOption = 256
    settings: SettingsOption = None

    def chosen(self) -> dict[str, Any]:
        """Values for a sweep. Raises InputError if uniform is not among the allocators."""
        names = allocator_list(self.allocators)
        if "uniform" not in names:
            raise InputError("--allocators must include uniform: gains are measured against it")
        return {
            "allocators": names, "weightings": weighting_list(self.weighting),
            "seeds": self.seeds, "steps": self.steps, "world": self.world,
            "batch_size": self.batch_size,
        }  # fmt: skip


def sensitivity(
    design: DesignOptions,
    held: HeldOptions,
    jobs: JobsOption = None,
    out: ResumeOption = "runs/sensitivity",
    yes: YesFlag = False,
) -> None:
    """Which settings matter: Morris or Sobol indices of accuracy, area, mixed groups and gain."""
    from cobasim.experiments import sensitivity as study
    from cobasim.runs import Parameter

    chosen = held.chosen()
    varied = [Parameter.parse(text) for text in design.param or study.BOX]
    names = {parameter.name for parameter in varied}
    plan = study.plan(
        varied, design.method, design.samples, design.sample_seed, preset="quick",
        settings={"num_prompts": 4096} | plain_settings(held.settings),
        chosen={k: v for k, v in chosen.items() if v is not None and k not in names},
    )  # fmt: skip
    folder = Path(out)
    with resumable(folder):
        rows = run_experiment(plan.sweep, folder, yes=yes, jobs=jobs)
        result = study.analyse(plan, rows)
        report, numbers = study.store(plan, rows, result, folder, command=command_text())
    for weighting, group in result["indices"].items():
        for name, metrics in group.items():
            if "minus_uniform" in metrics:
                show(_index_table(name, weighting, metrics, design.method))
    say(f"{plan.sweep.num_runs} runs", wrap=False)
    say_files({"report": report, "numbers": numbers})


def _index_table(allocator: str, weighting: str, metrics: dict[str, Any], method: str) -> Table:
    what = "mu*, points" if method == "morris" else "total index"
    table = Table(
        title=f"{allocator}, loss weighted per {weighting}: {what}, ± half of a 95 % interval",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("setting")
    for text in SHOWN.values():
        table.add_column(text, justify="right")
    by_metric = {name: {row["name"]: row for row in metrics[name]} for name in SHOWN}
    for row in metrics["minus_uniform"]:
        cells = [by_metric[name][row["name"]] for name in SHOWN]
        table.add_row(
            row["name"], *(f"{cell['total']:.2f} ± {cell['total_half']:.2f}" for cell in cells)
        )
    return table
