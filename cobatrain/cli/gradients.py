"""``cobatrain gradients``."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console
from rich.table import Table

from cobasim.cli import (
    JsonFlag,
    command_text,
    interruptible,
    narrow_table,
    progress_bar,
    say,
    say_files,
    show,
)
from cobasim.errors import InputError
from cobasim.gradients import GradientParts
from cobatrain.cli.common import ConfigOrRun, RunOption, Settings, checkpoint_of

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig
    from cobatrain.gradients import GradientOptions, Measurement


@dataclass(frozen=True)
class GradientFlags:
    """What is measured, and how finely."""

    method: Annotated[
        Literal["auto", "exact", "rollouts"],
        typer.Option(help="Of features: from the answer that passes, or from sampled responses."),
    ] = "auto"
    prompts: Annotated[
        int | None, typer.Option(min=2, help="Training prompts, at random.", show_default="all")
    ] = None
    groups: Annotated[
        int, typer.Option(min=8, help="Prompts whose rollouts are differentiated.")
    ] = 256
    rollouts: Annotated[
        int | None,
        typer.Option(
            min=4,
            help="Rollouts of each of these; of every prompt, if features are measured with them.",
            show_default="twice the mean budget",
        ),
    ] = None
    dim: Annotated[int, typer.Option(min=64, help="Numbers of a gradient's sketch.")] = 16_384
    rank: Annotated[int, typer.Option(min=1, help="Directions that are stored.")] = 512
    rest: Annotated[
        int,
        typer.Option(min=0, help="Numbers for what is left outside them, if exact; divides --dim."),
    ] = 1024
    seed: Annotated[int, typer.Option(min=0, help="Of prompts, halves, sketch and bootstrap.")] = 0
    like: Annotated[
        str | None,
        typer.Option(
            help="File of an earlier step: the same prompts and alternatives are taken.",
            show_default="none",
        ),
    ] = None

    parameters: Annotated[
        str | None,
        typer.Option(
            help="Regular expression: only parameters in whose names it is found are measured.",
            show_default="all",
        ),
    ] = None

    def options(self) -> GradientOptions:
        """The same for ``measure_gradients``."""
        from cobasim.gradients import read_measured_gradients
        from cobatrain.gradients import GradientOptions

        values = vars(self) | {"like": self.like and read_measured_gradients(self.like)}
        return GradientOptions(**values).settled()


def gradients(
    config: ConfigOrRun,
    flags: GradientFlags,
    out: Annotated[str, typer.Option(help="File to write (.npz); a page with pictures beside it.")],
    run: RunOption = None,
    step: Annotated[
        int | None, typer.Option(min=1, help="Checkpoint of the run.", show_default="the newest")
    ] = None,
    settings: Settings = None,
    as_json: JsonFlag = False,
) -> None:
    """What a policy's gradients are made of, and a file for `cobasim --world measured:FILE`."""
    from cobatrain.config import load_config
    from cobatrain.parallel import PeerError

    file = Path(out)
    if file.suffix != ".npz":
        raise InputError(f"--out must end in .npz, got {out}")
    chosen, checkpoint = load_config(config, settings or []), checkpoint_of(config, run, step)
    options = flags.options()
    kept = f"what was measured is in {_parts_of(file)}; the same command goes on from there"
    try:
        with interruptible(kept):
            found = _measured(chosen, checkpoint, options, file)
    except PeerError:  # the rank that failed has said why
        raise typer.Exit(1) from None
    if found is None:
        return
    page = _write_page(found, file)
    if as_json:
        print(json.dumps(found.parts.to_json()))
        return
    show(_table(found))
    sentences = _sentences(found, chosen.loop.total_budget, chosen.loop.batch_size)
    say(*(f"- {line}" for line in sentences))
    size = file.stat().st_size / 2**20
    say_files({"file": f"{file} ({size:.1f} MiB)", "pictures": page})


def _parts_of(file: Path) -> Path:
    """The folder in which parts of a measurement are kept until the file is written."""
    return file.with_name(f"{file.name}.partial")


def _measured(
    config: TrainConfig, checkpoint: Path | None, options: GradientOptions, file: Path
) -> Measurement | None:
    """Measure and write the file, on all ranks that torchrun started; None on those but the first.

    What is found on the way is kept beside the file until it is written.
    """
    from cobasim.gradients import write_measured
    from cobatrain import trainer
    from cobatrain.gradients import Ledger, decide, identity, measure_gradients, plan_cost
    from cobatrain.parallel import joined, on_first, processes

    if config.parallel != "replicate" and processes() > 1:
        raise InputError(
            "gradients needs the whole model in each process: give --set parallel=replicate"
        )
    errors = Console(stderr=True)

    def tell(line: str) -> None:
        errors.print(line, highlight=False, soft_wrap=True)

    def prepared() -> None:
        if file.exists():
            raise InputError(f"{file} exists; choose another --out")
        trainer.prepare_if_missing(config, say=tell)
        trainer.warn_of_slow_bfloat16(config, tell)

    with joined(
        config.model.device, layout="replicate", timeout=config.engine.patience
    ) as parallel:
        first = parallel.rank == 0
        on_first(parallel, prepared)
        opened = trainer.open_learner(config, checkpoint=checkpoint, parallel=parallel)
        with opened as (learner, state):
            decision = decide(learner, options)
            cost = plan_cost(learner, decision)
            at = 0 if state is None else int(state["step"])
            if first:
                tell(f"method {decision.options.method}: {decision.why}")
                tell(cost.line())
            own = identity(learner, decision, at) if first else None
            with Ledger(parallel, _parts_of(file), own, tell) as ledger, progress_bar() as bar:
                phases: dict[str, Any] = {}

                def advance(what: str, done: int, total: int) -> None:
                    if not first:
                        return
                    if what not in phases:
                        phases[what] = bar.add_task(what, total=total)
                    bar.update(phases[what], completed=done)

                found = measure_gradients(learner, decision, advance, step=at, ledger=ledger)
                if not first:
                    return None
                write_measured(found.measured, file)
                ledger.remove()
    return found


