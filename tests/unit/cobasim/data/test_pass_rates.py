"""Pass rates from files and standard input: exact numbers, or the file and the reason."""

import io
import json
import struct
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import feed_standard_input
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import MEASURED

from cobasim.data import read_pass_rates
from cobasim.errors import InputError

RATES = [0.0, 0.0625, 1 / 3, 1e-300, 1 - 1e-16, 1.0]


def csv_of(rates, header="pass_rate"):
    return "\n".join([header, *(repr(rate) for rate in rates)]) + "\n"


@settings(max_examples=60, deadline=None)
@given(rates=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_every_format_gives_back_the_very_numbers(rates, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    (folder / "a.json").write_text(json.dumps(rates))
    (folder / "rows.json").write_text(json.dumps([{"id": 1, "pass_rate": r} for r in rates]))
    (folder / "object.json").write_text(json.dumps({"model": "m", "pass_rate": rates}))
    (folder / "a.csv").write_text(csv_of(rates))
    (folder / "wide.CSV").write_text(
        "prompt, pass_rate ,n\n" + "".join(f'"a, b",{r!r},16\n' for r in rates)
    )
    np.save(folder / "a.npy", np.array(rates))
    pq.write_table(pa.table({"x": ["t"] * len(rates), "pass_rate": rates}), folder / "a.parquet")
    for name in ("a.json", "rows.json", "object.json", "a.csv", "wide.CSV", "a.npy", "a.parquet"):
        found = read_pass_rates(str(folder / name))
        assert found.dtype == np.float64
        assert found.tolist() == rates, name


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(RATES),
        "  \n" + json.dumps({"pass_rate": RATES}),
        csv_of(RATES),
        " ".join(map(repr, RATES)),
        "\n".join(map(repr, RATES)),
        ", ".join(map(repr, RATES)),
        "\ufeff" + json.dumps(RATES),
    ],
)
def test_standard_input(text, monkeypatch):
    feed_standard_input(monkeypatch, text)
    assert read_pass_rates("-").tolist() == RATES


def test_the_example_of_the_repository():
    rates = read_pass_rates(str(MEASURED))
    assert rates.size == len(MEASURED.read_text().splitlines()) - 1
    assert 0 < rates.mean() < 1


def test_other_spellings(tmp_path):
    (tmp_path / "bom.csv").write_bytes(b"\xef\xbb\xbfpass_rate\r\n0.5\r\n0.25\r\n\r\n")
    assert read_pass_rates(str(tmp_path / "bom.csv")).tolist() == [0.5, 0.25]
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf[0.5, 1, 0]")
    assert read_pass_rates(str(tmp_path / "bom.json")).tolist() == [0.5, 1.0, 0.0]
    np.save(tmp_path / "half.npy", np.array([0.5, 0.25], dtype=np.float16))
    assert read_pass_rates(str(tmp_path / "half.npy")).tolist() == [0.5, 0.25]
    np.save(tmp_path / "whole.npy", np.array([0, 1]))
    assert read_pass_rates(str(tmp_path / "whole.npy")).tolist() == [0.0, 1.0]
    table = pa.table({"pass_rate": pa.array([0.5, 0.25], pa.float32())})
    pq.write_table(table, tmp_path / "single.parquet")
    assert read_pass_rates(str(tmp_path / "single.parquet")).tolist() == [0.5, 0.25]


