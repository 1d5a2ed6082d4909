"""Files that cannot be used are named with line and reason."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_files import write

from cobasim.errors import InputError
from cobatrain.tasks.files import FileSource, load

GOOD = {"problem": "p", "answer": "1"}
BAD_LINES = {
    "not JSON": '{"problem": ',
    "not a JSON object": "[1, 2]",
    "no column 'answer'": '{"problem": "x"}',
    "no column 'problem'": '{"answer": "1"}',
    "empty answer": '{"problem": "x", "answer": " "}',
    "the answer is true": '{"problem": "x", "answer": true}',
    "the answer is nan": '{"problem": "x", "answer": NaN}',
    "empty problem": '{"problem": "  ", "answer": "1"}',
    "expected text": '{"problem": 5, "answer": "1"}',
    "2 user messages": json.dumps(
        {"problem": [{"role": "user", "content": "a"}] * 2, "answer": "1"}
    ),
}


@settings(deadline=None, max_examples=40)
@given(before=st.integers(1, 9), blank=st.integers(0, 3), why=st.sampled_from(list(BAD_LINES)))
def test_a_malformed_row_is_reported_with_its_line(tmp_path_factory, before, blank, why):
    path = tmp_path_factory.mktemp("bad") / "set.jsonl"
    good = [json.dumps({"problem": f"p{i}", "answer": i}) for i in range(before)]
    path.write_text("\n".join([*good, *[""] * blank, BAD_LINES[why], json.dumps(GOOD)]))
    with pytest.raises(InputError) as caught:
        load(FileSource(path=path), "s")
    message = str(caught.value)
    assert f"{path}: line {before + blank + 1}: " in message
    assert why in message
    assert f"1 of {before + 2} rows" in message
    loaded = load(FileSource(path=path), "s", on_bad_row="skip")
    assert len(loaded.prompts) == before + 1
    assert len(loaded.bad) == 1


def test_bytes_that_are_not_text_and_short_csv_rows_have_line_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"problem": "\xff", "answer": "1"}\n')
    with pytest.raises(InputError, match="line 2: not JSON"):
        load(FileSource(path=path), "s")
    path = tmp_path / "a.csv"
    path.write_text('problem,answer\n"two\nlines",1\nonly one\nthree,4,5\n')
    with pytest.raises(InputError) as caught:
        load(FileSource(path=path), "s")
    assert "line 4: 1 fields, but the header has 2" in str(caught.value)
    assert "line 5: 3 fields, but the header has 2" in str(caught.value)
    rows = [{"problem": "a", "answer": "1"}, {"problem": "b", "answer": None}]
    with pytest.raises(InputError, match=r"data.parquet: row 2: empty answer"):
        load(FileSource(path=write(tmp_path, "parquet", rows)), "s")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_missing_columns_and_empty_files(tmp_path, kind):
    path = write(tmp_path, kind, [{"text": "a", "label": "b"}])
    with pytest.raises(InputError, match="text, label"):
        load(FileSource(path=path), "s")
    with pytest.raises(InputError, match="no column 'solution'"):
        load(FileSource(path=path, problem="text", answer="solution"), "s")
    empty = tmp_path / f"empty.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"problem": pa.array([], pa.string())}), empty)
    else:
        empty.write_text("")
    with pytest.raises(InputError, match="no rows" if kind != "csv" else "expected a header"):
        load(FileSource(path=empty), "s")


def test_unreadable_files_are_named(tmp_path):
    for name in ("x.parquet", "x.arrow", "x.json"):
        (tmp_path / name).write_bytes(b"this is no data")
        with pytest.raises(InputError, match=name):
            load(FileSource(path=tmp_path / name), "s")
    (tmp_path / "x.md").write_text("a")
    with pytest.raises(InputError, match=r"cannot read a file with the ending '\.md'"):
        load(FileSource(path=tmp_path / "x.md"), "s")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="without data files"):
        load(FileSource(path=tmp_path / "none"), "s")
