"""Entry of the app: ``streamlit run apps/explorer.py -- --runs FOLDER [--run FOLDER]``."""

from __future__ import annotations

import streamlit as st

from cobasim_apps import batch, method, runs, sensitivity, simulation
from cobasim_apps.elements import ICON, shown_errors, style
from cobasim_apps.options import options


def main() -> None:
    """Lay out the pages; an app that was started on one run opens with that run."""
    st.set_page_config(page_title="Rollout budgets", page_icon=ICON, layout="wide")
    style()
    saved_runs = st.Page(runs.page, title="Runs", url_path="runs", icon=":material/folder_open:")
    pages = [
        st.Page(batch.page, title="One batch", icon=":material/tune:", default=True),
        st.Page(
            simulation.page,
            title="A simulated run",
            url_path="simulation",
            icon=":material/play_circle:",
        ),
        st.Page(
            sensitivity.page,
            title="Sensitivity",
            url_path="sensitivity",
            icon=":material/grid_on:",
        ),
        saved_runs,
        st.Page(
            method.page,
            title="About the method",
            url_path="method",
            icon=":material/menu_book:",
        ),
    ]
    chosen = st.navigation(pages, position="top")
    if options().run is not None and "greeted" not in st.session_state:
        st.session_state["greeted"] = True
        if chosen is pages[0]:
            st.switch_page(saved_runs)
    with shown_errors():
        chosen.run()


main()
