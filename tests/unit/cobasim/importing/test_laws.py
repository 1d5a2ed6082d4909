"""Laws of the import: counts are exact, and files, order and compression do not matter."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer_logs import Counts, counts_of, write_lines, write_parquet, write_wandb_table

from cobasim.importing import PASS_RATES, ImportOptions, import_log
from cobasim.records import read_run

Rollouts = dict[int, list[tuple[str, bool]]]
"""Step -> its rollouts in the order of the log: prompt, and whether it passed."""

NAMES = {
    "step": "global_step", "prompt": "info.question", "score": "correct", "response": "text",
}  # fmt: skip


@st.composite
def rollouts(draw: st.DrawFn) -> Rollouts:
    texts = st.text(min_size=1, max_size=8).filter(lambda text: text.strip())
    pool = draw(st.lists(texts, min_size=1, max_size=4, unique=True))
    group = st.tuples(st.sampled_from(pool), st.booleans())
    steps = draw(st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True))
    return {step: draw(st.lists(group, min_size=1, max_size=12)) for step in sorted(steps)}


def expected(log: Rollouts) -> Counts:
    counts: Counts = {}
    for step, rows in log.items():
        groups = counts.setdefault(step, {})
        for prompt, passed in rows:
            budget, passes = groups.get(prompt, (0, 0))
            groups[prompt] = (budget + 1, passes + passed)
    return counts


def verl_rows(step: int, rows: list[tuple[str, bool]]) -> list[dict]:
    return [
        {"input": prompt, "output": f"{step}.{k}", "gts": "1", "score": float(passed), "step": step}
        for k, (prompt, passed) in enumerate(rows)
    ]


def trl_columns(step: int, rows: list[tuple[str, bool]]) -> dict[str, list]:
    return {
        "step": [step] * len(rows),
        "prompt": [prompt for prompt, _ in rows],
        "completion": [f"{step}.{k}" for k in range(len(rows))],
        "correct": [float(passed) for _, passed in rows],
    }


def own_rows(step: int, rows: list[tuple[str, bool]]) -> list[dict]:
    return [
        {
            "global_step": step,
            "info": {"question": prompt},
            "correct": passed,
            "text": f"{step}.{k}",
        }
        for k, (prompt, passed) in enumerate(rows)
    ]


def write_verl(folder: Path, log: Rollouts, ending: str = ".jsonl") -> Path:
    for step, rows in log.items():
        write_lines(folder / f"{step}{ending}", verl_rows(step, rows))
    return folder


def write_trl(folder: Path, log: Rollouts) -> Path:
    for step, rows in log.items():
        write_parquet(folder / f"completions_{step:05d}.parquet", trl_columns(step, rows))
    return folder


def write_wandb(folder: Path, log: Rollouts) -> Path:
    for step, rows in log.items():
        write_wandb_table(folder / f"completions_{step}_0a1b.table.json", trl_columns(step, rows))
    return folder


def write_own(folder: Path, log: Rollouts) -> Path:
    rows = [row for step, group in log.items() for row in own_rows(step, group)]
    return write_lines(folder / "log.jsonl", rows)


WRITERS = {
    "verl": ("verl", write_verl, {}),
    "trl": ("trl", write_trl, {}),
    "wandb": ("trl", write_wandb, {}),
    "jsonl": ("jsonl", write_own, NAMES),
}


def imported(layout: str, source: Path, out: Path, **options: object) -> Path:
    return import_log(layout, source, out, ImportOptions(**options)).out


@pytest.mark.parametrize("kind", WRITERS)
@settings(max_examples=25, deadline=None)
@given(log=rollouts())
def test_counts_of_a_written_log_come_back_exactly(kind, log):
    layout, write, names = WRITERS[kind]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = imported(layout, write(folder / "log", log), folder / "run", **names)
        wanted = expected(log)
        assert counts_of(run) == wanted
        records = read_run(run).steps
    assert [record.step for record in records] == list(log)
    spent = 0
    for record in records:
        groups = list(wanted[record.step].values())
        spent += sum(budget for budget, _ in groups)
        assert record.rollouts == spent
        assert record.prompts == len(groups)
        assert record.mixed_share == sum(0 < k < n for n, k in groups) / len(groups)
        assert record.failure_rate == pytest.approx(sum(1 - k / n for n, k in groups) / len(groups))
        passes, total = sum(k for _, k in groups), sum(n for n, _ in groups)
        assert record.learner["reward"] == pytest.approx(passes / total)
        assert (record.budget_min, record.budget_max) == (
            min(n for n, _ in groups), max(n for n, _ in groups),
        )  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(log=rollouts(), data=st.data())
def test_order_within_a_step_files_and_compression_do_not_matter(log, data):
    shuffled = {step: data.draw(st.permutations(rows)) for step, rows in log.items()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [
            imported("verl", write_verl(folder / "a", log), folder / "run-a"),
            imported("verl", write_verl(folder / "b", shuffled), folder / "run-b"),
            imported("verl", write_verl(folder / "c", log, ".jsonl.gz"), folder / "run-c"),
            imported("jsonl", write_own(folder / "d", log), folder / "run-d", **NAMES),
        ]
        counts = [counts_of(run) for run in runs]
        records = [
            [(record.step, record.rollouts, record.failure_rate, record.mixed_share, record.bins)
             for record in read_run(run).steps]
            for run in runs
        ]  # fmt: skip
    assert counts[1:] == counts[:1] * 3
    for other in records[1:]:
        for row, first in zip(other, records[0], strict=True):
            assert row[:2] == first[:2]
            assert row[2] == pytest.approx(first[2])
            assert row[3:] == first[3:]


@settings(max_examples=25, deadline=None)
@given(log=rollouts(), cut=st.integers(0, 48))
def test_split_files_equal_one_file(log, cut):
    rows = [row for step, group in log.items() for row in own_rows(step, group)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = write_lines(folder / "whole" / "log.jsonl.gz", rows)
        parts = folder / "parts"
        write_lines(parts / "part-9.jsonl", rows[:cut]) if rows[:cut] else None
        write_lines(parts / "part-10.jsonl.gz", rows[cut:]) if rows[cut:] else None
        first = imported("jsonl", whole, folder / "a", **NAMES)
        second = imported("jsonl", parts, folder / "b", repeated_step="join", **NAMES)
        assert (second / PASS_RATES).read_bytes() == (first / PASS_RATES).read_bytes()
        assert counts_of(second) == counts_of(first)
        assert (second / "steps.jsonl").read_bytes() == (first / "steps.jsonl").read_bytes()


@settings(max_examples=25, deadline=None)
@given(log=rollouts(), lost=st.integers(1, 200))
def test_a_log_that_ends_in_the_middle_of_a_row_loses_that_row_only(log, lost):
    rows = [row for step, group in log.items() for row in own_rows(step, group)]
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = data[: max(len(data) - lost, data.index(b"\n") + 1)]
        (folder / "log.jsonl").write_bytes(kept)
        read = import_log("jsonl", folder / "log.jsonl", folder / "run", ImportOptions(**NAMES))
    tail = kept[kept.rfind(b"\n") + 1 :]
    whole = kept.count(b"\n") + tail.endswith(b"}") * _is_json(tail)
    assert read.total.rollouts == whole
    assert bool(read.log.left_out.cut) == (bool(tail) and not _is_json(tail))


def _is_json(tail: bytes) -> bool:
    try:
        return isinstance(json.loads(tail), dict)
    except ValueError:
        return False
