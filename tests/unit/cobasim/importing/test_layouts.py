"""What each trainer writes, as its code says: files, columns and types."""

from __future__ import annotations

import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pytest
from trainer_logs import (
    GROUP,
    batch_of,
    counts_of,
    passes_of,
    prompt_text,
    trl_columns,
    verl_rows,
    verl_v1_rows,
    write_lines,
    write_parquet,
    write_trl,
    write_validation,
    write_verl,
    write_wandb_table,
)

from cobasim.errors import InputError
from cobasim.importing import SAMPLES, ImportOptions, import_log
from cobasim.records import read_run


def wanted(steps, size=4):
    return {
        step: {prompt_text(p): (GROUP, passes_of(step, p)) for p in batch_of(step, size)}
        for step in steps
    }


def read(layout, source, tmp_path, out="run", **options):
    return import_log(layout, source, tmp_path / out, ImportOptions(**options))


def test_verl(tmp_path):
    done = read("verl", write_verl(tmp_path / "log"), tmp_path)
    assert counts_of(done.out) == wanted(range(1, 7))
    header = read_run(done.out).header
    assert (header.source, header.allocator, header.estimator) == ("import", "uniform", "last")
    assert header.config["import"]["trainer"] == "verl"
    assert header.config["import"]["source"] == str((tmp_path / "log").resolve())
    loop = header.config["loop"]
    assert (loop["steps"], loop["batch_size"], loop["total_budget"]) == (6, 4, 32)
    assert (loop["low"], loop["high"]) == (8, 8)
    last = [json.loads(line) for line in (done.out / SAMPLES).read_text().splitlines()][-1]
    assert set(last) == {"step", "prompt", "answer", "response", "reward"}


def test_scores_of_minus_one_and_one_are_failures_and_passes(tmp_path):
    plain = read("verl", write_verl(tmp_path / "a"), tmp_path, "plain")
    signed = read("verl", write_verl(tmp_path / "b", scores=(-1.0, 1.0)), tmp_path, "signed")
    assert counts_of(signed.out) == counts_of(plain.out)
    rewards = [[s.learner["reward"] for s in read_run(run.out).steps] for run in (plain, signed)]
    assert rewards[1] == pytest.approx([2 * reward - 1 for reward in rewards[0]])


def test_graded_scores_need_a_threshold_or_another_column(tmp_path):
    log = write_verl(tmp_path / "log", scores=(0.1, 1.1))
    with pytest.raises(InputError, match=r"1\.1 is none of -1, 0 and 1.*--passed.*--score acc"):
        read("verl", log, tmp_path)
    by_threshold = read("verl", log, tmp_path, "threshold", passed=0.5)
    by_column = read("verl", log, tmp_path, "column", score="acc")
    assert counts_of(by_threshold.out) == counts_of(by_column.out) == wanted(range(1, 7))
    learner = [read_run(run.out).steps[0].learner for run in (by_threshold, by_column)]
    assert learner[0] == learner[1]  # the reward is the score in both


def test_verl_v1_names_groups_and_fills_up_batches(tmp_path):
    for step in (1, 2):
        rows = verl_v1_rows(step, batch_of(step), outputs=3, padding=5)
        write_lines(tmp_path / "log" / f"{step}.jsonl", rows)
    done = read("verl", tmp_path / "log", tmp_path)
    assert counts_of(done.out) == wanted((1, 2))
    assert done.log.left_out.padding == 10
    assert done.log.left_out.outputs == 2 * 4 * GROUP * 2
    assert "left out: 10 rows that fill up batches of verl" in done.notes


def test_one_prompt_twice_in_a_batch_is_two_groups_if_the_log_names_groups(tmp_path):
    write_lines(tmp_path / "log" / "1.jsonl", verl_v1_rows(1, [3, 3, 4]))
    done = read("verl", tmp_path / "log", tmp_path)
    assert [step.prompts.tolist() for step in done.log.steps] == [[0, 0, 1]]
    assert read_run(done.out).steps[0].prompts == 3
    assert done.total.prompts == 2


