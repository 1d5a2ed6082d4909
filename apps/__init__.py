"""The what-if app: Streamlit pages over cobasim's allocators, worlds, records and figures.

Widgets only; what they compute is in ``cobasim.explorer`` and the rooms below it. Installed as
``cobasim_apps``; opened by ``cobasim explore`` or ``streamlit run apps/explorer.py``.
"""
