"""The reproduction: complete, the same when resumed, and honest about what it cannot tell."""

from __future__ import annotations

import json
import re
import shutil

import numpy as np
import pytest
from plotly.offline import get_plotlyjs
from reproduced import TINY

from cobasim import runs as sweeps
from cobasim.allocation import make_allocator
from cobasim.errors import InputError
from cobasim.experiments import reproduction
from cobasim.experiments.reproduction import paper, solver_times
from cobasim.experiments.reproduction.ablations import contrasts
from cobasim.experiments.reproduction.plan import ABLATIONS, MODELS
from cobasim.experiments.reproduction.rows import thin
from cobasim.loop import LoopConfig, run
from cobasim.runs import RunConfig, build_loop
from cobasim.world import WorldConfig

SMALL_WORLD = {"num_prompts": 64, "num_heldout": 32}
SMALL_LOOP = {"steps": 12, "batch_size": 16, "total_budget": 256}


def test_every_table_and_figure_is_there_in_all_worlds_and_weightings(reproduced):
    out, content = reproduced
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


def test_the_numbers_come_from_the_runs(reproduced):
    out, content = reproduced
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


def test_resumed_equals_uninterrupted(reproduced, tmp_path, monkeypatch):
    out, content = reproduced
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


def test_another_plan_or_folder_is_refused(reproduced, tmp_path):
    out, _ = reproduced
    with pytest.raises(InputError, match="another plan"):
        reproduction.reproduce(reproduction.Preset(12, 36, 24, 8, 2), out, command="")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("")
    with pytest.raises(InputError, match="holds no sweep"):
        reproduction.reproduce(TINY, tmp_path / "other", command="")


def test_the_page_holds_everything_and_loads_nothing(reproduced):
    out, content = reproduced
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
