"""Would uneven budgets help my run? An answer for one's own prompts, in one picture."""

from __future__ import annotations

import streamlit as st

from cobasim.experiments import advice
from cobasim_apps.case_source import Source, case_source
from cobasim_apps.elements import BIND, PAGES, chart, command_line, folded, plain, shown_errors

EXPLANATION = """
Say what you know of your model, and the size of the run that you plan. Each allocator is tried in
worlds that your model could be; the answer says what is known of the difference to **uniform
budgets**, and what is not. Often it is to stay with them.
"""
SIMULATED = "Simulated runs: a quarter of a minute to three minutes"


def page() -> None:
    """Draw the page."""
    st.title("Would uneven budgets help my run?")
    st.markdown(EXPLANATION)
    with shown_errors():
        source = case_source()
        if source is not None:
            _ask(source)


def _ask(source: Source) -> None:
    """The sizes of the run, the button, and the answer to what was asked last."""
    prompts, rollouts, visited = source.sizes
    tag = source.tag
    columns = st.columns(4, vertical_alignment="bottom")
    with columns[0]:
        batch = st.number_input(
            "Prompts a step, M", 1, None, prompts, key=f"case_M{tag}", bind=BIND
        )
    with columns[1]:
        budget = st.number_input(
            "Rollouts a step", 1, None, rollouts, key=f"case_B{tag}", bind=BIND
        )
    with columns[2]:
        visits = st.number_input(
            "Visits of each prompt", 0.1, None, max(0.1, visited), key=f"case_visits{tag}",
            bind=BIND, help="How often each prompt of the pool comes up in the run.",
        )  # fmt: skip
    with columns[3]:
        weighting = st.selectbox(
            "Loss weighted per", advice.WEIGHTINGS, key="case_weighting", bind=BIND,
            help="What counts equally in the loss. GRPO's usual losses: rollout.",
        )  # fmt: skip
    sizes = advice.Sizes(int(batch), int(budget), visits=float(visits), weighting=weighting)
    case = source.case(sizes)
    asked = (source.known_by, sizes)
    if st.button("Ask", type="primary", key="case_ask"):
        words = ["advise", *source.flags]
        words += ["--batch-size", str(case.batch_size), "--total-budget", str(case.total_budget)]
        words += ["--visits", f"{case.visits:g}", "--weighting", case.weighting]
        st.session_state["case_answer"] = (asked, _answer(case), words)
    kept = st.session_state.get("case_answer")
    if kept is not None:
        of, answer, command = kept
        if of != asked:
            st.warning(
                "The settings have changed since: this is the answer to what was asked before."
            )
        _show(answer, command)
    _go_on(source, case)


def _answer(case: advice.Case) -> advice.Advice:
    """Simulate, with a bar."""
    effort = advice.Effort()
    total, done = advice.num_runs(case, effort), 0
    bar = st.progress(0.0, text=SIMULATED)

    def advance() -> None:
        nonlocal done
        done += 1
        bar.progress(min(1.0, done / total), text=SIMULATED)

    answer = advice.advise(case, effort, on_finished=advance)
    bar.empty()
    return answer


def _show(answer: advice.Advice, command: list[str]) -> None:
    """The recommendation, the picture, what drives it, and where to go on."""
    first, *others = advice.lines(answer)
    st.subheader(plain(first))
    chart(advice.figure(answer), key="case_picture")
    st.markdown("\n".join(f"- {plain(line)}" for line in others))
    trainer = st.segmented_control(
        "Settings for", list(advice.TRAINERS), default="cobatrain", key="case_trainer", bind=BIND
    )
    st.code(advice.snippet(answer, trainer or "cobatrain"), language="python")
    part = folded("Groups that teach nothing under uniform budgets, by pass rate", "case_silent")
    if part.open:
        with part:
            st.dataframe(
                [
                    {"pass rate": name, "prompts": count, "one outcome, %": round(100 * share, 1)}
                    for name, count, share in answer.silent
                ],
                hide_index=True,
            )
    st.caption("The same on the command line:")
    command_line(command)


def _go_on(source: Source, case: advice.Case) -> None:
    """Links to other pages, which show the same case there."""
    size, spent = str(case.batch_size), str(case.total_budget)
    steps = 10 * max(1, min(100, round(case.steps / 10)))
    tag = source.tag if source.simulation.get("world") else ""
    bounds = {"low": str(case.low), "high": str(case.high)}
    queries = {
        "batch": {"M": size, f"total_{size}": spent} | bounds | source.batch,
        "simulation": {f"batch{tag}": size, f"budget{tag}": spent, f"steps{tag}": str(steps)}
        | {f"sim_{name}{tag}": value for name, value in bounds.items()}
        | {"weighting": case.simulated_weighting}
        | source.simulation,
        "sensitivity": {},
        "method": {},
    }
    if not (source.batch and source.simulation):
        st.caption(
            "Pages that cannot show this source start with prompts of the simulator, at your sizes."
        )
    texts = {
        "batch": "What would it do to one batch?",
        "simulation": "What would it do to a run?",
        "sensitivity": "What does it depend on?",
        "method": "How does it work?",
    }
    pages = st.session_state.get(PAGES, {})
    for name, column in zip(texts, st.columns(len(texts)), strict=True):
        if name in pages:
            with column:
                st.page_link(
                    pages[name], label=texts[name], query_params=queries[name],
                    icon=":material/arrow_forward:",
                )  # fmt: skip
