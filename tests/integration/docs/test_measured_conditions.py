"""The real conditions and their predictions: figures of docs/measured.md follow from the files."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from documents import script

pytest.importorskip("yaml", reason="pyyaml is not installed")

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "docs" / "real" / "measured"
KNOWN = ["base", "group-4"]
FIVE = ["visits-20", "rate-3", "dr-grpo", "rate-0.3", "visits-10"]
BEFORE = [*FIVE, "tau-1", "easy", "hard", "tau-64", "parts", "ratio-3.5", "batch-16"]
BEFORE += ["group-16", "chains", "batch-256", "token"]
POOL = [*KNOWN, *FIVE, "tau-1", "group-16", "batch-256"]  # of base, whose pass rates are kept
OWN = ("example", "example-2", "own", "easy", "hard", "chains", "token")
B = ",".join(f"predictions-{name}.json" for name in OWN)


@pytest.fixture(scope="module")
def conditions():
    module = script(FOLDER / "conditions.py")
    module.archived = functools.cache(module.archived)
    return module


@pytest.mark.parametrize(
    ("file", "names", "row"),
    [
        ("predictions-linear.json", KNOWN, "| A: linear in the logit, one number fitted |"),
        ("after-the-runs.json", KNOWN, "| B: linear in tokens, nothing fitted |"),
        (B, BEFORE, "| B, all "),
        (B, FIVE, "| B, the five of A |"),
        ("predictions-linear.json", FIVE, "| A, before the runs |"),
        ("predictions-logistic.json", POOL, "| logistic, defaults |"),
        ("predictions-skill-chain.json", POOL, "| skill-chain, defaults |"),
        (B, POOL, "| measured, B, shipped |"),
    ],
)
def test_agreement_is_as_the_docs_say(conditions, file, names, row):
    foretold = {}
    for name in file.split(","):
        foretold |= json.loads((FOLDER / name).read_text())["conditions"]
    found = conditions.agreement(names, foretold)
    line = next(x for x in (ROOT / "docs/measured.md").read_text().splitlines() if row in x)
    said = [float(cell) for cell in line.split("|")[2:-1]]
    names = ("pairs told apart", "tau", "slope", "correlation", "signs wrong")
    assert [round(found[name], 2) for name in names] == said


def test_every_condition_is_a_config(conditions):
    for name in conditions.CONDITIONS:
        plan = conditions.plan_of(name, "models/tiny", 2)
        assert plan.config.evaluation.exact
        assert plan.seeds == (0, 1)


def test_archives_hold_whole_runs_and_no_paths_of_a_machine(conditions):
    for name in (*KNOWN, *BEFORE):
        rows = conditions.archived(name)
        assert {len(at) for at in rows.values()} == {4}
        assert len(rows) == len(conditions.weightings_of(name)) * len(conditions.arms(name))
        for run in conditions.read_archive(FOLDER / f"{name}.jsonl.gz"):
            known = "chains/model" if name == "chains" else "models/tiny"
            assert run.header.config["model"]["path"] == known