def test_evaluations_of_verl(tmp_path):
    log = write_verl(tmp_path / "log")
    validation = write_validation(tmp_path / "validation", [0, 2, 4, 6])
    done = read("verl", log, tmp_path, validation=str(validation))
    steps = read_run(done.out).steps
    assert [step.step for step in steps if step.evaluation] == [0, 2, 4, 6]
    first = [json.loads(line) for line in (validation / "0.jsonl").read_text().splitlines()]
    assert steps[0].evaluation["heldout"] == sum(row["score"] for row in first) / len(first)
    assert read_run(done.out).header.config["loop"]["eval_every"] == 2


@pytest.mark.parametrize("source", ["trainer", "trainer/completions"])
def test_trl(source, tmp_path):
    write_trl(tmp_path / "trainer")
    (tmp_path / "trainer" / "checkpoint-6").mkdir()
    (tmp_path / "trainer" / "checkpoint-6" / "trainer_state.json").write_text("{}")
    done = read("trl", tmp_path / source, tmp_path)
    assert counts_of(done.out) == wanted(range(1, 7))
    assert "passes: column accuracy_reward, scores are 0 or 1; a score of 1 is a pass" in done.notes


def test_tables_of_weights_and_biases(tmp_path):
    for step in range(1, 12):
        columns = trl_columns(step, batch_of(step)) | {"step": [str(step)] * 4 * GROUP}
        write_wandb_table(tmp_path / "t" / f"completions_{step}_0f.table.json", columns)
    assert counts_of(read("trl", tmp_path / "t", tmp_path).out) == wanted(range(1, 12))


def test_a_batch_that_trl_logs_again_counts_once(tmp_path):
    write_trl(tmp_path / "log", 3)
    again = trl_columns(3, batch_of(3)) | {"step": [4] * 4 * GROUP}
    write_parquet(tmp_path / "log" / "completions" / "completions_00004.parquet", again)
    done = read("trl", tmp_path / "log", tmp_path)
    assert counts_of(done.out) == wanted((1, 2, 3))
    assert done.log.left_out.reused == [4]


def test_evaluations_among_trls_completions_are_left_out(tmp_path):
    write_trl(tmp_path / "log", 6)
    done = read("trl", tmp_path / "log", tmp_path, eval_steps=3)
    assert counts_of(done.out) == wanted((1, 2, 4, 5))
    assert done.log.left_out.evaluated == 2 * 4 * GROUP


def test_several_rewards_of_trl(tmp_path):
    passed = [float(k < 4) for k in range(8)]
    columns = {
        "step": [1] * 16,
        "prompt": ["a"] * 8 + ["b"] * 8,
        "completion": [str(k) for k in range(16)],
        "accuracy": passed + [0.0] * 8,
        "format": [0.0] * 8 + passed,
    }
    file = write_parquet(tmp_path / "completions_00001.parquet", columns)
    with pytest.raises(InputError, match="accuracy and format may each hold the rewards"):
        read("trl", file, tmp_path)
    old = read("trl", file, tmp_path, "old", score="accuracy")
    assert (old.total.mixed, old.total.all_failed, old.total.taught_nothing) == (8, 8, 8)
    assert any("accuracy alone, not format" in note for note in old.notes)
    write_parquet(file, columns | {"advantage": [value - 0.5 for value in passed] * 2})
    new = read("trl", file, tmp_path, "new", score="accuracy")  # advantages know both
    assert (new.total.all_failed, new.total.taught_nothing, new.total.graded) == (8, 0, 8)
    assert not any("alone" in note for note in new.notes)


