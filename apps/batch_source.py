"""Widgets that describe one batch of prompts: where its pass rates come from, what is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from cobasim.allocation import Observation
from cobasim.arrays import FloatArray
from cobasim.data import MeasuredRates
from cobasim.errors import InputError
from cobasim.explorer import estimated, mark_unseen, nearest_step
from cobasim.records import find_runs
from cobasim.whatif import knows_attempts, observation_of_bins
from cobasim.world import POPULATIONS, draw_pass_rates
from cobasim_apps.elements import BIND, shown_errors
from cobasim_apps.options import options
from cobasim_apps.pass_rates import pass_rates_file
from cobasim_apps.stored_runs import stored_run

MOST_PROMPTS = 4096
SOURCES = {
    "population": "A population of the simulator",
    "beta": "A Beta distribution",
    "upload": "Measured pass rates",
    "recorded": "A step of a recorded run",
}


@dataclass(frozen=True)
class Batch:
    """A batch, and whether the attempts behind its estimates are known."""

    observation: Observation
    attempts_known: bool = True


def batch_source() -> Batch | None:
    """The batch as the widgets describe it; None where a message says why there is none."""
    source = st.selectbox(
        "Source of pass rates", list(SOURCES), format_func=SOURCES.__getitem__, key="source",
        bind=BIND,
    )  # fmt: skip
    with shown_errors():
        return _recorded() if source == "recorded" else _drawn(source)
    return None


def _drawn(source: str) -> Batch | None:
    """A batch drawn at random, or from a file."""
    size = int(st.number_input("Prompts in the batch, M", 1, MOST_PROMPTS, 512, key="M", bind=BIND))
    seed = int(st.number_input("Random seed", 0, 10**6, 0, key="seed", bind=BIND))
    rng = np.random.default_rng([seed, size])
    if source == "population":
        name = st.selectbox("Population", list(POPULATIONS), key="population", bind=BIND)
        rates, attempts = _estimated(draw_pass_rates(rng, size, name), rng)
    elif source == "beta":
        a = st.slider("Beta a", 0.1, 10.0, 1.0, 0.1, key="a", bind=BIND)
        b = st.slider("Beta b", 0.1, 10.0, 2.0, 0.1, key="b", bind=BIND)
        rates, attempts = _estimated(rng.beta(a, b, size), rng)
    else:
        file = pass_rates_file()
        if file is None:
            return None
        rates, attempts = _of_file(file.measured, size, rng)
    unseen = st.slider("Unseen prompts (%)", 0, 100, 0, key="unseen", bind=BIND)
    attempts = mark_unseen(attempts, unseen, rng)
    return Batch(_observation(rates, attempts, failure_rate=1.0 - float(rates.mean())))


def _of_file(
    measured: MeasuredRates, size: int, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Rates and attempts (m,) of a file, or of a part of it; m at most ``size``."""
    rates, attempts = measured.pass_rate, measured.attempts
    if attempts is None:
        number = st.number_input(
            "Rollouts per pass-rate estimate", 1, 100_000, 16, key="behind_upload", bind=BIND,
            help="The file does not say. Allocators such as signal weigh it.",
        )  # fmt: skip
        attempts = np.full(rates.shape, float(number))
    if rates.size > size:
        chosen = rng.choice(rates.size, size, replace=False)
        st.caption(f"{size} of {rates.size:,} prompts, drawn at random with the seed.")
        return rates[chosen], attempts[chosen]
    st.caption(f"All {rates.size:,} prompts of the file.")
    return rates, attempts


def _estimated(true: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    rollouts = st.select_slider(
        "Rollouts per pass-rate estimate",
        ["exact", "4", "8", "16", "32", "64"],
        value="16",
        key="behind",
        bind=BIND,
        help="Each estimate is the pass count of this many rollouts. exact: the true pass rates.",
    )
    return estimated(true, None if rollouts == "exact" else int(rollouts), rng)


def _recorded() -> Batch | None:
    """A step of a recorded run."""
    folder = options().runs
    paths = find_runs(folder) if folder.is_dir() else []
    names = [str(path.relative_to(folder)) for path in paths]
    if not names:
        st.info(f"No recorded runs in {options().shown}.")
        return None
    name = st.selectbox("Run", names, key="recorded", bind=BIND)
    run = stored_run(folder / name)
    steps = [step.step for step in run.steps if step.bins is not None]
    number = steps[0] if steps else 0
    if len(steps) > 1:
        number = st.slider("Step", steps[0], steps[-1], steps[-1], key="step", bind=BIND)
    try:
        step = nearest_step(run, number)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    assert step.bins is not None
    obs = observation_of_bins(step.bins, step.smoothed_failure_rate)
    st.caption(
        f"{obs.pass_rate.size} prompts of step {step.step}, each at the middle of its pass-rate "
        "bin: records keep counts, not prompts."
    )
    known = knows_attempts(step.bins)
    if not known:
        st.caption("This run does not record how many attempts are behind its estimates.")
    seen = _observation(obs.pass_rate, obs.attempts, failure_rate=step.smoothed_failure_rate)
    return Batch(seen, attempts_known=known)


def _observation(
    rates: FloatArray, attempts: FloatArray, failure_rate: float | None
) -> Observation:
    """The batch with a failure rate, its own or a chosen one, and the progress of the run."""
    own = st.toggle(
        "Use this batch's failure rate",
        value=True,
        key="own",
        bind=BIND,
        help="The shape of CoBA's preference follows the policy's failure rate over the past "
        "steps. Switch off to choose that rate.",
    )
    if not own:
        failure_rate = st.slider(
            "Smoothed failure rate", 0.0, 1.0, 0.6, 0.01, key="failure", bind=BIND
        )
    elif failure_rate is not None:
        st.caption(f"Failure rate: {failure_rate:.3f}")
    progress = st.slider(
        "Progress of the run (%)", 0, 100, 0, key="progress", bind=BIND,
        help="Used by linear-decay.",
    )  # fmt: skip
    return Observation(rates, attempts, failure_rate=failure_rate, progress=progress / 100)
