"""Entry of the app: ``streamlit run apps/explorer.py -- --runs FOLDER [--run FOLDER]``."""

from __future__ import annotations

from pathlib import Path

from starlette.middleware import Middleware
from streamlit.starlette import App

from cobasim_apps.first_load import FirstLoad

app = App(Path(__file__).with_name("pages.py"), middleware=[Middleware(FirstLoad)])
