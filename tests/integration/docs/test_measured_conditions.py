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
BEFORE += ["group-16", "chains", "batch-256", "token", "group-32"]
POOL = [*KNOWN, *FIVE, "tau-1", "group-16", "batch-256"]  # of base, whose pass rates are kept
OWN = ("example", "example-2", "own", "easy", "hard", "chains", "token")
B = ",".join(f"predictions-{name}.json" for name in OWN)
HEAD = (
    "| condition | pairs told apart | Kendall's tau | real / predicted size | correlation | "
    "signs wrong |"
)


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
        ("predictions-fitted-as-it-was.json", POOL, "| logistic, fitted: as it was |"),
        ("predictions-fitted-forgetting.json", POOL, "| logistic, fitted: with forgetting |"),
        ("predictions-fitted-noise.json", POOL, "fitted: with forgetting and prompt noise |"),
        ("predictions-fitted-harm.json", POOL, "fitted: with forgetting, prompt noise and harm |"),
    ],
)
def test_agreement_is_as_the_docs_say(conditions, file, names, row):
    found = conditions.agreement(names, foretold_by(file))
    line = next(x for x in (ROOT / "docs/measured.md").read_text().splitlines() if row in x)
    said = [float(cell) for cell in line.split("|")[2:-1]]
    names = ("pairs told apart", "tau", "slope", "correlation", "signs wrong")
    assert [round(found[name], 2) for name in names] == said


@functools.cache
def foretold_by(files):
    found = {}
    for name in files.split(","):
        found |= json.loads((FOLDER / name).read_text())["conditions"]
    return found


@pytest.mark.parametrize("name", [*BEFORE, *KNOWN])
def test_the_agreement_of_each_condition_is_as_the_docs_say(conditions, name):
    (row,) = conditions.by_condition([name], foretold_by(B))
    lines = (ROOT / "docs/measured.md").read_text().splitlines()
    table = lines[lines.index(HEAD) + 2 :]
    (said,) = [x for x in table[: table.index("")] if x.startswith(f"| {name} |")]
    assert said == row


def test_every_archived_condition_is_in_the_table_of_agreement():
    lines = (ROOT / "docs/measured.md").read_text().splitlines()
    table = lines[lines.index(HEAD) + 2 :]
    said = [line.split("|")[1].strip() for line in table[: table.index("")]]
    assert sorted(said) == sorted(file.name.split(".jsonl")[0] for file in FOLDER.glob("*.gz"))
    assert sorted(said) == sorted([*BEFORE, *KNOWN])


def test_the_sum_with_conditions_that_were_predicted_after_their_runs(conditions):
    found = conditions.agreement([*BEFORE, *KNOWN], foretold_by(B))
    text = " ".join((ROOT / "docs/measured.md").read_text().split())
    assert (
        f"with them it is {found['pairs told apart']} pairs, {found['tau']:+.2f}, "
        f"{found['slope']:.2f} times and a correlation of {found['correlation']:.2f}."
    ) in text


def arm_of(label, condition):
    """Condition, allocator and weighting of a row, such as "coba, tau 1, per rollout"."""
    label = label.replace(" (both alike)", " per rollout")
    arm, _, weighting = label.partition(" per ")
    arm, _, changed = arm.strip(", ").partition(", ")
    if changed:
        condition = {"tau 8": "base"}.get(changed, changed.replace(" ", "-"))
    elif arm == "signal-parts":
        condition = "parts"
    return condition, arm, weighting or "token"


def per_arm_tables():
    """Condition, column names and cells of each row of the tables of real and predicted arms."""
    condition, columns = "", None
    for line in (ROOT / "docs/measured.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and "points minus uniform" in cells[0] and "real" in cells[1]:
            condition, columns = cells[0].partition(":")[0], cells
        elif not cells:
            columns = None
        elif columns and not cells[0].startswith(("uniform ends", "---")):
            # of the pool visited 20 times A is shown beside two of B
            first = "visits-20" if condition == "points minus uniform" else condition
            yield first, columns, cells


def test_arms_are_as_the_docs_say(conditions):
    """Real and predicted differences with their intervals, and gradient norms."""
    real, counted = (
        functools.cache(lambda name: conditions.differences(conditions.archived(name))),
        0,
    )
    for first, columns, cells in per_arm_tables():
        condition, arm, weighting = arm_of(cells[0], first)
        b = B
        if columns[3].startswith("B: tokens"):
            b = "after-the-runs.json"
        for column, cell in zip(columns[1:], cells[1:], strict=True):
            files = b
            if column.startswith("A"):
                files = "predictions-linear.json"
            elif column == "B" and "B, shipped" in columns:
                files = "predictions-tokens.json"
            found = real(condition) if "real" in column else foretold_by(files)[condition]
            row = found[weighting][arm]
            expected = f"{row['points']:+.2f} ± {row['half']:.2f}"
            if "real" in column and abs(row["points"]) > row["half"]:
                expected = f"**{expected}**"
            if column.startswith("norm"):
                expected = f"{row['norm']:.2f}"
            assert cell == expected, (condition, arm, weighting, column)
            counted += 1
    assert counted > 500


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