def _table(found: Measurement) -> Table:
    table = narrow_table("Parts of a group's gradient: squared norms, 95 % intervals below")
    ratios = ("own/\nwithin", "shared/\nown")
    for column in ("prompts", "number", "within", "own", "shared", *ratios):
        table.add_column(column, justify="left" if column == "prompts" else "right", no_wrap=True)
    report = found.parts
    blocks = [[report.overall], report.by_rate, report.by_level]
    for block in blocks:
        for row in block:
            cells = [
                f"{_plain(part.value)}\n{_plain(part.low)} to {_plain(part.high)}"
                for part in (row.within, row.own, row.shared)
            ]
            by_rate = block is report.by_rate
            name = f"rate {row.name.replace(' to ', '-')}" if by_rate else row.name
            table.add_row(
                name, str(row.prompts), *cells, f"{row.ratio:.2g}", f"{row.signal:.2g}",
                end_section=row is block[-1],
            )  # fmt: skip
    return table


def _plain(value: float) -> str:
    """Three digits, without an exponent where people would write none."""
    return f"{float(f'{value:.3g}'):,.0f}" if 100 <= abs(value) < 1e7 else f"{value:.3g}"


def _sentences(found: Measurement, rollouts: int, batch: int) -> list[str]:
    """What follows from the parts, for the run's own step."""
    from cobatrain.gradients.group import mixed_prompts

    parts, info = found.parts.overall, found.measured.info
    rates = found.measured.rate[~found.measured.heldout]
    rates = rates[mixed_prompts(rates)]
    ratio = GradientParts.from_advantages(
        parts.within.value, parts.own.value, parts.shared.value, float((rates * (1 - rates)).mean())
    ).ratio
    if parts.own.low > 0:
        follows = [
            f"own / within is {parts.ratio:.2g}; in units of moves that is a `ratio` of "
            f"{ratio:.2g} for signal (--set parameters.ratio={ratio:.2g})",
            _verdict(parts.fewest_prompts(rollouts), rollouts, batch),
        ]
    else:
        follows = [
            f"own / within is not known: with {parts.prompts} mixed prompts a prompt's own part "
            "cannot be told from 0. Measure more groups (--groups, --prompts), or with more "
            "rollouts each (--rollouts)"
        ]
    return [
        *_of_method(info),
        *follows,
        f"an inner product of two features has an error of {info['sketch']['error']:.1%} of their "
        f"lengths from the sketch; {info['rank']} directions keep "
        f"{info['share of squared length kept']:.0%} of the squared lengths",
        f"took {info['seconds']:.0f} s",
    ]


def _verdict(fewest: float, rollouts: int, batch: int) -> str:
    """What the number of prompts at which concentration starts to hurt means for the run."""
    verdict = (
        f"the run's {batch} are fewer: concentrating rollouts on some prompts adds more noise than "
        "it removes"
        if batch < fewest
        else f"the run's {batch} are more: rollouts may be concentrated until 1 / sum w^2 is that"
    )
    return (
        f"with {rollouts} rollouts a step, what is a prompt's own outweighs the rollouts' noise "
        f"below {fewest:.0f} prompts; {verdict}"
    )


def _of_method(info: dict[str, Any]) -> list[str]:
    """What the method, and the choice of parameters, leave out."""
    said = []
    named, adapters = info["parameters measured"], info["adapters"]
    if named is not None or adapters is not None:
        which = "those" if adapters is None else f"those of the {adapters}"
        which += "" if named is None else f" in whose names {named} is found"
        said.append(
            f"of {info['parameters of the model']:,} parameters {info['parameters']:,} were "
            f"measured: {which}"
        )
    if info["method"] == "rollouts":
        said.append(
            f"{info['prompts without two passes and two failures']} prompts do not have two passes "
            f"and two failures ({info['prompts that never passed']} never passed, "
            f"{info['prompts that never failed']} never failed) in {info['rollouts of a prompt']} "
            f"rollouts, so their features could not be measured; they get {info['rule for these']}"
        )
    return said


def _write_page(found: Measurement, file: Path) -> Path:
    from cobasim.figures import gradient_parts, parts_over_steps, shared_between_levels
    from cobasim.files import write_atomically
    from cobasim.report import document, drawing, provenance

    report, info = found.parts.to_json(), found.measured.info
    shown = {
        k: v for k, v in info.items() if k not in ("config", "parts", "parts before", "versions")
    }
    body = drawing(gradient_parts(report)) + drawing(shared_between_levels(report))
    rows = [*info["parts before"], {"step": found.measured.step, "all": report["all"]}]
    if len(rows) > 1:
        over = parts_over_steps([row["step"] for row in rows], [row["all"] for row in rows])
        body = drawing(over) + body
    body += provenance(command_text("cobatrain"), shown, info["versions"])
    page = file.with_suffix(".html")
    write_atomically(page, document("What this policy's gradients are made of", body))
    return page
