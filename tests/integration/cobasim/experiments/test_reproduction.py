"""The reproduction: complete, the same when resumed, and honest about what it cannot tell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
from plotly.offline import get_plotlyjs

from cobasim import runs as sweeps
from cobasim.allocation import Limits, make_allocator
from cobasim.errors import InputError
from cobasim.experiments import reproduction
from cobasim.experiments.reproduction import paper, solver_times
from cobasim.experiments.reproduction.ablations import contrasts
from cobasim.experiments.reproduction.plan import ABLATIONS, HALF_ARM, MODELS, distinct_runs
from cobasim.experiments.reproduction.reasons import likeliest
from cobasim.experiments.reproduction.rows import thin
from cobasim.experiments.reproduction.tables import centred, peak
from cobasim.experiments.reproduction.weighting import SIGNALS, pulls
from cobasim.loop import LoopConfig, run
from cobasim.records import StepRecord, bin_counts
from cobasim.runs import PRESETS as COMPARE_PRESETS
from cobasim.runs import RunConfig, build_loop
from cobasim.settings import validated
from cobasim.updates import group_weights
from cobasim.world import WorldConfig

TINY = reproduction.Preset(
    batch_size=12, num_prompts=36, num_heldout=24, steps=9, seeds=2, high=64
)  # fmt: skip
SMALL_WORLD = {"num_prompts": 64, "num_heldout": 32}
SMALL_LOOP = {"steps": 12, "batch_size": 16, "total_budget": 256}


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """(folder, content) of a whole tiny reproduction."""
    out = tmp_path_factory.mktemp("reproduction") / "tiny"
    patch = pytest.MonkeyPatch()
    patch.setattr(
        solver_times, "solver_seconds", lambda *_: {"dp": 2.0, "heap": 0.5, "threshold": 0.01}
    )
    content = reproduction.reproduce(TINY, out, command="cobasim reproduce <tiny>", jobs=2)
    patch.undo()
    return out, content


def test_every_table_and_figure_is_there_in_all_worlds_and_weightings(finished):
    out, content = finished
    assert content == json.loads((out / reproduction.NUMBERS).read_text())
    assert set(content["results"]) == set(paper.RESULTS)
    for key, found in content["results"].items():
        assert set(found["simulated"]) == {"logistic", "skill-chain"}
        published = {(row["group"], row["entry"]): row["value"] for row in found["paper"]}
        assert published == paper.RESULTS[key].numbers
        for by_weighting in found["simulated"].values():
            assert set(by_weighting) == {"rollout", "prompt"}
            for one in by_weighting.values():
                cells = {(cell["group"], cell["entry"]) for cell in one["cells"]}
                assert cells <= set(published)
                if key not in ("figure-4", "figure-7"):  # a class may be empty in a tiny world
                    assert cells == set(published)
                    assert len(one["claims"]) == len(paper.RESULTS[key].claims)
                assert sum(one["counts"].values()) == len(one["claims"])
    assert len(content["summary"]) == 4 * len(paper.RESULTS)
    assert len(content["headline"]) == 4 + 1
    assert len(content["conditions"]) == 4 * (1 + len(ABLATIONS))
    for row in content["conditions"]:
        assert row["agrees"] + row["disagrees"] + row["inside the noise"] == 7
    assert content["table-4"]["dp over heap"]["here"] == 4.0
    assert content["seeds"] == [0, 1]
    assert content["versions"]["numpy"] == np.__version__
    reasons = content["reasons"]["logistic"]["prompt"]
    assert len(reasons) == len(contrasts().claims) == 7
    assert all(row["words"] for row in reasons)
    assert {row["reason"] for row in content["reason counts"]} >= {"true pass rates"}
    parts = content["loss weighting"]["decomposition"]["skill-chain"]["coba"]
    together = parts["both"]["mean"] - parts["budgets only"]["mean"] - parts["weights only"]["mean"]
    assert parts["together"]["mean"] == pytest.approx(together)


def test_the_numbers_come_from_the_runs(finished):
    out, content = finished
    _, rows = sweeps.read_table(out)
    mine = [
        100 * row["final_heldout"]
        for row in rows
        if row["world"] == "logistic" and row["weighting"] == "prompt"
        and row["allocator"] == "coba" and row["kappa"] == 21.0
    ]  # fmt: skip
    cells = content["results"]["figure-8"]["simulated"]["logistic"]["prompt"]["cells"]
    shown = next(cell for cell in cells if cell["entry"] == "kappa 21")
    assert shown["n"] == len(mine) == 2
    assert shown["mean"] == pytest.approx(np.mean(mine))


def test_resumed_equals_uninterrupted(finished, tmp_path, monkeypatch):
    out, content = finished
    copy = tmp_path / "resumed"
    shutil.copytree(out, copy)
    for number, file in enumerate(sorted((copy / "rows").iterdir())):
        if number % 3 == 0:
            file.unlink()
    for name in (reproduction.REPORT, reproduction.NUMBERS, sweeps.TABLE):
        (copy / name).unlink()
    monkeypatch.setattr(solver_times, "solver_seconds", lambda *_: pytest.fail("measured twice"))
    again = reproduction.reproduce(TINY, copy, command=content["command"], jobs=1)
    assert again == content


def test_another_plan_or_folder_is_refused(finished, tmp_path):
    out, _ = finished
    with pytest.raises(InputError, match="another plan"):
        reproduction.reproduce(reproduction.Preset(12, 36, 24, 8, 2), out, command="")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(InputError, match="holds no sweep"):
        reproduction.reproduce(TINY, tmp_path / "other", command="")


def test_the_page_holds_everything_and_loads_nothing(finished):
    out, content = finished
    text = (out / reproduction.REPORT).read_text()
    assert text.count(get_plotlyjs()) == 1
    for found in content["results"].values():
        assert found["title"].replace("&", "&amp;") in text
    assert "cobasim reproduce &lt;tiny&gt;" in text
    for part in ('id="reasons"', 'id="loss"', 'id="ablations"', 'id="table-4"'):
        assert part in text
    assert not re.search(r'(?:src|href)="https?:', text.replace(get_plotlyjs(), ""))
    for name in MODELS:
        assert name in text


def test_presets_cost_what_they_say():
    for preset in reproduction.PRESETS.values():
        sweep, keys = reproduction.sweep_of(preset)
        assert len(keys) == len(sweep.points)
        assert sweep.num_runs == distinct_runs(sweep) == 256 * preset.seeds
        assert sweep.preset in COMPARE_PRESETS
        for point, _, config in sweep.runs():
            mean = 8 if keys[point][1] == HALF_ARM else 16
            assert config.loop.total_budget == mean * preset.batch_size
            assert config.loop.eval_every == preset.steps  # only before and after
            for name, value in asdict(preset).items():
                part = config.loop if name in LoopConfig.model_fields else config.world
                assert name == "seeds" or getattr(part, name) == value
    with pytest.raises(InputError, match="did you mean 'full'"):
        reproduction.find_preset("ful")


# --- what a run leaves behind ----------------------------------------------------------------


def test_thinned_records_lose_no_rollout():
    config = RunConfig(
        allocator="coba", loop=LoopConfig(**SMALL_LOOP), world=WorldConfig(**SMALL_WORLD)
    )
    records = run(build_loop(config), make_allocator("coba"))
    for blocks in (1, 5, 12, 40):
        thinned = thin(records, blocks)
        assert len(thinned) == min(blocks, 12)
        for name in ("prompts", "rollouts", "mixed"):
            whole = sum(np.array(step.bins[name]) for step in records if step.bins)
            np.testing.assert_array_equal(sum(np.array(s.bins[name]) for s in thinned), whole)
        assert thinned[-1].evaluation == records[-1].evaluation
        assert thinned[-1].step == records[-1].step


def test_the_peak_is_the_bin_with_the_largest_mean_budget():
    rates = np.array([0.05, 0.05, 0.35, 0.95, 1.0])
    budgets = np.array([9, 11, 30, 25, 2])
    bins = bin_counts(rates, np.ones(5, bool), budgets, np.ones(5, bool))
    assert peak(StepRecord(step=1, rollouts=77, bins=bins)) == (35.0, 30.0)
    assert peak(StepRecord(step=1, rollouts=0)) is None
    unseen = bin_counts(rates, np.zeros(5, bool), budgets, np.ones(5, bool))
    assert peak(StepRecord(step=1, rollouts=77, bins=unseen)) is None


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, None),
        ({"nearer": {"noise": 2.0}}, None),  # less than half of the gap
        ({"nearer": {"noise": 6.0, "transfer": 7.0}}, "transfer"),
        ({"nearer": {"noise": 2.0}, "agrees under": ["noise"]}, "noise"),
        ({"agrees under": ["noise"]}, None),  # agrees only because everything moves less
        ({"agrees under": ["noise", "loss per prompt"]}, "loss per prompt"),
        ({"nearer": {"noise": 9.0}, "status": "agrees"}, None),
        ({"nearer": {"noise": 9.0}, "share": None}, None),
    ],
)
def test_a_reason_must_explain_at_least_half(changes, wanted):
    row = {"status": "disagrees", "share": -10.0, "agrees under": [], "nearer": {}} | changes
    assert likeliest(row) == wanted


@pytest.mark.parametrize("across", [True, False])
def test_centred_values_have_mean_zero_in_each_group_and_keep_differences(across):
    rng = np.random.default_rng(0)
    values = {
        (g, e): {s: float(rng.normal()) for s in range(4)} for g in "xy" for e in ("a", "b", "c")
    }
    found = centred(values, across)
    for seed in range(4):
        sums = {g: sum(found[g, e][seed] for e in "abc") for g in "xy"}
        assert sum(sums.values()) == pytest.approx(0.0)
        if not across:
            assert sums["x"] == pytest.approx(0.0)
        assert found["x", "a"][seed] - found["x", "b"][seed] == pytest.approx(
            values["x", "a"][seed] - values["x", "b"][seed]
        )


def test_pulls_are_in_units_of_uniform():
    rows = {(r["allocator"], r["weighting"]): r for r in pulls(TINY, batches=3)}
    assert len(rows) == 8
    for weighting in ("rollout", "prompt"):
        for name in SIGNALS:
            assert rows["uniform", weighting][name]["mean"] == pytest.approx(1.0)


# --- weights of the loss apart from the budgets -----------------------------------------------


def weighed(allocator: str, weigh_as: str | None, **world) -> list[float]:
    config = RunConfig(
        allocator=allocator, weigh_as=weigh_as, loop=LoopConfig(**SMALL_LOOP),
        world=WorldConfig(**SMALL_WORLD, **world),
    )  # fmt: skip
    records = run(build_loop(config), make_allocator(allocator))
    return [step.learner["grad_norm"] for step in records[1:]]


def test_weighing_as_oneself_changes_nothing():
    assert weighed("coba", "coba") == weighed("coba", None)


def test_weighing_as_uniform_is_the_weighting_per_prompt():
    assert weighed("coba", "uniform") == pytest.approx(weighed("coba", None, weighting="prompt"))


def test_weights_come_from_the_other_allocator_and_rollouts_do_not():
    config = RunConfig(
        allocator="uniform", weigh_as="coba", loop=LoopConfig(**SMALL_LOOP),
        world=WorldConfig(**SMALL_WORLD),
    )  # fmt: skip
    loop = build_loop(config)
    uniform, coba = make_allocator("uniform"), make_allocator("coba")
    used = []
    original = loop.learner.weigh

    def weigh(prompts, budgets):
        used.append(budgets)
        original(prompts, budgets)

    loop.learner.weigh = weigh
    for _ in range(8):
        obs = loop.observe()
        wanted = coba(obs, Limits(256, 2, 128))
        record = loop.advance(uniform)
        assert record.budget_max == record.budget_min == 16
        np.testing.assert_array_equal(used[-1], wanted)
    assert group_weights(used[-1], "rollout").max() > 2 / 16


def test_weights_of_another_need_the_weighting_per_rollout():
    with pytest.raises(InputError, match="per rollout"):
        validated(RunConfig, {"weigh_as": "coba", "world": WorldConfig(weighting="prompt")})
    with pytest.raises(InputError, match="did you mean 'coba'"):
        validated(RunConfig, {"weigh_as": "cobra"})


# --- the command ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "fulll"], "did you mean 'full'"),
        (["--jobs", "0"], "--jobs"),
        (["--out", "FILE"], "holds no sweep"),
    ],
)
def test_bad_input_is_one_line(arguments, words, tmp_path):
    (tmp_path / "FILE").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "cobasim", "reproduce", *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


# --- in a browser -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("width", [400, 1280])
def test_the_page_in_a_browser(finished, width):
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = next((p for n in ("chromium", "chromium-browser") if (p := shutil.which(n))), None)
    if chromium is None:
        pytest.skip("chromium is not installed")
    out, _ = finished
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 800})
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((out / reproduction.REPORT).as_uri())
        drawn = page.locator(".js-plotly-plot").count()
        assert drawn >= len(paper.RESULTS) + 2
        page.wait_for_function(
            "n => document.querySelectorAll('.js-plotly-plot .main-svg').length >= n", arg=drawn
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click('a[href="#loss"]')
        browser.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "blob:", "data:"))] == []