def test_numbers_of_every_type(tmp_path):
    columns = trl_columns(1, batch_of(1))
    scores = columns.pop("accuracy_reward")
    kinds = {
        "decimal": [Decimal(score) for score in scores],
        "text": [str(score) for score in scores],
        "word": [str(bool(score)) for score in scores],
        "truth": [bool(score) for score in scores],
        "byte": pa.array([int(score) for score in scores], pa.uint8()),
    }
    for kind, values in kinds.items():
        file = write_parquet(tmp_path / f"{kind}.parquet", columns | {"score": values})
        assert counts_of(read("trl", file, tmp_path, kind).out) == wanted([1])


def test_columns_of_ones_own(tmp_path):
    rows = [
        {"it": step, "q": [{"role": "user", "content": f"{prompt}?"}], "ok": str(k < 2),
         "r": k / 4, "tokens": 10 * prompt + k, "adv": 0.0}
        for step in (0, 1) for prompt in (1, 2) for k in range(4)
    ]  # fmt: skip
    file = write_lines(tmp_path / "log.ndjson.gz", rows)
    done = read(
        "jsonl", file, tmp_path,
        step="it", prompt="Q", score="ok", reward="r", length="tokens", advantage="adv",
    )  # fmt: skip
    first, second = read_run(done.out).steps
    assert (first.step, second.step) == (1, 2)
    assert "steps: from 0 in the log, from 1 in the run" in done.notes
    assert first.learner == {"reward": 0.375, "response_length": 16.5}
    assert done.total.taught_nothing == done.total.rollouts == 16  # all advantages are 0
    assert first.bins["prompts"][-1] == 2  # unseen
    assert second.bins["attempts"][5] == 8  # both believed to be 0.5, from 4 attempts each


@pytest.mark.parametrize(
    ("mode", "rollouts", "replaced"), [("last", 4 * GROUP, 8 * GROUP), ("join", 12 * GROUP, 0)]
)
def test_steps_that_come_again(mode, rollouts, replaced, tmp_path):
    parts = [verl_rows(1, batch_of(step)) for step in (1, 2, 3)]
    for name, rows in zip("abc", parts, strict=True):
        write_lines(tmp_path / "log" / f"{name}.jsonl", rows)
    names = {"prompt": "input", "response": "output"}
    with pytest.raises(
        InputError, match=r"b\.jsonl, line 1: step 1 comes again \(first at .*line 1"
    ):
        read("jsonl", tmp_path / "log", tmp_path, **names)
    done = read("jsonl", tmp_path / "log", tmp_path, repeated_step=mode, **names)
    assert done.total.rollouts == rollouts
    assert done.log.left_out.replaced == replaced


def test_what_cannot_be_read_is_skipped_on_request_and_counted(tmp_path):
    rows = verl_rows(1, batch_of(1))
    lines = [json.dumps(row) for row in rows]
    lines[3] = lines[3][:20]
    lines[5] = json.dumps(rows[5] | {"score": None})
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "1.jsonl").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"1\.jsonl, line 4: not JSON.*--malformed skip"):
        read("verl", tmp_path / "log", tmp_path)
    done = read("verl", tmp_path / "log", tmp_path, malformed="skip")
    assert done.total.rollouts == len(rows) - 2
    assert (done.log.left_out.malformed, done.log.left_out.unscored) == (1, 1)


def test_rows_after_a_damaged_line_of_csv_are_read(tmp_path):
    good = [f"{k // 4},p{k // 2 % 2},r{k},{k % 2}" for k in range(40)]
    lines = ["step,prompt,response,score", *good]
    log = tmp_path / "log.csv"
    lines[7] = '1,"quoted" 3,r6,0'
    log.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"log\.csv, line 8: not CSV"):
        read("jsonl", log, tmp_path)
    done = read("jsonl", log, tmp_path, malformed="skip")
    assert (done.total.rollouts, done.log.left_out.malformed) == (39, 1)
    lines[7] = '1,"never closed,r6,0'  # swallows the rest, which is said
    log.write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=r"line 8: not CSV .*all up to line 41"):
        read("jsonl", log, tmp_path / "other")


