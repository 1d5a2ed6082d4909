"""The page of sweeps."""

from __future__ import annotations

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, figures_of, page

from cobasim.runs import Parameter, Sweep, claim, points, run_sweep
from cobasim.scores import METRICS


def test_a_finished_sweep_is_drawn(folder):
    parameters = [Parameter.parse("tau=2,32"), Parameter.parse("kappa=7,11")]
    chosen = {
        "allocators": ("uniform", "coba"), "weightings": ("rollout",), "seeds": 2, "steps": 4,
        "batch_size": 32, "total_budget": 256,
    }  # fmt: skip
    sweep = Sweep("quick", {"num_prompts": 300}, chosen, tuple(points(parameters)))
    claim(sweep, folder / "sweep")
    run_sweep(sweep, folder / "sweep", jobs=1)
    opened = page("sensitivity", show="Finished sweep")
    assert errors(opened) == ""
    assert figures_of(opened) == 2  # a line, and a heatmap of coba
    assert len(opened.dataframe[0].value) == 2
    opened = page(
        "sensitivity",
        show="Finished sweep",
        metric=METRICS["final_heldout"][0],
        over="kappa",
        against="none",
    )
    assert errors(opened) == ""
    shown = {key: opened.selectbox(key=key).value for key in ("metric", "over", "against")}
    assert shown == {"metric": "final_heldout", "over": "kappa", "against": "none"}
    assert figures_of(opened) == 1


def test_a_bad_range_is_a_message(folder):
    opened = page("sensitivity", name1="tau")
    opened.text_input(key="values_tau").set_value("9:1").run()
    assert "empty" in errors(opened)
    opened.multiselect(key="sweep_allocators").set_value(["coba"]).run()  # the form is all there
    opened.text_input(key="values_tau").set_value("1,9").run()
    assert errors(opened) == ""
    assert "--allocators coba" in opened.code[0].value
    assert "--param tau=1,9" in opened.code[0].value
