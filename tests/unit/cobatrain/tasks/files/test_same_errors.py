"""cobasim and cobatrain say the same of the same fault in a file."""

import gzip
from functools import partial

import pytest

from cobasim.data import RateOptions, read_measured
from cobasim.errors import InputError
from cobatrain.tasks.files import FileSource, load

HEADER = b"problem,answer,pass_rate\n"
FAULTS = {
    "missing.jsonl": None,
    "a.md": b"x",
    "empty.csv": b"",
    "empty.jsonl": b"",
    "header_only.csv": HEADER,
    "wide.csv": HEADER + b"a,1,0,5\n",
    "narrow.csv": HEADER + b"a,1\n",
    "not_json.jsonl": b'{"problem": "a", "answer": 1, "pass_rate": 0.5}\n{"problem": \n',
    "bytes.jsonl": b'{"problem": "\xff", "answer": 1, "pass_rate": 0.5}\n',
    "bytes.csv": HEADER + b"\xff,1,0.5\n",
    "not_json.json": b"[1, 2",
    "scalar.json": b"5",
    "x.parquet": b"this is no data",
    "x.arrow": b"this is no data",
    "damaged.jsonl.gz": gzip.compress(b"x" * 100)[:20],
    "not_zipped.jsonl.gz": b"{}",
    "two_values.jsonl": b'{"problem": "a", "answer": 1, "pass_rate": 0.5} {}\n',
}


def message(act) -> str:
    with pytest.raises(InputError) as caught:
        act()
    return str(caught.value)


def core(text: str) -> str:
    """Without the advice of one door, how many rows there are and what they should hold."""
    return text.split(" (1 of ")[0].removesuffix(" with a pass rate")


@pytest.mark.parametrize("name", FAULTS)
def test_the_same_fault_gives_the_same_error(tmp_path, name):
    path = tmp_path / name
    if FAULTS[name] is not None:
        path.write_bytes(FAULTS[name])
    rates = message(lambda: read_measured(str(path), RateOptions()))
    rows = message(lambda: load(FileSource(path=path), "set"))
    assert core(rates) == core(rows)
    assert str(path) in rates
    assert "\n" not in rates


def test_a_column_that_stands_twice(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"problem,answer,answer\na,1,1\n")
    rates = message(lambda: read_measured(str(path), RateOptions(column="answer")))
    assert rates == message(lambda: load(FileSource(path=path), "set"))
    assert "stands twice" in rates


def test_folders_too(tmp_path):
    (tmp_path / "none").mkdir()
    (tmp_path / "two").mkdir()
    for split in ("train", "test"):
        (tmp_path / "two" / f"{split}.csv").write_bytes(HEADER + b"a,1,0.5\n")
    for folder, split in (("none", None), ("two", None), ("two", "trian")):
        path, options = str(tmp_path / folder), RateOptions(split=split)
        source = FileSource(path=tmp_path / folder, split=split)
        assert message(partial(read_measured, path, options)) == message(partial(load, source, "s"))
