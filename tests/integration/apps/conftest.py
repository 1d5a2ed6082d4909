import sys

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder that the app was started with."""
    runs = tmp_path / "runs"
    runs.mkdir()
    monkeypatch.setattr(sys, "argv", ["explorer.py", "--runs", str(runs)])
    return runs
