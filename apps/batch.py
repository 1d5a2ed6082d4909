"""What-if: one batch of prompts, several allocators."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import streamlit as st

from cobasim.allocation import Limits, Observation
from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.figures import class_shares, marginal_gains, preferences, prompt_budgets
from cobasim.records import find_runs, read_run
from cobasim.whatif import Outcome, observation_of_bins, outcome_table, what_if
from cobasim.world.prompts import POPULATIONS, draw_pass_rates
from cobasim_apps import common
from cobasim_apps.common import BIND, chart

MOST_PROMPTS, MOST_ROLLOUTS = 4096, 524_288
SOURCES = {
    "population": "A population of the simulator",
    "beta": "A Beta distribution",
    "upload": "Measured pass rates (upload)",
    "recorded": "A step of a recorded run",
}


def page() -> None:
    """Draw the page."""
    st.title("One batch: who gets how many rollouts?")
    left, right = st.columns([1, 3], gap="medium")
    with left:
        obs = _batch()
    with right:
        if obs is not None:
            with common.shown_errors():
                _answer(obs)


def _batch() -> Observation | None:
    """The batch as the widgets on the left describe it; None where a message says why not."""
    source = st.selectbox(
        "Pass rates from", list(SOURCES), format_func=SOURCES.__getitem__, key="source", bind=BIND
    )
    with common.shown_errors():
        if source == "recorded":
            return _recorded()
        size = st.number_input("Prompts in the batch, M", 1, MOST_PROMPTS, 512, key="M", bind=BIND)
        seed = st.number_input("Seed of the draw", 0, 10**6, 0, key="seed", bind=BIND)
        rng = np.random.default_rng([int(seed), int(size)])
        if source == "population":
            name = st.selectbox("Population", list(POPULATIONS), key="population", bind=BIND)
            rates = _measured(draw_pass_rates(rng, int(size), name), rng)
        elif source == "beta":
            a = st.slider("Beta a", 0.1, 10.0, 1.0, 0.1, key="a", bind=BIND)
            b = st.slider("Beta b", 0.1, 10.0, 2.0, 0.1, key="b", bind=BIND)
            rates = _measured(rng.beta(a, b, int(size)), rng)
        else:
            uploaded = common.uploaded_pass_rates("upload")
            if uploaded is None:
                st.info("Upload a file, or choose another source.")
                return None
            rates = uploaded
            if rates.size > size:
                rates = rng.choice(rates, int(size), replace=False)
                st.caption(f"{size} of {uploaded.size:,} prompts, drawn with the seed.")
            else:
                st.caption(f"All {rates.size:,} prompts of the file.")
        unseen = st.slider("Never seen before (% of prompts)", 0, 100, 0, key="unseen", bind=BIND)
        attempts = np.ones(rates.size)
        attempts[rng.permutation(rates.size)[: round(rates.size * unseen / 100)]] = 0.0
        return _with_failure_rate(rates, attempts, default=1.0 - float(rates.mean()))
    return None


def _measured(true: FloatArray, rng: np.random.Generator) -> FloatArray:
    rollouts = st.select_slider(
        "Rollouts behind each estimate",
        ["exact", "4", "8", "16", "32", "64"],
        value="16",
        key="behind",
        bind=BIND,
        help="Estimates are pass counts of so many rollouts; exact: the true rates.",
    )
    if rollouts == "exact":
        return true
    return np.asarray(rng.binomial(int(rollouts), true) / int(rollouts))


def _with_failure_rate(
    rates: FloatArray, attempts: FloatArray, default: float | None
) -> Observation:
    own = st.toggle(
        "Failure rate of the batch itself",
        value=True,
        key="own",
        bind=BIND,
        help="CoBA's shape follows the policy's global failure rate over the past steps. Off: "
        "choose it.",
    )
    rate = default
    if not own:
        rate = st.slider("Global failure rate", 0.0, 1.0, 0.6, 0.01, key="failure", bind=BIND)
    elif default is not None:
        st.caption(f"Failure rate: {default:.3f}")
    progress = st.slider(
        "Progress of the run (%)", 0, 100, 0, key="progress", bind=BIND, help="For linear-decay."
    )
    return Observation(rates, attempts, failure_rate=rate, progress=progress / 100)


def _recorded() -> Observation | None:
    folder = common.options().runs
    found = find_runs(folder) if folder.is_dir() else []
    names = [str(path.relative_to(folder)) for path in found]
    if not names:
        st.info(f"No recorded runs below {common.options().shown}.")
        return None
    name = st.selectbox("Run", names, key="recorded", bind=BIND)
    run = read_run(Path(folder) / name)
    steps = [step for step in run.steps if step.bins is not None]
    if not steps:
        raise InputError(f"{name} has recorded no budgets yet; choose another run")
    if len(steps) > 1:
        number = st.slider("Step", steps[0].step, steps[-1].step, steps[-1].step, key="step")
    else:
        number = steps[0].step
    step = min(steps, key=lambda item: abs(item.step - number))
    assert step.bins is not None
    obs = observation_of_bins(step.bins, step.smoothed_failure_rate)
    st.caption(
        f"{obs.pass_rate.size} prompts of step {step.step}, each in the middle of its bin "
        "(records keep counts, not prompts)."
    )
    return _with_failure_rate(obs.pass_rate, obs.attempts, default=step.smoothed_failure_rate)


def _answer(obs: Observation) -> None:
    size = obs.pass_rate.size
    names = st.multiselect(
        "Allocators",
        common.allocator_names(plain=True),
        default=["uniform", "knapsack", "coba"],
        key="allocators",
        bind=BIND,
        help=common.allocator_help(),
    )
    one, two, three = st.columns(3)
    with one:
        total = st.number_input(
            "Total budget (rollouts)", 1, MOST_ROLLOUTS, 16 * size, key=f"total_{size}", bind=BIND
        )
    with two:
        low = st.number_input("Fewest of a prompt", 0, 1024, 2, key="low", bind=BIND)
    with three:
        high = st.number_input("Most of a prompt", 1, 2048, 128, key="high", bind=BIND)
    given = common.parameters(names, prefix="batch")
    if not names:
        st.info("Choose at least one allocator.")
        return
    limits = Limits(int(total), int(low), int(high))
    outcomes = what_if(obs, limits, names, given)
    limits = limits.for_batch(size)
    st.dataframe(outcome_table(outcomes), hide_index=True, key="summary")
    st.caption(
        "sum, min, max: of the budgets, in rollouts. at low, at high: prompts at a bound. mixed: "
        "expected share of mixed groups. update: expected std-normalised GRPO step along the "
        "prompts' own gradients, in 0.001 logits, with prompts weighted in the loss by their "
        "rollouts, or equally. Both take the estimates for the truth. time: best of three."
    )
    one, two = st.columns(2)
    with one:
        chart(prompt_budgets(outcomes, obs), "budgets")
    with two:
        chart(class_shares(outcomes, obs), "shares")
    chart(preferences(outcomes, limits.total / size), "preferences")
    valued = [outcome for outcome in outcomes if outcome.value is not None]
    if valued:
        _gains(valued, limits)
    st.download_button(
        "Budgets as CSV", _csv(obs, outcomes), "budgets.csv", "text/csv", on_click="ignore"
    )


def _gains(valued: list[Outcome], limits: Limits) -> None:
    with st.container(border=True):
        one, two = st.columns([1, 2])
        with one:
            names = [outcome.allocator for outcome in valued]
            name = st.selectbox("Marginal gains of", names, index=len(names) - 1, key="gains")
        with two:
            rates = st.multiselect(
                "Prompts nearest to the pass rates",
                [round(0.05 * k, 2) for k in range(1, 20)],
                default=[0.1, 0.3, 0.5, 0.7, 0.9],
                max_selections=6,
                key="rates",
            )
        if rates:
            outcome = next(outcome for outcome in valued if outcome.allocator == name)
            chart(marginal_gains(outcome, limits, rates), "marginal")


def _csv(obs: Observation, outcomes: list[Outcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["pass_rate", "attempts", *(outcome.allocator for outcome in outcomes)])
    columns = [outcome.budgets.tolist() for outcome in outcomes]
    writer.writerows(zip(obs.pass_rate.tolist(), obs.attempts.tolist(), *columns, strict=True))
    return text.getvalue()
