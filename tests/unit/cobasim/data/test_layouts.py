# ruff: noqa: E501  (tables of files)
"""Every layout of measured pass rates in docs/data.md, on a small file of the same columns."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest
from command_line import feed_standard_input
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.data import RateOptions, read_measured
from cobasim.errors import InputError
from cobasim.settings import validated

PASSES, ATTEMPTS = [0, 3, 5, 8], [8, 8, 8, 8]
RATES = [0.0, 0.375, 0.625, 1.0]


def read(path, **options):
    return read_measured(str(path), validated(RateOptions, options))


def table() -> pa.Table:
    return pa.table(
        {"prompt": ["a", "b, c", "d\ne", "f"], "Pass_Rate": RATES, "rollouts": ATTEMPTS}
    )


def rows() -> list[dict]:
    return table().to_pylist()


def written(kind: str) -> bytes:
    sink = io.BytesIO()
    if kind == "parquet":
        pq.write_table(table(), sink)
    elif kind == "arrow":
        with pa.ipc.new_stream(sink, table().schema) as writer:
            writer.write_table(table())
    elif kind == "feather":
        feather.write_feather(table(), sink)
    elif kind == "npz":
        np.savez(sink, Pass_Rate=np.array(RATES), rollouts=np.array(ATTEMPTS))
    elif kind in ("jsonl", "ndjson"):
        sink.write("\n".join(json.dumps(row) for row in rows()).encode())
    elif kind == "json":
        sink.write(json.dumps(rows()).encode())
    else:
        mark = "\t" if kind == "tsv" else ","
        quoted = ([f'"{row["prompt"]}"', repr(row["Pass_Rate"]), "8"] for row in rows())
        lines = [mark.join(["prompt", "Pass_Rate", "rollouts"]), *(mark.join(q) for q in quoted)]
        sink.write("\n".join(lines).encode())
    return sink.getvalue()


KINDS = ["csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet", "arrow", "feather", "npz"]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_compressed_or_not_in_any_case(kind, upper, packed, tmp_path):
    name = f"rates.{kind}" + (".gz" if packed else "")
    path = tmp_path / (name.upper() if upper else name)
    path.write_bytes(gzip.compress(written(kind)) if packed else written(kind))
    measured = read(path)
    assert measured.pass_rate.tolist() == RATES
    assert measured.attempts.tolist() == ATTEMPTS
    assert measured.whole
    assert "column pass_rate, attempts in column rollouts; 8 attempts each" in measured.summary


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_on_standard_input(kind, packed, monkeypatch):
    if kind == "tsv":
        pytest.skip("told by its ending; on standard input the header tells, as for txt")
    content = written(kind)
    feed_standard_input(monkeypatch, gzip.compress(content) if packed else content)
    measured = read("-")
    assert measured.pass_rate.tolist() == RATES
    assert measured.attempts.tolist() == ATTEMPTS


def test_a_flat_array(tmp_path):
    np.save(tmp_path / "a.npy", np.array(RATES, dtype=np.float32))
    assert read(tmp_path / "a.npy", out_of=8).attempts.tolist() == ATTEMPTS
    np.savez(tmp_path / "a.npz", np.array(RATES))
    assert read(tmp_path / "a.npz").pass_rate.tolist() == RATES


def test_dataset_folders(tmp_path):
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"pass_rate": RATES, "attempts": ATTEMPTS})
    data.save_to_disk(str(tmp_path / "saved"))
    assert read(tmp_path / "saved").pass_rate.tolist() == RATES
    datasets.DatasetDict({"train": data, "test": data.select([1])}).save_to_disk(
        str(tmp_path / "dict")
    )
    assert read(tmp_path / "dict", split="test").pass_rate.tolist() == [0.375]
    with pytest.raises(InputError, match="splits train, test"):
        read(tmp_path / "dict")
    folder = tmp_path / "hub" / "data"
    folder.mkdir(parents=True)
    for part in range(2):
        pq.write_table(
            pa.table({"pass_rate": RATES[2 * part : 2 * part + 2]}),
            folder / f"train-{part:05d}-of-00002.parquet",
        )
    assert read(tmp_path / "hub").pass_rate.tolist() == RATES
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="folder without data files"):
        read(tmp_path / "empty")


def layout(name: str, *lines: str) -> tuple[str, str]:
    return name, "\n".join(lines) + "\n"


LAYOUTS = {
    # published layout: (file, options, rates, attempts)
    "llama8b_solve_rate (Big-Math)": (
        layout("a.csv", "problem,answer,llama8b_solve_rate", '"1+1, ok?",2,0.25', "x,3,1"),
        {"column": "llama8b_solve_rate"}, [0.25, 1.0], None,
    ),
    "failures of 16, nested (Skywork-OR1)": (
        layout(
            "a.jsonl",
            '{"extra_info": {"model_difficulty": {"DeepSeek-R1-Distill-Qwen-7B": 4}}}',
            '{"extra_info": {"model_difficulty": {"DeepSeek-R1-Distill-Qwen-7B": 16}}}',
        ),
        {"failures": "extra_info.model_difficulty.deepseek-r1-distill-qwen-7b", "out_of": 16},
        [0.75, 0.0], [16, 16],
    ),
    "a struct as JSON text": (
        layout("a.jsonl", '{"extra_info": "{\\"pass\\": 0.5}"}'),
        {"column": "extra_info.pass"}, [0.5], None,
    ),
    "avg@k": (layout("a.csv", "id,avg@8", "1,0.125"), {"column": "avg@8", "out_of": 8}, [0.125], [8]),
    "counts of passes and attempts": (
        layout("a.csv", "id,solved,tries", "a,3,8", "b,0,4"),
        {"passes": "solved", "attempts": "tries"}, [0.375, 0.0], [8, 4],
    ),
    "fractions": (layout("a.csv", "pass_rate", "5/8", " 0/4 "), {}, [0.625, 0.0], [8, 4]),
    "percent signs": (layout("a.csv", "pass_rate", "25%", "100 %"), {}, [0.25, 1.0], None),
    "percent": (layout("a.csv", "pass_rate", "25", "100"), {"percent": True}, [0.25, 1.0], None),
    "a failure rate": (
        layout("a.csv", "difficulty", "0.25"), {"column": "difficulty", "invert": True},
        [0.75], None,
    ),
    "decimal commas": (
        layout("a.csv", "id;pass_rate", "a;0,5", "b;1"), {"decimal_comma": True}, [0.5, 1.0], None,
    ),
    "decimal commas alone": (
        layout("a.csv", "pass_rate", "0,5"), {"decimal_comma": True}, [0.5], None,
    ),
    "one row a rollout": (
        layout("a.csv", "uid,reward", "a,1", "b,0", "a,0", "b,0", "a,1"),
        {"group_by": "uid", "score": "reward"}, [2 / 3, 0.0], [3, 2],
    ),
    "one row a rollout, graded scores": (
        layout("a.jsonl", '{"p": [1], "s": 0.2}', '{"p": [1], "s": 0.9}', '{"p": [2], "s": 0.5}'),
        {"group_by": "p", "score": "s", "threshold": 0.5}, [0.5, 1.0], [2, 1],
    ),
    "true and false": (
        layout("a.jsonl", '{"p": "x", "ok": true}', '{"p": "x", "ok": false}'),
        {"group_by": "p", "score": "ok"}, [0.5], [2],
    ),
    "columns of JSON": (
        layout("a.json", '{"model": "m", "pass_rate": [0.5, 1], "attempts": [4, 2]}'),
        {}, [0.5, 1.0], [4, 2],
    ),
    "a table of Weights & Biases": (
        layout("a.json", '{"columns": ["id", "pass_rate"], "data": [["a", 0.5], ["b", 1]]}'),
        {}, [0.5, 1.0], None,
    ),
    "rows inside an object": (
        layout("a.json", '{"meta": [1, 2], "data": [{"pass_rate": 0.5}]}'), {}, [0.5], None,
    ),
    "JSON lines named .json": (
        layout("a.json", '{"pass_rate": 0.5}', '{"pass_rate": 1}'), {}, [0.5, 1.0], None,
    ),
    "plain numbers": (layout("a.txt", "0.5 1", "0.25, 0"), {}, [0.5, 1.0, 0.25, 0.0], None),
    "missing values left out": (
        layout("a.csv", "pass_rate,n", "0.5,1", "n/a,2", ",3", "null,4", "1,5"),
        {"missing": "skip"}, [0.5, 1.0], None,
    ),
    "unseen prompts": (
        layout("a.csv", "pass_rate,attempts", "0.5,4", ",0", "1,8"),
        {"missing": "unseen"}, [0.5, 0.5, 1.0], [4, 0, 8],
    ),
    "the first rows": (layout("a.csv", "pass_rate", "0.1", "0.2", "0.3"), {"limit": 2}, [0.1, 0.2], None),
}  # fmt: skip


def parquet(*columns) -> tuple[str, bytes]:
    """A file of (name, values)."""
    sink = io.BytesIO()
    names, values = zip(*columns, strict=True)
    pq.write_table(pa.table([pa.array(each) for each in values], names=list(names)), sink)
    return "a.parquet", sink.getvalue()


def arrow(*columns) -> tuple[str, bytes]:
    sink = io.BytesIO()
    names, values = zip(*columns, strict=True)
    data = pa.table([pa.array(each) for each in values], names=list(names))
    with pa.ipc.new_file(sink, data.schema) as writer:
        writer.write_table(data)
    return "a.arrow", sink.getvalue()


def npz(**arrays) -> tuple[str, bytes]:
    sink = io.BytesIO()
    np.savez(sink, **arrays)
    return "a.npz", sink.getvalue()


PREFERRED = {
    # where several things could be meant: (file, options, rates, attempts)
    "an index without a name": (layout("a.csv", ",pass_rate", "0,0.25", "1,0.5"), {}, [0.25, 0.5], None),
    "an array with a name": (
        npz(solve_rate=[0.25, 0.5]), {"column": "solve_rate"}, [0.25, 0.5], None,
    ),
    "numpy's own name, given": (npz(arr_0=[0.25]), {"column": "arr_0"}, [0.25], None),
    "a name with dots beside a struct": (
        parquet(("a", [{"b": 0.1}]), ("a.b", [0.9])), {"column": "a.b"}, [0.9], None,
    ),
    "a name with dots": (parquet(("A.b", [0.9]), ("x", [1])), {"column": "a.B"}, [0.9], None),
    "a name with dots, Arrow": (arrow(("a.b", [0.9]), ("x", [1])), {"column": "a.b"}, [0.9], None),
    "a name with dots inside": (
        layout("a.jsonl", '{"in": {"my.rate": 0.9}}'), {"column": "in.my.rate"}, [0.9], None,
    ),
    "a repeated column that is not needed": (
        parquet(("x", [1]), ("x", [2]), ("pass_rate", [0.5])), {}, [0.5], None,
    ),
    "a column beside rows of the same": (
        layout("a.json", '{"pass_rate": [0.1, 0.2], "old": [{"pass_rate": 0.9}, {"pass_rate": 0.8}]}'),
        {}, [0.1, 0.2], None,
    ),
    "a column beside other rows": (
        layout("a.json", '{"pass_rate": [0.1, 0.2], "meta": [{"a": 1}]}'), {}, [0.1, 0.2], None,
    ),
    "a column beside other lists": (
        layout("a.json", '{"pass_rate": [0.1, 0.2], "tags": ["x"]}'), {}, [0.1, 0.2], None,
    ),
    "rows beside their mean": (
        layout("a.json", '{"pass_rate": 0.3, "data": [{"pass_rate": 0.9}]}'), {}, [0.9], None,
    ),
    "empty lines at the end": (layout("a.csv", "pass_rate", "0.5", "", ""), {}, [0.5], None),
    "an empty line of one column, left out": (
        layout("a.csv", "pass_rate", "0.5", "", "1"), {"missing": "skip"}, [0.5, 1.0], None,
    ),
    "empty lines between objects": (
        layout("a.jsonl", '{"pass_rate": 0.5}', "", '{"pass_rate": 1}', ""), {}, [0.5, 1.0], None,
    ),
    "empty lines between rows of several columns": (
        layout("a.csv", "id,pass_rate", "a,0.5", "", "b,1"), {}, [0.5, 1.0], None,
    ),
    "commas with spaces": (layout("a.txt", "", "0.5 , 1,", "0.25 ,", ""), {}, [0.5, 1.0, 0.25], None),
    "an empty place, left out": (
        layout("a.txt", "0.5, , 0.3"), {"missing": "skip"}, [0.5, 0.3], None,
    ),
    "lists of rollouts": (
        layout("a.jsonl", '{"pass_rate": 0.5, "rollouts": ["x", "y"]}'), {}, [0.5], None,
    ),
    "lists of rollouts beside attempts": (
        layout("a.jsonl", '{"pass_rate": 0.5, "rollouts": ["x", "y"], "attempts": 2}'), {}, [0.5], [2],
    ),
    "a prompt without any score, unseen": (
        layout("a.csv", "p,s", "a,1", "b,", "a,0"),
        {"group_by": "p", "score": "s", "missing": "unseen"}, [0.5, 0.5], [2, 0],
    ),
    "a rollout without its prompt, left out": (
        layout("a.csv", "p,s", "a,1", ",0", ",1"),
        {"group_by": "p", "score": "s", "missing": "skip"}, [1.0], [1],
    ),
    "a prompt called none": (
        layout("a.csv", "p,s", "none,1", "-,0"), {"group_by": "p", "score": "s"}, [1.0, 0.0], [1, 1],
    ),
    "the separator that Excel declares": (
        layout("a.csv", "sep=;", "id;pass_rate", "a,b;0.5"), {}, [0.5], None,
    ),
    "one row": (layout("a.json", '{"pass_rate": 0.5, "attempts": 4}'), {}, [0.5], [4]),
    "one row with a list": (layout("a.json", '{"pass_rate": 0.5, "tags": ["x"]}'), {}, [0.5], None),
}  # fmt: skip


def write(path: Path, content: str | bytes) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


@pytest.mark.parametrize("name", LAYOUTS | PREFERRED)
def test_a_layout_is_read_as_it_is_meant(name, tmp_path):
    (file, content), options, rates, attempts = (LAYOUTS | PREFERRED)[name]
    write(tmp_path / file, content)
    measured = read(tmp_path / file, **options)
    assert measured.pass_rate.tolist() == rates
    assert (None if measured.attempts is None else measured.attempts.tolist()) == attempts


def test_the_docs_name_every_layout():
    page = (Path(__file__).parents[4] / "docs" / "data.md").read_text()
    for name in LAYOUTS:
        assert f"| {name} |" in page, name


def test_what_was_dropped_is_said(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("pass_rate\n0.5\nn/a\n1\n0\n")
    measured = read(path, missing="skip", limit=2)
    assert measured.rows.tolist() == [0, 2]
    assert not measured.whole
    assert measured.summary.startswith(f"2 of 4 pass rates from {path}")
    assert "1 row without a value" in measured.summary


def test_rollouts_that_were_dropped_are_said(tmp_path):
    (tmp_path / "a.csv").write_text("p,s\na,1\nb,\na,\n,1\nc,0\n")
    options = {"group_by": "p", "score": "s", "missing": "skip"}
    measured = read(tmp_path / "a.csv", **options)
    assert measured.prompts == ("a", "c")
    assert measured.rows.tolist() == [0, 2]
    assert measured.summary.startswith("2 of 3 pass rates")
    assert "5 rollouts, grouped by p" in measured.summary
    assert "1 attempt each; 1 row without a value" in measured.summary
    assert "2 rollouts without a score left out" in measured.summary
    assert "1 rollout without a prompt left out" in measured.summary


def test_lists_that_are_not_read_as_attempts_are_said(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"pass_rate": 0.5, "rollouts": ["x"]}')
    assert "column rollouts holds lists or objects" in read(tmp_path / "a.jsonl").summary


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("dataset_dict.json", "{}"),
        ("dataset_dict.json", '{"splits": 3}'),
        ("dataset_dict.json", "{"),
        ("state.json", "[]"),
        ("state.json", '{"_data_files": [{}]}'),
    ],
)
def test_a_saved_data_set_that_is_damaged_is_named(file, content, tmp_path):
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=f"{file} is damaged"):
        read(tmp_path)


def test_a_choice_among_no_splits_is_refused(tmp_path, monkeypatch):
    (tmp_path / "state.json").write_text('{"_data_files": [{"filename": "data.arrow"}]}')
    with pytest.raises(InputError, match="is one split"):
        read(tmp_path, split="train")
    feed_standard_input(monkeypatch, "0.5")
    with pytest.raises(InputError, match="standard input: it has no splits"):
        read("-", split="train")


def test_compression_that_ends_early_on_standard_input(monkeypatch):
    feed_standard_input(monkeypatch, gzip.compress(b"pass_rate\n0.5\n")[:-9])
    with pytest.raises(InputError, match="standard input: damaged compression"):
        read("-")


def test_a_row_that_is_nested_too_deeply(tmp_path):
    deep = '{"a":' * 900 + "1" + "}" * 900
    (tmp_path / "a.jsonl").write_text(f'{{"x": {deep}}}')
    with pytest.raises(InputError, match=r"no column 'pass_rate'|not JSON"):
        read(tmp_path / "a.jsonl")


@pytest.mark.parametrize("names", [("train.csv", "train.jsonl"), ("train.csv", "train.csv.gz")])
def test_two_formats_of_one_split_are_refused(names, tmp_path):
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match="may be the same rows twice"):
        read(tmp_path)


def test_rates_that_do_not_fit_their_attempts_are_said(tmp_path):
    (tmp_path / "a.csv").write_text("pass_rate,rollouts\n0.33,16\n0.5,16\n0.0625,16\n0.06,16\n")
    assert "in 1 row rate x attempts is not a whole number" in read(tmp_path / "a.csv").summary


def test_a_sample_is_drawn_by_its_seed_and_keeps_the_order(tmp_path):
    np.save(tmp_path / "a.npy", np.linspace(0, 1, 101))
    one, again, other = (
        read(tmp_path / "a.npy", sample=20, seed=seed).pass_rate for seed in (1, 1, 2)
    )
    assert one.tolist() == again.tolist() == sorted(one)
    assert one.tolist() != other.tolist()
    with pytest.raises(InputError, match="--sample 102 asks for more rows than the 101"):
        read(tmp_path / "a.npy", sample=102)


NEVER = {
    # what was once misread, or could be: (file, options, what the error says)
    "a decimal comma": (layout("a.csv", "pass_rate", "0,5"), {}, "line 2: '0,5' has a comma"),
    "one field too many": (layout("a.csv", "id,pass_rate", "a,0,5"), {}, "line 2: 3 fields, .* has 2"),
    "a name twice": (layout("a.csv", "pass_rate,pass_rate", "0,1"), {}, "stands twice"),
    "a name with dots twice": (
        layout("a.csv", "x.pass,x.pass", "0,1"), {"column": "x.pass"}, "stands twice",
    ),
    "a name twice, Parquet": (
        parquet(("pass_rate", [0.5]), ("pass_rate", [0.1])), {}, "'pass_rate' stands twice",
    ),
    "a name twice, Arrow": (
        arrow(("pass_rate", [0.5]), ("pass_rate", [0.1])), {}, "'pass_rate' stands twice",
    ),
    "a name twice, Weights & Biases": (
        layout("a.json", '{"columns": ["pass_rate", "pass_rate"], "data": [[0, 1]]}'), {},
        "'pass_rate' stands twice",
    ),
    "a key twice": (
        layout("a.jsonl", '{"pass_rate": 0}', '{"pass_rate": 0, "pass_rate": 1}'), {},
        "line 2: the key 'pass_rate' stands twice",
    ),
    "a key twice in a list": (
        layout("a.json", '[{"pass_rate": 0, "pass_rate": 1}]'), {}, "the key 'pass_rate' stands twice",
    ),
    "a key twice in a struct as text": (
        layout("a.jsonl", '{"x": "{\\"p\\": 0, \\"p\\": 1}"}'), {"column": "x.p"},
        "line 1: the key 'p' stands twice",
    ),
    "an index without a name alone": (
        layout("a.csv", ",solve_rate", "0,0.5"), {}, "no column 'pass_rate'.*solve_rate",
    ),
    "an array of something else": (npz(failure_rate=[0.1]), {}, "no column 'pass_rate'.*failure_rate"),
    "an array of attempts": (npz(attempts=[1, 1]), {}, "no column 'pass_rate'.*attempts"),
    "one number beside a column": (
        layout("a.json", '{"pass_rate": [0.5, 1], "attempts": 4}'), {}, "'attempts' is one value",
    ),
    "one number beside rows": (
        layout("a.json", '{"attempts": 4, "data": [{"pass_rate": 0.5}]}'), {},
        "'attempts' stands beside the rows of 'data'",
    ),
    "a column beside rows that need it": (
        layout("a.json", '{"attempts": [4], "data": [{"pass_rate": 0.5}]}'), {},
        "'attempts' stands beside the rows of 'data'",
    ),
    "a map": (layout("a.json", '{"a": 0.5, "b": 0.1}'), {}, "no column 'pass_rate'; there are: a, b"),
    "an empty line of one column": (
        layout("a.csv", "pass_rate", "0.5", "", "0.3"), {}, "line 3: no value",
    ),
    "an empty line of numbers": (layout("a.txt", "0.5", "", "0.3"), {}, "line 2: no value"),
    "an empty line of numbers, JSON lines": (
        layout("a.jsonl", "0.5", "", "0.3"), {}, "line 2: no value",
    ),
    "an empty place": (layout("a.txt", "0.5, , 0.3"), {}, "line 1: no value"),
    "attempts that come later": (
        layout("a.jsonl", '{"pass_rate": 1}', '{"pass_rate": 1, "attempts": 4}'), {},
        "attempts are known of 1 row only",
    ),
    "attempts under two names": (
        layout("a.jsonl", '{"pass_rate": 1, "rollouts": 8}', '{"pass_rate": 1, "attempts": 4}'), {},
        "line 2: both columns",
    ),
    "words for attempts": (
        layout("a.csv", "pass_rate,rollouts", "0.5,many"), {},
        "line 2: 'many' is not a number .*column 'rollouts'; --attempts N",
    ),
    "unseen among others without attempts": (
        layout("a.json", "[0.1, null, 0.9]"), {"missing": "unseen"}, "no row has attempts",
    ),
    "a row among numbers": (
        layout("a.json", '[0.5, {"pass_rate": 0.3}]'), {}, "row 2: plain values and rows",
    ),
    "a number among rows": (
        layout("a.json", '[{"pass_rate": 0.3}, 0.5]'), {}, "row 2: plain values and rows",
    ),
    "a prompt without a name": (
        layout("a.csv", "p,s", "a,1", ",0"), {"group_by": "p", "score": "s"},
        "line 3: no value in column 'p'; .*--missing skip",
    ),
    "a prompt without a name, unseen": (
        layout("a.csv", "p,s", "a,1", ",0"), {"group_by": "p", "score": "s", "missing": "unseen"},
        "line 3: no value in column 'p'",
    ),
    "a prompt that is NaN": (
        layout("a.jsonl", '{"p": NaN, "s": 1}'), {"group_by": "p", "score": "s"}, "line 1: no value",
    ),
    "a prompt that is NaN, Parquet": (
        parquet(("p", [1.0, float("nan")]), ("s", [1, 0])), {"group_by": "p", "score": "s"},
        "row 2: no value",
    ),
    "a bad row below a declared separator": (
        layout("a.csv", "sep=;", "id;pass_rate", "a;x"), {}, "line 3: 'x' is not a number",
    ),
    "columns separated by spaces": (
        layout("a.txt", "id pass_rate", "a 0.5"), {}, "'id pass_rate' is one column.*not spaces",
    ),
    "attempts beyond counting": (
        layout("a.csv", "pass_rate,attempts", "0.5,1e20"), {}, "line 2: '1e20' is not a count: the most",
    ),
    "attempts in other digits": (layout("a.csv", "pass_rate", "1"), {"attempts": "²"}, "no column '²'"),
    "a split of a file": (
        layout("a.csv", "pass_rate", "1"), {"split": "train"}, "one file without splits",
    ),
    "a struct as text without end": (
        layout("a.jsonl", json.dumps({"x": '{"a":' * 5000})), {"column": "x.a"}, "no column 'x.a'",
    ),
    "a struct that is nested too deeply": (
        layout("a.jsonl", json.dumps({"x": '{"a":' * 100_000 + "1" + "}" * 100_000})), {"column": "x.a"},
        "no column 'x.a'",
    ),
    "corrupt compression": (
        ("a.csv.gz", gzip.compress(b"pass_rate\n" + b"0.5\n" * 99, mtime=0)[:10] + b"\xff" * 30), {},
        "damaged compression",
    ),
    "corrupt compression of JSON": (
        ("a.json.gz", gzip.compress(b"[0.5, 0.25]", mtime=0)[:10] + b"\xff" * 30), {},
        "damaged compression",
    ),
    "counts under another name": (
        layout("a.csv", "solve_rate,n", "0.5,8"), {}, "solve_rate: name one .*--attempts n",
    ),
    "names that differ in case": (
        layout("a.csv", "Pass_Rate,PASS_RATE", "0,1"), {}, "likely columns: Pass_Rate, PASS_RATE",
    ),
    "percent unsaid": (layout("a.csv", "pass_rate", "50"), {}, "line 2: 50 lies outside .*--percent"),
    "counts unsaid": (layout("a.csv", "passes", "3"), {"passes": "passes"}, "counts need their att"),
    "more passes than attempts": (
        layout("a.csv", "k,n", "9,8"), {"passes": "k", "attempts": "n"}, "line 2: 9 of 8 attempts",
    ),
    "half a pass": (layout("a.csv", "k", "2.5"), {"passes": "k", "out_of": 8}, "not a count"),
    "a fraction above 1": (layout("a.csv", "pass_rate", "9/8"), {}, "more passes than attempts"),
    "nothing of nothing": (layout("a.csv", "pass_rate", "0/0"), {}, "0 attempts"),
    "two columns of attempts": (
        layout("a.csv", "pass_rate,rollouts,attempts", "0.5,8,3"), {}, "both columns .* may hold",
    ),
    "attempts that contradict": (
        layout("a.csv", "pass_rate,attempts", "4/8,16"), {}, "has 8 attempts, another column says 16",
    ),
    "no attempts in one row": (
        layout("a.csv", "pass_rate,attempts", "0.5,16", "0.5,"), {}, "line 3: no attempts",
    ),
    "an empty cell": (layout("a.csv", "id,pass_rate", "a,"), {}, "line 2: .*--missing skip"),
    "n/a": (layout("a.csv", "pass_rate", "N/A"), {}, "'N/A'; to leave such rows out"),
    "a later row without the key": (
        layout("a.jsonl", '{"pass_rate": 1}', '{"rate": 1}'), {}, "line 2: no value",
    ),
    "graded scores": (
        layout("a.csv", "p,s", "a,0.7"), {"group_by": "p", "score": "s"}, "line 2: .*--threshold",
    ),
    "a rollout without its prompt": (
        layout("a.jsonl", '{"p": "a", "s": 1}', '{"s": 1}'), {"group_by": "p", "score": "s"},
        "line 2: no value in column 'p'",
    ),
    "no such column": (
        layout("a.csv", "id,solve_rate,avg@8", "a,0.5,0.5"), {}, "likely columns: solve_rate, avg@8",
    ),
    "no such column, named": (
        layout("a.csv", "id,solve_rate", "a,0.5"), {"column": "rate"}, "there are: id, solve_rate",
    ),
    "no such column of attempts": (
        layout("a.csv", "pass_rate", "0.5"), {"attempts": "n"}, "no column 'n'",
    ),
    "underscores": (layout("a.csv", "pass_rate", "0_1"), {}, "'0_1' is not a number"),
    "other digits": (layout("a.csv", "pass_rate", "٠"), {}, "is not a number"),
    "truth": (layout("a.jsonl", '{"pass_rate": true}'), {}, "line 1: True is not a number"),
    "commas between plain numbers": (layout("a.txt", "0,1"), {}, "line 1: '0,1' has a comma"),
    "an unclosed quote": (layout("a.csv", "id,pass_rate", '"a,0.5'), {}, "line 2: not CSV"),
    "two separators": (
        layout("a.csv", "a;b|pass_rate;c", "1"), {"column": "x"}, "which of them separate columns",
    ),
    "columns of different length": (
        layout("a.json", '{"pass_rate": [1], "attempts": [1, 2]}'), {}, "differ in length",
    ),
    "damaged compression": (("a.csv.gz", "pass_rate\n0.5\n"), {}, "compression"),
}  # fmt: skip


@pytest.mark.parametrize("name", NEVER)
def test_nothing_is_misread_in_silence(name, tmp_path):
    (file, content), options, message = NEVER[name]
    write(tmp_path / file, content)
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / file, **options)
    assert "\n" not in str(caught.value)
    if "counts need" not in message:
        assert str(caught.value).startswith(str(tmp_path / file))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "a", "passes": "b", "out_of": 4}, "--column and --passes exclude"),
        ({"passes": "a", "failures": "b", "out_of": 4}, "exclude each other"),
        ({"group_by": "a"}, "belong together"),
        ({"score": "a"}, "belong together"),
        ({"threshold": 0.5}, "--threshold belongs to --score"),
        ({"attempts": "n", "out_of": 4}, "--attempts and --out-of exclude"),
        ({"failures": "a"}, "counts need their attempts"),
        ({"attempts": "9" * 5000}, "the most is 1,000,000,000"),
        ({"out_of": 10**10}, "out_of"),
        ({"score": "a", "group_by": "b", "out_of": 3}, "counts rollouts itself"),
        ({"passes": "a", "out_of": 3, "percent": True}, "for rates, not for counts"),
        ({"failures": "a", "out_of": 3, "invert": True}, "already counts failures"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(InputError, match=message):
        validated(RateOptions, options)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(
        st.integers(1, 64).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
        min_size=1, max_size=12,
    ),
)  # fmt: skip
def test_all_ways_of_writing_the_same_counts_agree(counts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("same")

    def csv(name: str, header: str, line) -> Path:
        path = folder / name
        path.write_text("\n".join([header, *(line(k, n) for k, n in counts)]) + "\n")
        return path

    ways = [
        read(csv("a.csv", "pass_rate", lambda k, n: f"{k}/{n}")),
        read(csv("b.csv", "k,n", lambda k, n: f"{k},{n}"), passes="k", attempts="n"),
        read(csv("c.csv", "k,n", lambda k, n: f"{n - k},{n}"), failures="k", attempts="n"),
        read(
            csv("d.csv", "k,n", lambda k, n: f"{n - k},{n}"), passes="k", attempts="n", invert=True
        ),
        read(csv("e.csv", "pass_rate,attempts", lambda k, n: f"{k / n!r},{n}")),
        read(csv("f.csv", "pass_rate,attempts", lambda k, n: f"{100 * k / n!r}%,{n}")),
    ]
    if len({*counts}) == len(counts):  # rows of rollouts tell prompts apart by their name only
        lines = csv(
            "g.csv", "p,s", lambda k, n: "\n".join([f"{k}.{n},1"] * k + [f"{k}.{n},0"] * (n - k))
        )
        ways.append(read(lines, group_by="p", score="s"))
    for measured in ways:
        np.testing.assert_allclose(measured.pass_rate, [k / n for k, n in counts], rtol=1e-12)
        assert measured.attempts.tolist() == [n for _, n in counts]


def remarks(tmp_path, text, **options):
    (tmp_path / "a.csv").write_text(text)
    return " ".join(read_measured(str(tmp_path / "a.csv"), RateOptions(**options)).notes)


def test_what_may_be_counts_or_rollouts_is_said(tmp_path):
    table = "prompt,correct,total\na,0,16\nb,1,16\nc,0,16\n"
    said = remarks(tmp_path, table, column="correct")
    assert "all rates are 0 or 1: if a row is one rollout, give --group-by" in said
    assert not remarks(tmp_path, table, passes="correct", attempts="total")
    assert "perhaps --attempts total" in remarks(
        tmp_path, table.replace("1,16", "0.5,16"), column="correct"
    )
    assert "perhaps" not in remarks(tmp_path, "pass_rate,n\n0.5,8\n", attempts="n")


def test_prompts_that_come_again_are_said(tmp_path):
    table = "pass_rate,question\n0.5,why\n0.25,how\n0.75,why\n0.5,why\n"
    assert "column question repeats in 2 rows" in remarks(tmp_path, table)
    scores = "question,score\nwhy,1\nwhy,0\nhow,1\n"
    assert not remarks(tmp_path, scores, group_by="question", score="score")


def test_a_column_is_percent_or_it_is_not(tmp_path):
    with pytest.raises(InputError, match=r"line 4: '0.3' in a column that has percent signs"):
        remarks(tmp_path, "pass_rate\n50%\n0\n0.3\n")
    assert not remarks(tmp_path, "pass_rate\n50%\n0\n12 %\n5/8\n".replace("5/8\n", ""))
