"""The first page: it answers for the example, and says when an answer is of other settings."""

from __future__ import annotations

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, figures_of, page

from cobasim.experiments import advice


def test_the_answer_is_that_of_the_command_and_goes_stale_with_the_settings(folder, monkeypatch):
    effort = advice.Effort(tried=4, kept=2, seeds=1)
    monkeypatch.setattr(advice, "Effort", lambda: effort)
    opened = page("my_case", case_M="16", case_B="128", case_visits="0.1")
    assert errors(opened) == ""
    assert figures_of(opened) == 0
    opened.button(key="case_ask").click().run()
    assert errors(opened) == ""
    assert figures_of(opened) == 1
    assert opened.subheader[0].value.startswith(("Use ", "Stay with uniform budgets"))
    assert not opened.warning
    command = opened.code[-1].value
    assert "--batch-size 16 --total-budget 128 --visits 0.1" in command
    opened.number_input(key="case_B").set_value(160).run()
    assert "have changed since" in opened.warning[0].value
    assert opened.code[-1].value == command
    opened.number_input(key="case_B").set_value(8).run()
    assert "128 rollouts" in errors(opened) or "total" in errors(opened)
