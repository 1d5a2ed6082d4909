"""The what-if app: Streamlit pages over cobasim's allocators, worlds, records and figures.

Installed as ``cobasim_apps``; opened by ``cobasim explore`` or ``streamlit run apps/explorer.py``.
"""
