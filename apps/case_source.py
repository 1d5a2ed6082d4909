"""Widgets that say what one's own case is known by: pass rates, a uniform run, or gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from cobasim.experiments import advice
from cobasim.explorer import keep_log, uniform_runs
from cobasim.importing import LAYOUTS
from cobasim.world import MEASURED
from cobasim_apps.batch_source import SOURCES
from cobasim_apps.elements import BIND, folded, plain
from cobasim_apps.job_progress import jobs
from cobasim_apps.measured_world import UPLOAD as UPLOAD_GRADIENTS
from cobasim_apps.measured_world import measured_world
from cobasim_apps.options import options
from cobasim_apps.pass_rates import pass_rates_file, reading_query
from cobasim_apps.simulation_settings import FILE, MEASURED_KIND, tag_of
from cobasim_apps.stored_runs import stored_run
from cobasim_apps.uploads import uploaded

RATES, RUN, GRADIENTS = "Pass rates", "A uniform run", "Measured gradients"
UPLOAD = "Upload a trainer's log"
MOST_MIB = 200


@dataclass(frozen=True)
class Source:
    """What is known of a case.

    Attributes:
        case: the case with these sizes.
        flags: the same for ``cobasim advise``.
        known_by: equal for equal sources.
        tag: at the end of the keys of widgets whose defaults are this source's.
        sizes: prompts and rollouts a step, and visits, to start with.
        batch, simulation: queries that show it on these pages.
    """

    case: Callable[[advice.Sizes], advice.Case]
    flags: list[str]
    known_by: Any
    tag: str
    sizes: tuple[int, int, float]
    batch: dict[str, str] = field(default_factory=dict)
    simulation: dict[str, str] = field(default_factory=dict)


def case_source() -> Source | None:
    """The source that the widgets choose; None, with a hint, until there is one.

    Raises InputError for a file or a run that cannot be used.
    """
    have = st.segmented_control(
        "What do you have?", [RATES, RUN, GRADIENTS], default=RATES, key="case_have", bind=BIND,
        help="Each says more than the one before. Pass rates: how often the model passes each "
        "prompt. A uniform run: how it learned. Measured gradients: what its prompts teach each "
        "other (`cobatrain gradients`), at the price of some tens of training steps; where they "
        "had to be sampled, only their pass rates count.",
    )  # fmt: skip
    if have == RUN:
        return _run()
    return _gradients() if have == GRADIENTS else _rates()


def _rates() -> Source | None:
    file = pass_rates_file()
    if file is None:
        return None
    pool = file.measured
    prompts, rollouts = advice.usual_sizes(pool.pass_rate.size)
    query = {"rates_file": str(st.session_state["rates_file"])} | reading_query()
    return Source(
        lambda sizes: advice.of_pass_rates(pool, sizes),
        ["--pass-rates", str(file.path), *file.reading.flags],
        (str(file.path), file.reading),
        "",
        (prompts, rollouts, 3.0),
        {"source": SOURCES["upload"]} | query,
        {"pool": FILE} | query,
    )


def _run() -> Source | None:
    known = uniform_runs(options().runs)
    chosen = st.selectbox(
        "Uniform run", [*known, UPLOAD], key="case_run", bind=BIND,
        help=f"A run with uniform budgets in {plain(options().shown)}, of `cobatrain`, of a ledger "
        "or imported; or the log of another trainer.",
    )  # fmt: skip
    path = known.get(chosen) or _uploaded()
    if path is None:
        return None
    run = stored_run(path)
    case = advice.of_run(run, advice.Sizes())
    batch = {"source": SOURCES["recorded"], "recorded": chosen} if chosen in known else {}
    return Source(
        lambda sizes: advice.of_run(run, sizes),
        ["--run", str(path)],
        (str(path), len(run.steps)),
        tag_of(str(path)),
        (case.batch_size, case.total_budget, case.visits),
        batch,
    )


def _uploaded() -> Path | None:
    """The run of an uploaded log; None until there is one."""
    left, right = st.columns(2)
    with left:
        layout = st.selectbox(
            "Written by", list(LAYOUTS), key="case_layout", bind=BIND,
            help="jsonl: any table with one row a rollout. If columns have other names, use "
            "`cobasim import`, and choose its run here.",
        )  # fmt: skip
    with right:
        passed = st.number_input(
            "Least score of a pass", None, None, None, key="case_passed", bind=BIND,
            placeholder="scores are -1, 0 or 1", help="Not needed where scores are -1, 0 or 1.",
        )  # fmt: skip
    made = uploaded(
        "Rollouts of a uniform run",
        lambda files: keep_log(files, layout, passed, jobs().root / "logs"),
        key="case_upload", several=True, most_mib=MOST_MIB,
        instead="use `cobasim import` and choose its run",
        help="verl: the files of trainer.rollout_data_dir. TRL: those of completions.",
    )  # fmt: skip
    if made is None:
        st.info("Upload the log of a run with uniform budgets, or choose another source.")
        return None
    path, notes = made
    part = folded("What was read, used and left out", "case_read")
    if part.open:
        with part:
            st.markdown(plain(notes))
    return path


def _gradients() -> Source | None:
    world = measured_world()
    if world is None:
        return None
    files = world.removeprefix(MEASURED)
    case, tag = advice.of_measured(files, advice.Sizes()), tag_of(world)
    query = {"world": MEASURED_KIND}
    if st.session_state["measured"] != UPLOAD_GRADIENTS:
        query["measured"] = st.session_state["measured"]
    return Source(
        lambda sizes: advice.of_measured(files, sizes),
        ["--measured", files],
        files,
        tag,
        (case.batch_size, case.total_budget, case.visits),
        {},
        query,
    )