def test_damaged_ends_of_compressed_logs_are_said(tmp_path):
    rows = verl_rows(1, batch_of(1))
    data = gzip.compress("".join(json.dumps(row) + "\n" for row in rows).encode(), mtime=0)
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "1.jsonl.gz").write_bytes(data[:-20])
    done = read("verl", tmp_path / "log", tmp_path)
    assert 0 < done.total.rollouts < len(rows)
    assert any("cut off in the middle" in note and "1.jsonl.gz" in note for note in done.notes)


def test_texts_that_are_no_unicode_are_kept_apart(tmp_path):
    rows = [
        {"step": 1, "prompt": prompt, "score": k % 2, "response": "\ud800\x00"}
        for prompt in ("\ud800", "\udfff", "a\r\nb\x00", '"quoted", text') for k in range(2)
    ]  # fmt: skip
    file = tmp_path / "log.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = read("jsonl", file, tmp_path)
    assert done.total.prompts == 4
    assert {"a\r\nb\x00", '"quoted", text'} < set(counts_of(done.out)[1])


@pytest.mark.parametrize("group", [float("nan"), None, " "])
def test_rollouts_without_a_group_are_not_one_group(group, tmp_path):
    rows = [
        {"step": 1, "prompt": "a", "response": "x", "score": 1, "uid": each}
        for each in ("g", group)
    ]
    log = write_lines(tmp_path / "log.jsonl", rows)
    with pytest.raises(InputError, match="line 2: no value in column 'uid'"):
        read("jsonl", log, tmp_path, group="uid")
    assert read("jsonl", log, tmp_path, group="uid", malformed="skip").total.rollouts == 1


def test_a_prompt_that_is_no_number_is_none(tmp_path):
    rows = [{"step": 1, "prompt": float("nan"), "response": "x", "score": 1}]
    with pytest.raises(InputError, match="line 1: no prompt in column 'prompt'"):
        read("jsonl", write_lines(tmp_path / "log.jsonl", rows), tmp_path)


@pytest.mark.parametrize(
    ("layout", "names"),
    [
        ("jsonl", ("1.jsonl", "1.csv")),
        ("jsonl", ("1.jsonl", "1.jsonl.gz")),
        ("verl", ("1.jsonl", "1.ndjson")),
    ],
)
def test_two_formats_of_the_same_rows_are_refused(layout, names, tmp_path):
    (tmp_path / "log").mkdir()
    for name in names:
        (tmp_path / "log" / name).write_bytes(b"")
    with pytest.raises(InputError, match="may be the same rows twice"):
        read(layout, tmp_path / "log", tmp_path)


def test_a_key_twice_in_a_row_is_refused(tmp_path):
    (tmp_path / "log.jsonl").write_text(
        '{"step": 1, "prompt": "a", "response": "x", "score": 0, "score": 1}\n'
    )
    with pytest.raises(InputError, match="line 1: the key 'score' stands twice"):
        read("jsonl", tmp_path / "log.jsonl", tmp_path)


@pytest.mark.parametrize("out", ["log/run", "log/deep/run", "validation/run"])
def test_a_run_is_not_written_into_its_log(out, tmp_path):
    log = write_verl(tmp_path / "log")
    validation = write_validation(tmp_path / "validation", [2])
    with pytest.raises(InputError, match=r"run lies inside the log .*choose --out elsewhere"):
        read("verl", log, tmp_path, out, validation=str(validation))
    assert not (tmp_path / out).exists()


def test_a_log_whose_path_is_too_long(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read("verl", "x" * 5000, tmp_path)


def test_columns_whose_names_hold_dots(tmp_path):
    columns = {
        "step": [1, 1], "prompt": ["a", "a"], "in.score": [0, 1], "in": [{"score": 1}] * 2,
        "response": ["x", "y"],
    }  # fmt: skip
    log = write_parquet(tmp_path / "log.parquet", columns)
    done = read("jsonl", log, tmp_path, score="in.score")
    assert counts_of(done.out) == {1: {"a": (2, 1)}}
