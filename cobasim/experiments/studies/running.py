"""Running a study: its folder, and the runs that are missing there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cobasim.errors import InputError
from cobasim.experiments import frame
from cobasim.experiments.studies.study import Answer, Options, Study
from cobasim.files import writing
from cobasim.runs import Sweep, claim_folder

PLAN = "study-plan.json"


def claim(study: Study, options: Options, out: Path) -> dict[str, Sweep]:
    """Make the folder of a study, or check that it belongs to this study; returns its sweeps.

    Every point is checked before anything is made. Raises InputError if the folder holds another
    study or anything else, for further allocators where the study takes none, and for a world or
    settings where the study has its own.
    """
    if options.allocators and not study.open_to_more:
        raise InputError(
            f"study {study.name!r} has its own allocators, got {', '.join(options.allocators)}; "
            "leave --allocators out"
        )
    if not study.needs_world and (options.world is not None or options.settings):
        raise InputError(f"study {study.name!r} has its own worlds: leave --world and --set out")
    parts = study.plan(options)
    frame.num_runs(parts)
    content: dict[str, Any] = {
        "study": study.name, "preset": options.preset, "allocators": options.allocators,
    }  # fmt: skip
    if study.needs_world:
        content |= {"world": options.world, "settings": dict(options.settings)}
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    claim_folder(out, text, kind="study", file=PLAN)
    frame.claim_parts(parts, out)
    return parts


def run_study(
    study: Study,
    options: Options,
    out: Path,
    parts: Mapping[str, Sweep],
    *,
    jobs: int | None = None,
    on_finished: Callable[[int], None] = lambda _: None,
) -> tuple[list[dict[str, Any]], Answer]:
    """Run what is missing of a claimed study; returns its rows and the answer they give.

    Args:
        study, options, out, parts: as for, and from, ``claim``.
        jobs: processes at a time; the rows of sweeps do not depend on it.
        on_finished: gets the number of runs just stored.

    Raises InputError if another process is writing to the folder.
    """
    with writing(out):
        rows = frame.run_parts(
            parts, out, jobs=jobs, on_finished=on_finished, measure=study.measure
        )
    rows += study.compute(options, jobs)
    return rows, study.answer(rows)
