"""``cobatrain plan``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.box import SIMPLE_HEAD
from rich.table import Table

from cobasim.cli import JsonFlag, say, show
from cobatrain.cli.common import Config, Settings, one_process

if TYPE_CHECKING:
    from cobatrain.planning import Plan

HOUR = 3600


def plan(
    config: Config,
    gpus: Annotated[int, typer.Option(help="GPUs in all, one process each.")] = 1,
    nodes: Annotated[int, typer.Option(help="Machines with equally many of these.")] = 1,
    gpu_gib: Annotated[float, typer.Option(help="Memory of a GPU, GiB.")] = 80.0,
    settings: Settings = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(help="Mean length of a prompt.", show_default="256, or what fits")
    ] = None,
    response_tokens: Annotated[
        int | None,
        typer.Option(
            help="Mean length of a response.", show_default="the longest, sampling.max_tokens"
        ),
    ] = None,
    efficiency: Annotated[
        float, typer.Option(help="Share of the peak that training reaches; an assumption.")
    ] = 0.35,
    peak_tflops: Annotated[
        float, typer.Option(help="Peak of a GPU, 1e12 operations a second (H100, bfloat16).")
    ] = 989.0,
    bandwidth: Annotated[float, typer.Option(help="Of a GPU's memory, TB a second (H100).")] = 3.35,
    as_json: JsonFlag = False,
) -> None:
    """Whether a config fits on GPUs, and how long it takes; needs no GPU and no weights."""
    from cobatrain import planning
    from cobatrain.config import load_config

    one_process("plan")
    hardware = planning.Hardware(gpus, gpu_gib, peak_tflops, efficiency, bandwidth, nodes)
    chosen = load_config(config, settings or [])
    planning.check_engine(chosen, gpus)
    made = planning.make_plan(
        chosen,
        planning.model_shape(chosen),
        hardware,
        prompt_tokens=prompt_tokens,
        response_tokens=response_tokens,
    )
    advice = planning.advise(made)
    if as_json:
        changes = None if advice is None else list(advice.changes)
        print(json.dumps({**made.to_json(), "advice": changes}))
    else:
        verdict = made.verdict if made.fits else f"{made.verdict}; {planning.advice_line(advice)}"
        say(verdict, wrap=False)
        show(_memory(made))
        say(*_lines(made), wrap=False)
    if not made.fits:
        raise typer.Exit(1)


def _memory(made: Plan) -> Table:
    """GiB on one GPU: a row for each part, a column for each moment."""
    from cobatrain.planning import GIB, PARTS

    hardware = made.hardware
    cards = f"{hardware.gpus} x {hardware.gib:g} GiB"
    cards += f" in {hardware.nodes} machines" if hardware.nodes > 1 else ""
    title = f"{made.config.model.path}, {cards}: GiB on each GPU"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for moment in made.moments:
        table.add_column(moment.name.replace(": ", ":\n"), justify="right")
    for part in PARTS:
        values = [moment.parts.get(part, 0) for moment in made.moments]
        if any(values):
            table.add_row(part, *(f"{value / GIB:.2f}" if value else "-" for value in values))
    table.add_section()
    table.add_row("all", *(f"{moment.total / GIB:.2f}" for moment in made.moments))
    return table


def _lines(made: Plan) -> list[str]:
    """What the table does not show: model, cache, main memory, time."""
    from cobatrain.planning import GIB, longest_micro_batch

    config, step, host, hardware = made.config, made.step, made.host, made.hardware
    steps, length = config.loop.steps, made.lengths
    where = " of rank 0's machine" if hardware.nodes > 1 else ""
    return [
        f"model: {made.shape.parameters:,} parameters, {_lora(made)}{made.shape.layers} layers; "
        f"largest micro-batch {longest_micro_batch(config, hardware.gpus):,} tokens",
        f"activations of that: {made.activations['checkpointed'] / GIB:.2f} GiB with "
        f"gradient_checkpointing, {made.activations['kept'] / GIB:.2f} GiB without",
        f"engine: {config.engine.name}, weights {made.engine.weights / GIB:.2f} GiB, cache "
        f"{max(0, made.engine.cache) / GIB:.2f} GiB = {made.engine.cache_tokens:,} tokens",
        f"main memory, all processes{where}: {host['peak'] / GIB:.1f} GiB (loading "
        f"{host['loading'] / GIB:.1f}; sleeping engines {host['sleep'] / GIB:.1f}, with weight "
        f"sync {host['sync'] / GIB:.1f} or a checkpoint {host['checkpoint'] / GIB:.1f})",
        f"a step: {step.rollouts:,} rollouts of {length.prompt:,} + {length.response:,} tokens, "
        f"{step.tokens:,} in all; update {step.update_flops:.2g}, generation "
        f"{step.generation_flops:.2g} operations",
        f"time of a step: update {_time(step.update_seconds)}, generation at least "
        f"{_time(step.generation_seconds)}; {steps:,} steps {_time(steps * step.seconds)}, without "
        f"evaluations",
        f"assumed: {100 * hardware.efficiency:g} % of {hardware.tflops:g} TFLOP/s, "
        f"{hardware.bandwidth:g} TB/s, every response that long, none without signal; nothing of "
        f"this is measured",
    ]


def _lora(made: Plan) -> str:
    adapters = made.shape.adapters
    return "" if adapters is None else f"{adapters.numbers:,} in adapters that are trained, "


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 2 * HOUR:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / HOUR:,.1f} h"
