"""The page of recorded runs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from synthetic_runs import header, steps_of, write_run

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, figures_of, page, sound

from cobasim.budgets import BudgetLedger
from cobasim.records import RunWriter


def test_runs_are_listed_laid_over_each_other_and_foreign_ones_are_named(folder):
    write_run(folder / "a" / "uniform", "uniform")
    write_run(folder / "a" / "coba", "coba")
    cut = folder / "cut"
    write_run(cut, "knapsack")
    whole = (cut / "steps.jsonl").read_bytes()
    (cut / "steps.jsonl").write_bytes(whole[: len(whole) * 2 // 3])
    (folder / "foreign").mkdir()
    (folder / "foreign" / "header.json").write_text('{"hello": 1}')
    (folder / "headless").mkdir()
    (folder / "headless" / "steps.jsonl").write_text("{}\n")
    broken = folder / "broken"
    write_run(broken, "coba")
    (broken / "steps.jsonl").write_text("no json\n")
    with BudgetLedger(8, allocator="coba", records=folder / "own") as ledger:
        ledger.tell(["x", "y"], ledger.ask(["x", "y"]), [1, 3], evaluation={"heldout": 0.4})
    opened = page("runs")
    table = sound(opened).dataframe[0].value
    assert len(table) == 7
    assert table[table["run"] == "own"]["source"].tolist() == ["ledger"]
    assert sorted(table[table["problem"] != ""]["run"]) == ["broken", "foreign", "headless"]
    named = " ".join(item.value.replace("\\", "") for item in opened.warning)
    assert all(name in named for name in ("broken", "foreign", "headless"))
    assert opened.multiselect(key="open").options == ["a/coba", "a/uniform", "cut", "own"]
    opened.multiselect(key="open").set_value(["a/coba", "a/uniform", "cut", "own"]).run()
    assert errors(opened) == ""
    assert figures_of(opened) >= 5


def test_how_far_estimates_are_from_the_truth_is_drawn(folder):
    """Of runs whose evaluations knew true pass rates of the pool, wherever these lie."""
    known = {"estimate_error": 0.2, "estimate_correlation": 0.5}
    with RunWriter(folder / "exact", header("coba", 0)) as writer:
        for record in steps_of("coba", 0, 70):
            evaluation = {**record.evaluation, **known} if record.step == 0 else None
            writer.append(replace(record, evaluation=evaluation))
    write_run(folder / "sampled", "coba")
    count = {}
    for name in ("exact", "sampled"):
        opened = page("runs", open=name)
        assert errors(opened) == ""
        figures = [json.loads(x.proto.spec)["layout"]["title"] for x in opened.get("plotly_chart")]
        titles = [figure["text"].replace("<br>", " ") for figure in figures]
        count[name] = sum(title.startswith(("Error of", "Correlation of")) for title in titles)
    assert count == {"exact": 2, "sampled": 0}


def test_samples_are_plain_text(folder):
    write_run(folder / "real", "coba")
    line = '{"step": 1, "prompt": "<b>1+1</b>=", "response": "![x](http://e.org/x)", "reward": 0}\n'
    (folder / "real" / "samples.jsonl").write_text(line + '{"step": 2, "pro')
    opened = page("runs")
    opened.multiselect(key="open").set_value(["real"]).run()
    assert errors(opened) == ""
    shown = opened.dataframe[1].value
    assert shown["response"].tolist() == ["![x](http://e.org/x)"]
    assert "example" not in " ".join(item.value for item in opened.markdown)


def test_paths_come_from_the_apps_folder_only(folder):
    (folder.parent / "secret").mkdir()
    write_run(folder.parent / "secret" / "run", "coba")
    opened = page("runs", open="../secret/run")
    assert figures_of(sound(opened)) == 0
