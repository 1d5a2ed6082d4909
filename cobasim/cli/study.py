"""``cobasim study``: questions that the CoBA paper leaves open."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from cobasim.cli.common import JsonFlag, command_text
from cobasim.cli.options import JobsOption, SettingsOption, allocator_list, plain_settings
from cobasim.cli.output import resumable, run_bar, say


def study(
    name: Annotated[
        str | None, typer.Argument(help="Which study.", show_default="lists them all")
    ] = None,
    list_them: Annotated[bool, typer.Option("--list", help="List the studies.")] = False,
    preset: Annotated[
        str, typer.Option(help="quick, full, or tiny (only shows that it works).")
    ] = "quick",
    allocators: Annotated[
        str | None,
        typer.Option(
            help="Further allocators, comma-separated, for a study that compares them.",
            show_default="none",
        ),
    ] = None,
    world: Annotated[
        str | None,
        typer.Option(
            help="measured:FILE, for a study of a measured world.", show_default="the study's own"
        ),
    ] = None,
    settings: SettingsOption = None,
    jobs: JobsOption = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder; the same command resumes there.",
            show_default="runs/study-NAME-PRESET",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Answer a question that the CoBA paper leaves open: a plan, a report, a conclusion."""
    from cobasim.experiments import num_runs, studies

    if name is None or list_them:
        _list(as_json)
        return
    chosen = studies.STUDIES.find(name)
    options = studies.Options(
        studies.find_preset(preset),
        allocator_list(allocators or ""),
        world,
        plain_settings(settings),
    )
    folder = Path(out or f"runs/study-{chosen.name}-{preset}")
    began = time.perf_counter()
    parts = studies.claim(chosen, options, folder)
    total = num_runs(parts)
    with resumable(folder):
        with run_bar(chosen.name, total or None) as advance:
            _, answer = studies.run_study(
                chosen, options, folder, parts, jobs=jobs, on_finished=advance
            )
        files = studies.store(chosen, options, folder, parts, answer, command=command_text())
    if as_json:
        print(json.dumps({"study": chosen.name, "conclusion": answer.conclusion}))
        return
    say(chosen.question)
    say(*(f"- {line}" for line in answer.conclusion))
    say(f"\n{total} runs, {time.perf_counter() - began:.1f} s")
    say(*map(str, files), wrap=False)


def _list(as_json: bool) -> None:
    from cobasim.experiments.studies import STUDIES

    questions = {name: study.question for name, study in STUDIES.items()}
    if as_json:
        print(json.dumps(questions))
        return
    for name, question in questions.items():
        print(f"{name:12} {question}")
