"""Would uneven budgets help my run? An answer for one's own prompts, in one picture."""

from __future__ import annotations

import streamlit as st

from cobasim.experiments import advice
from cobasim_apps.elements import BIND, chart, command_line, folded, plain, shown_errors
from cobasim_apps.pass_rates import RatesFile, pass_rates_file

EXPLANATION = """
Give the pass rates of your prompts and the size of the run that you plan. Each allocator is tried
in worlds that your model could be; the answer says what is known of the difference to **uniform
budgets**, and what is not. Often it is to stay with them.
"""
SIMULATED = "Simulated runs: a quarter of a minute to a minute"


def page() -> None:
    """Draw the page."""
    st.title("Would uneven budgets help my run?")
    st.markdown(EXPLANATION)
    with shown_errors():
        file = pass_rates_file(example=True)
        if file is not None:
            _ask(file)


def _ask(file: RatesFile) -> None:
    """The sizes of the run, the button, and the answer to what was asked last."""
    pool = file.measured
    prompts, rollouts = advice.usual_sizes(pool.pass_rate.size)
    columns = st.columns(4, vertical_alignment="bottom")
    with columns[0]:
        batch = st.number_input("Prompts a step, M", 1, None, prompts, key="case_M", bind=BIND)
    with columns[1]:
        budget = st.number_input("Rollouts a step", 1, None, rollouts, key="case_B", bind=BIND)
    with columns[2]:
        visits = st.number_input(
            "Visits of each prompt", 0.1, None, 3.0, key="case_visits", bind=BIND,
            help="How often each prompt of the pool comes up in the run.",
        )  # fmt: skip
    with columns[3]:
        weighting = st.selectbox(
            "Loss weighted per", advice.WEIGHTINGS, key="case_weighting", bind=BIND,
            help="What counts equally in the loss. GRPO's usual losses: rollout.",
        )  # fmt: skip
    sizes = advice.Sizes(int(batch), int(budget), visits=float(visits), weighting=weighting)
    case = advice.of_pass_rates(pool, sizes)
    asked = (str(file.path), file.reading, sizes)
    if st.button("Ask", type="primary", key="case_ask"):
        words = ["advise", "--pass-rates", str(file.path), *file.reading.flags]
        words += ["--batch-size", str(case.batch_size), "--total-budget", str(case.total_budget)]
        words += ["--visits", f"{case.visits:g}", "--weighting", case.weighting]
        st.session_state["case_answer"] = (asked, _answer(case), words)
    kept = st.session_state.get("case_answer")
    if kept is None:
        return
    of, answer, command = kept
    if of != asked:
        st.warning("The settings have changed since: this is the answer to what was asked before.")
    _show(answer, command)


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
    st.markdown(
        "Go on: [what it would do to one batch](/batch) · [to a run](/simulation) · "
        "[how it works](/method)"
    )