def npy(shape, descr="'<f8'", body=b"", closed=True):
    """The bytes of a .npy file with any header."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}"
    header = (text + (", }" if closed else "")).encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body


def parquet(**columns):
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def saved(save, *arrays, **named):
    sink = io.BytesIO()
    save(sink, *arrays, **named)
    return sink.getvalue()


GOOD_PARQUET = parquet(pass_rate=[0.5, 0.25])
BAD_FILES = {
    # name: (content, what the message must say)
    "empty.json": (b"", "malformed JSON at line 1"),
    "cut.json": (b"[0.1,\n0.2", "malformed JSON at line 2"),
    "none.json": (b"[]", "no rows"),
    "number.json": (b"0.5", "expected a JSON list, got float"),
    "text.json": (b'"0.5"', "expected a JSON list, got str"),
    "object.json": (b'{"rates": [0.5]}', "no column 'pass_rate'.*rates"),
    "uneven.json": (b'{"pass_rate": [0.5], "rollouts": [1, 2]}', "differ in length"),
    "word.json": (b'[0.5, "half"]', "2.*'half'"),
    "null.json": (b"[0.5, null]", "row 2: no value"),
    "bool.json": (b"[true, 0.5]", "1.*True"),
    "nested.json": (b"[[0.5]]", "1"),
    "row.json": (b'[{"pass_rate": 0.5}, {"rate": 0.5}]', "2"),
    "nan.json": (b"[0.5, NaN]", "nan"),
    "outside.json": (b"[0.5, 50]", "50"),
    "negative.json": (b"[-0.1]", "-0.1"),
    "infinite.json": (b"[1e400]", "inf"),
    "long.json": (b"[1" + b"0" * 400 + b"]", "1"),
    "longer.json": (b"[1" + b"0" * 5000 + b"]", None),
    "deep.json": (b"[" * 100_000, None),
    "bytes.json": (b"\xff\xfe[\x000\x00", "UTF-8"),
    "empty.csv": (b"", "empty"),
    "header.csv": (b"pass_rate\n", "no rows"),
    "other.csv": (b"prompt,rate\nx,0.5\n", "no column 'pass_rate'"),
    "plain.csv": (b"0.5\n0.4\n", "no column 'pass_rate'"),
    "word.csv": (b"pass_rate\n0.5\nhalf\n", "2.*'half'"),
    "percent.csv": (b"pass_rate\n150%\n", "line 2: 150 % lies outside"),
    "gap.csv": (b"prompt,pass_rate\nx,0.5\ny,\n", "line 3"),
    "short.csv": (b"prompt,pass_rate\nx,0.5\ny\n", "line 3: 1 fields, but the header has 2"),
    "nan.csv": (b"pass_rate\nnan\n", "nan"),
    "outside.csv": (b"pass_rate\n0.5\n1.5\n", "1.5"),
    "null.csv": (b"pass_rate\n0.5\n\x00\n", "line 3: .*not a number"),
    "wide.csv": (b"x" * 200_000 + b"\n1\n", "no column 'pass_rate'"),
    "long.csv": (b"pass_rate\n" + b"1" * 200_000 + b"\n", "line 2: .*not finite"),
    "bytes.csv": (b"pass_rate\n\xff\n", "UTF-8"),
    "empty.npy": (b"", "not a .npy file"),
    "text.npy": (b"0.5 0.4", "not a .npy file"),
    "cut.npy": (saved(np.save, np.array([0.5, 0.2]))[:-3], "not a .npy file"),
    "objects.npy": (saved(np.save, np.array([None, 0.5], dtype=object)), "not a .npy file"),
    "zip.npy": (b"PK\x03\x04garbage", "not a .npy file"),
    "archive.npy": (saved(np.savez, a=np.array([0.5])), "name it .npz"),
    "square.npy": (saved(np.save, np.full((2, 2), 0.5)), "flat"),
    "scalar.npy": (saved(np.save, np.array(0.5)), "flat"),
    "none.npy": (saved(np.save, np.zeros(0)), "no rows"),
    "nan.npy": (saved(np.save, np.array([0.5, np.nan])), "nan"),
    "words.npy": (saved(np.save, np.array(["a", "0.5"])), None),
    "complex.npy": (saved(np.save, np.array([0.5 + 1j])), None),
    "dates.npy": (saved(np.save, np.zeros(2, dtype="M8[s]")), None),
    "record.npy": (saved(np.save, np.zeros(2, dtype=[("a", "f8")])), None),
    "huge.npy": (npy("(1000000000000000,)"), "not a .npy file"),
    "token.npy": (npy("(((", closed=False), "not a .npy file"),
    "negative.npy": (npy("(-1,)", body=b"1234567"), "not a .npy file"),
    "type.npy": (npy("(1,)", descr="'zz'", body=b"12345678"), "not a .npy file"),
    "empty.parquet": (b"", "not Parquet"),
    "text.parquet": (b"pass_rate\n0.5\n", "not Parquet"),
    "cut.parquet": (GOOD_PARQUET[:-20], "not Parquet"),
    "other.parquet": (parquet(rate=[0.5]), "no column 'pass_rate'.*rate"),
    "null.parquet": (parquet(pass_rate=[0.5, None]), "row 2: no value"),
    "word.parquet": (parquet(pass_rate=["half"]), "1.*'half'"),
    "lists.parquet": (parquet(pass_rate=[[0.5]]), "1"),
    "none.parquet": (parquet(pass_rate=pa.array([], pa.float64())), "no rows"),
    "rates.dat": (b"0.5\n", r"'\.dat'.*\.csv, \.tsv"),
    "rates": (b"0.5\n", "with the ending ''"),
    "rates.json.gz": (b"", r"\.gz"),
}


@pytest.mark.parametrize("name", list(BAD_FILES))
@pytest.mark.filterwarnings("error")
def test_a_file_that_cannot_be_used_is_named_with_the_reason(name, tmp_path):
    content, message = BAD_FILES[name]
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_pass_rates(str(path))
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


@settings(max_examples=60, deadline=None)
@given(damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=8),
       keep=st.floats(0, 1), kind=st.sampled_from(["npy", "parquet", "json", "csv"]))  # fmt: skip
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_never_break_through(damage, keep, kind, tmp_path_factory):
    whole = {
        "npy": saved(np.save, np.array(RATES)),
        "parquet": parquet(pass_rate=RATES),
        "json": json.dumps(RATES).encode(),
        "csv": csv_of(RATES).encode(),
    }[kind]
    content = bytearray(whole[: max(1, round(len(whole) * keep))])
    for place, byte in damage:
        content[place % len(content)] = byte
    path = tmp_path_factory.getbasetemp() / f"damaged.{kind}"
    path.write_bytes(bytes(content))
    try:
        rates = read_pass_rates(str(path))
    except (InputError, OSError):
        return
    assert rates.ndim == 1
    assert np.all((rates >= 0) & (rates <= 1))


def test_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"no such file.*missing\.json"):
        read_pass_rates(str(tmp_path / "missing.json"))
    with pytest.raises(InputError, match="folder"):
        read_pass_rates(str(tmp_path))
    with pytest.raises(InputError):
        read_pass_rates("")
    with pytest.raises(InputError, match="cannot be read"):
        read_pass_rates("x" * 5000 + ".json")
    with pytest.raises((InputError, OSError)):
        read_pass_rates("a\0b.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "standard input: nothing to read"),
        ("  \n ", "standard input: nothing to read"),
        ("[0.5", "standard input: malformed JSON"),
        ("0.5 half", "standard input: line 1: 'half' is not a number"),
        ("0,1", "decimal comma"),
        ("0.5 1.5", "1.5"),
        ("rate\n0.5\n", "standard input"),
        (b"\xff\xfe0.5", "standard input.*UTF-8"),
    ],
)
def test_standard_input_that_cannot_be_used(text, message, monkeypatch):
    feed_standard_input(monkeypatch, text)
    with pytest.raises(InputError, match=message):
        read_pass_rates("-")


def test_standard_input_that_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input"):
        read_pass_rates("-")
