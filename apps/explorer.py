"""Entry of the app: ``streamlit run apps/explorer.py -- --runs FOLDER [--run FOLDER]``."""

from __future__ import annotations

import streamlit as st

from cobasim_apps import batch, common, method, runs, sensitivity, simulation


def main() -> None:
    """Lay out the pages."""
    st.set_page_config(page_title="Rollout budgets", page_icon=":material/stacked_bar_chart:", layout="wide")
    common.style()
    opened = common.options().run
    pages = [
        st.Page(batch.page, title="One batch", url_path="batch", icon=":material/tune:", default=opened is None),
        st.Page(simulation.page, title="A simulated run", url_path="simulation", icon=":material/play_circle:"),
        st.Page(sensitivity.page, title="Sensitivity", url_path="sensitivity", icon=":material/grid_on:"),
        st.Page(runs.page, title="Runs", url_path="runs", icon=":material/folder_open:", default=opened is not None),
        st.Page(method.page, title="About the method", url_path="method", icon=":material/menu_book:"),
    ]
    chosen = st.navigation(pages, position="top")
    with common.shown_errors():
        chosen.run()


main()
