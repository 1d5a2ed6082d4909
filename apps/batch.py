"""What-if: one batch of prompts, several allocators."""

from __future__ import annotations

from functools import partial

import streamlit as st

from cobasim.allocation import Limits
from cobasim.explorer import budgets_csv
from cobasim.figures import class_shares, marginal_gains, preferences, prompt_budgets
from cobasim.whatif import Outcome, outcome_table, what_if
from cobasim_apps.allocators import allocator_help, parameter_sliders
from cobasim_apps.batch_source import Batch, batch_source
from cobasim_apps.elements import BIND, chart, shown_errors
from cobasim_apps.options import allocator_names

MOST_ROLLOUTS = 524_288


def page() -> None:
    """Draw the page."""
    st.title("One batch: who gets how many rollouts?")
    left, right = st.columns([1, 3], gap="medium")
    with left:
        batch = batch_source()
    with right:
        if batch is not None:
            with shown_errors():
                _answer(batch)


def _answer(batch: Batch) -> None:
    """What each chosen allocator does with the batch."""
    obs = batch.observation
    size = obs.pass_rate.size
    names = st.multiselect(
        "Allocators",
        allocator_names(one_batch=True),
        default=["uniform", "knapsack", "coba"],
        key="allocators",
        bind=BIND,
        help=allocator_help(),
    )
    limits = _limits(size)
    parameters = parameter_sliders(names, prefix="batch")
    if not names:
        st.info("Choose at least one allocator.")
        return
    outcomes = what_if(obs, limits, names, parameters, attempts_known=batch.attempts_known)
    limits = limits.for_batch(size)
    st.dataframe(outcome_table(outcomes), hide_index=True, key="summary")
    st.caption(
        "sum, min, max: of the budgets, in rollouts. at low, at high: prompts at a bound. mixed: "
        "expected share of mixed groups. update: expected "
        "std-normalised GRPO step along the prompts' own gradients, in 0.001 logits, with the "
        "loss weighted per rollout or per prompt. mixed and update take the estimates for the "
        "truth. time: best of three."
    )
    left, right = st.columns(2)
    with left:
        chart(prompt_budgets(outcomes, obs), "budgets")
    with right:
        chart(class_shares(outcomes, obs), "shares")
    chart(preferences(outcomes, limits.total / size), "preferences")
    valued = [outcome for outcome in outcomes if outcome.value is not None]
    if valued:
        _gains(valued, limits)
    st.download_button(
        "Download budgets (CSV)", partial(budgets_csv, obs, outcomes), "budgets.csv", "text/csv",
        on_click="ignore",
    )  # fmt: skip


def _limits(size: int) -> Limits:
    left, middle, right = st.columns(3)
    with left:
        total = st.number_input(
            "Total budget (rollouts)", 1, MOST_ROLLOUTS, 16 * size, key=f"total_{size}", bind=BIND
        )
    with middle:
        low = st.number_input("Min rollouts per prompt", 0, 1024, 2, key="low", bind=BIND)
    with right:
        high = st.number_input("Max rollouts per prompt", 1, 2048, 128, key="high", bind=BIND)
    return Limits(int(total), int(low), int(high))


def _gains(valued: list[Outcome], limits: Limits) -> None:
    with st.container(border=True):
        left, right = st.columns([1, 2])
        with left:
            names = [outcome.allocator for outcome in valued]
            name = st.selectbox("Show marginal gains of", names, index=len(names) - 1, key="gains")
        with right:
            rates = st.multiselect(
                "For prompts with pass rates near",
                [round(0.05 * k, 2) for k in range(1, 20)],
                default=[0.1, 0.3, 0.5, 0.7, 0.9],
                max_selections=6,
                key="rates",
            )
        if rates:
            outcome = next(outcome for outcome in valued if outcome.allocator == name)
            chart(marginal_gains(outcome, limits, rates), "marginal")
