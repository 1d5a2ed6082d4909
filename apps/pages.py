"""The script of the app, run for each visitor: its pages in the order of their questions."""

from __future__ import annotations

import streamlit as st

from cobasim_apps import batch, method, my_case, runs, sensitivity, simulation
from cobasim_apps.elements import ICON, PAGES, shown_errors, style
from cobasim_apps.options import options


def main() -> None:
    """Lay out the pages; an app that was started on one run opens with that run."""
    st.set_page_config(page_icon=ICON, layout="wide")  # first: an icon of a page is fetched
    saved_runs = st.Page(runs.page, title="My runs", url_path="runs", icon=":material/folder_open:")
    pages = {
        st.Page(my_case.page, title="Would it help?", icon=":material/help:", default=True): (
            "Would uneven budgets help my run?"
        ),
        st.Page(batch.page, title="On one batch?", url_path="batch", icon=":material/tune:"): (
            "What would it do to one batch?"
        ),
        st.Page(
            simulation.page, title="On a run?", url_path="simulation", icon=":material/play_circle:"
        ): "What would it do to a run?",
        st.Page(
            sensitivity.page,
            title="What decides?",
            url_path="sensitivity",
            icon=":material/grid_on:",
        ): "What does it depend on?",
        saved_runs: "My runs",
        st.Page(
            method.page, title="How does it work?", url_path="method", icon=":material/menu_book:"
        ): "How does it work?",
    }
    st.session_state[PAGES] = {page.url_path: page for page in pages}
    chosen = st.navigation(list(pages), position="top")
    st.set_page_config(page_title=f"{pages[chosen]} | rollout budgets")
    style()
    if options().run is not None and "greeted" not in st.session_state:
        st.session_state["greeted"] = True
        if chosen is next(iter(pages)):
            st.switch_page(saved_runs)
    with shown_errors():
        chosen.run()


main()
