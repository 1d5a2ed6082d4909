"""The page of a calibration, and the outcome in words."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import plotly.graph_objects as go

from cobasim.data import RateOptions
from cobasim.experiments import frame
from cobasim.experiments.calibration.model import Model
from cobasim.experiments.calibration.real_runs import RealRuns
from cobasim.figures import label, lay_out
from cobasim.loop import LoopConfig
from cobasim.report import drawing, escape

NAME = "calibration"
REPORT, NUMBERS = f"{NAME}.html", f"{NAME}.json"
GREY = "#777777"


def store(
    models: Sequence[Model],
    real: RealRuns,
    out: Path,
    *,
    command: str,
    pass_rates: str | None,
    reading: RateOptions,
) -> list[Path]:
    """Write the self-contained page (HTML) and the numbers (JSON) below ``out``; their paths.

    Args:
        models: the fitted worlds.
        real: what they were fitted to.
        out: the folder.
        command: what was run.
        pass_rates: file of the initial policy's pass rates, if there was one.
        reading: how it was read.
    """
    loop = real.loop.model_dump(mode="json")
    numbers = {
        "loop": loop,
        "real_seeds": {f"{a}/{w}": sorted(seeds) for (a, w), seeds in real.series.items()},
        "models": [model.to_json() for model in models],
        "compare": [ready_command(model, real.loop, pass_rates, reading) for model in models],
    }
    parts = [f"<p><b>{escape(title(model))}.</b> {escape(sentence(model))}</p>" for model in models]
    parts += [drawing(figure) for figure in figures(models, real)]
    page = frame.Page(
        "Calibration",
        parts,
        loop | {"pass rates": pass_rates, **reading.model_dump(mode="json", exclude_defaults=True)},
    )
    return frame.store(out, NAME, numbers, page, command=command)


def title(model: Model) -> str:
    """World and model."""
    return f"{model.settings['world']}, {model.name}"


def ready_command(
    model: Model, loop: LoopConfig, pass_rates: str | None, reading: RateOptions
) -> str:
    """The ``cobasim compare`` command that continues with a fitted world."""
    words = ["cobasim", "compare", "--steps", str(loop.steps)]
    words += ["--batch-size", str(loop.batch_size), "--total-budget", str(loop.total_budget)]
    if pass_rates is not None:
        words += ["--pass-rates", pass_rates, *reading.flags, "--first-beliefs", "unseen"]
    for name, value in model.settings.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        words += ["--world", text] if name == "world" else ["--set", f"{name}={text}"]
    return shlex.join(words)


def sentence(model: Model) -> str:
    """The outcome of a model in words and numbers."""
    fitted = ", ".join(
        f"{name} {model.settings[name]:.3g} ({low:.3g} to {high:.3g})"
        for name, (low, high) in model.intervals.items()
    )
    text = (
        f"Fitted: {fitted}. Loss {model.loss:.2f} (mean squared distance in standard errors; about "
        f"1 is a fit) over {model.extra['targets']} targets."
    )
    if model.predictions:
        text += (
            f" {model.inside} of {len(model.predictions)} predictions lie in the real 95 % "
            "intervals"
        )
        if model.tau is not None:
            text += f"; Kendall's tau of the order, uniform included, {model.tau:+.2f}"
        errors = [abs(prediction.predicted - prediction.real) for prediction in model.predictions]
        text += f"; mean absolute error {np.mean(errors):.2f} points."
    return text


def figures(models: Sequence[Model], real: RealRuns) -> list[go.Figure]:
    """Uniform's curves, real and fitted; and the predicted differences next to the real ones."""
    gained = [name for name in models[0].uniform if name.startswith("heldout")]
    axes = dict.fromkeys(gained, "Held-out accuracy gained, points")
    axes |= {"failure_rate": "Failure rate, %", "mixed": "Share of mixed groups, %"}
    drawn = [_curves(models, real, name, axis) for name, axis in axes.items()]
    return [*drawn, _predictions(models, real)] if real.others else drawn


def _curves(models: Sequence[Model], real: RealRuns, name: str, axis: str) -> go.Figure:
    """One curve of uniform: real, and of each model. In percent or points."""
    observed = models[0].uniform[name]["real"]
    shift = 1.0 if name.startswith("heldout") else 0.5  # at the end, or in the middle of a block
    steps = [real.loop.steps * (k + shift) / len(observed) for k in range(len(observed))]
    figure = go.Figure()
    figure.add_scatter(
        x=steps, y=[100 * y for y in observed], name="real", mode="lines+markers",
        line={"width": 4, "color": GREY},
    )  # fmt: skip
    for model in models:
        values = [100 * y for y in model.uniform[name]["simulated"]]
        figure.add_scatter(x=steps, y=values, name=title(model), mode="lines+markers")
    return _titled(figure, f"Uniform: {name.replace('_', ' ')}", "Step", axis)


def _predictions(models: Sequence[Model], real: RealRuns) -> go.Figure:
    names = [f"{label(key[0])} per {label(key[1])}" for key in real.others]
    first = models[0].predictions
    figure = go.Figure()
    figure.add_scatter(
        x=names, y=[each.real for each in first], name="real, 95 % interval", mode="markers",
        marker={"size": 12, "color": GREY},
        error_y={"array": [each.real_half or 0.0 for each in first]},
    )  # fmt: skip
    for model in models:
        figure.add_scatter(
            x=names, y=[each.predicted for each in model.predictions], name=title(model),
            mode="markers",
            error_y={
                "symmetric": False,
                "array": [each.high - each.predicted for each in model.predictions],
                "arrayminus": [each.predicted - each.low for each in model.predictions],
            },
        )  # fmt: skip
    return _titled(
        figure,
        "Final held-out accuracy minus uniform",
        "Allocator and weighting of the loss",
        "Difference, points",
    )


def _titled(figure: go.Figure, title: str, x: str, y: str) -> go.Figure:
    lay_out(figure, title)
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return figure
