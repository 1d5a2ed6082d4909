"""``cobatrain evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from cobasim.cli import JsonFlag, show
from cobatrain.cli.common import (
    ConfigOrRun,
    RunOption,
    Settings,
    checkpoint_of,
    show_data,
)

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig


def evaluate(
    config: ConfigOrRun,
    run: RunOption = None,
    settings: Settings = None,
    as_json: JsonFlag = False,
) -> None:
    """Held-out avg@k and pass@k with intervals, by data set and level."""
    from cobatrain.config import load_config
    from cobatrain.parallel import PeerError

    chosen, checkpoint = load_config(config, settings or []), checkpoint_of(config, run)
    try:
        scores = _scores(chosen, checkpoint)
    except PeerError:  # the rank that failed has said why
        raise typer.Exit(1) from None
    if scores is None:
        return
    if as_json:
        print(json.dumps(scores))
    else:
        show(_table(scores))


def _scores(config: TrainConfig, checkpoint: Path | None) -> dict[str, Any] | None:
    """What all ranks that torchrun started find together; None on those but the first."""
    from cobatrain import trainer
    from cobatrain.parallel import joined

    with joined(
        config.model.device, layout=config.parallel, timeout=config.engine.patience
    ) as parallel:
        opened = trainer.open_learner(config, checkpoint=checkpoint, parallel=parallel)
        with opened as (learner, _):
            if parallel.rank == 0:
                show_data(learner.task, config.evaluation)
            scores = learner.evaluate()
        return scores if parallel.rank == 0 else None


def _table(scores: dict[str, Any]) -> Table:
    table = Table(title=f"Held-out accuracy {100 * scores['heldout']:.1f} % (mean of the sets)")
    exact = any(row.get("exact") for row in scores["sets"].values())
    accuracy = "pass rate, %" if exact else "avg@k, %"
    for column in ("data set", "level", accuracy, "95 % interval", "pass@k, %"):
        table.add_column(column, justify="left" if column in ("data set", "level") else "right")
    for name, row in scores["sets"].items():
        low, high = row["low"], row["high"]
        table.add_row(
            name,
            "all",
            f"{100 * row['accuracy']:.1f}",
            "-" if low is None else f"{100 * low:.1f} to {100 * high:.1f}",
            f"{100 * row['pass_at'][max(row['pass_at'], key=int)]:.1f}",
        )
        for level, accuracy in row["levels"].items():
            table.add_row("", level, f"{100 * accuracy:.1f}", "", "")
    return table
