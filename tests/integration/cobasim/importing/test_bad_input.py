# ruff: noqa: E501  (a table of files)
"""``cobasim import``: bad input is one clear line and exit code 2, and nothing is written."""

from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command_line import check_one_line

ROW = {"input": "1+1=", "output": "2", "gts": "2", "score": 1.0, "step": 1}
OWN = {"step": 1, "prompt": "1+1=", "response": "2", "score": 1}
NESTED = b'{"step": ' + b"[" * 100_000


def lines(*rows: dict[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def verl(**changed: Any) -> dict[str, bytes]:
    return {"log/1.jsonl": lines(ROW, ROW | changed)}


def own(**changed: Any) -> dict[str, bytes]:
    return {"log.jsonl": lines(OWN, OWN | changed)}


def parquet(**changed: Any) -> bytes:
    columns = {"step": [1, 1], "prompt": ["a", "a"], "completion": ["x", "y"], "ok": [0.0, 1.0]}
    columns = {name: column for name, column in (columns | changed).items() if column is not None}
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue().to_pybytes()


def trl(**changed: Any) -> dict[str, bytes]:
    return {"log/completions/completions_00001.parquet": parquet(**changed)}


def without(row: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != name}


BAD = {
    # what is wrong: (layout and source, files, options, message)
    "no such folder": ("verl log", {}, "", "no such file or folder: .*log"),
    "an empty folder": ("verl log", {"log/": b""}, "", r"has no files STEP\.jsonl"),
    "a folder of other files": ("verl log", {"log/notes.jsonl": lines(ROW)}, "", r"STEP\.jsonl"),
    "no completions": ("trl log", {"log/model.safetensors": b""}, "", r"no completions_\*\.parquet"),
    "no files of rows": ("jsonl log", {"log/a.bin": b"x"}, "", "a folder without files of rows"),
    "two runs at once": (
        "trl log", {"log/a/completions_00001.parquet": parquet(),
                    "log/b/completions_00001.parquet": parquet()},
        "", "holds 2 folders of completions: give one of",
    ),
    "an ending of another kind": ("verl log.parquet", {"log.parquet": parquet()}, "", "the ending"),
    "a picture": ("jsonl log.png", {"log.png": b"\x89PNG"}, "", "cannot read a log with the ending"),
    "an empty file": ("verl log", {"log/1.jsonl": b""}, "", "no rollouts, not one whole row"),
    "blank lines": ("jsonl log.jsonl", {"log.jsonl": b"\n \n\n"}, "", "no rollouts"),
    "a mark of order alone": ("jsonl log.jsonl", {"log.jsonl": b"\xef\xbb\xbf"}, "", "no rollouts"),
    "an empty table": ("jsonl log.csv", {"log.csv": b"step,prompt,score\n"}, "", "no rollouts"),
    "text": ("jsonl log.jsonl", {"log.jsonl": b"hello\n"}, "", "log.jsonl, line 1: not JSON"),
    "text that is cut off": ("jsonl log.jsonl", {"log.jsonl": b'{"step": 1'}, "", "not one whole row"),
    "a name that paints": ("jsonl log.jsonl", {"log.jsonl": b'{"\\u001b[31m": 1}\n'}, "",
                           r"there are: '.x1b\[31m'"),
    "a list a line": ("jsonl log.jsonl", {"log.jsonl": b"[1, 2]\n"}, "", "not a JSON object"),
    "deep nesting": ("jsonl log.jsonl", {"log.jsonl": NESTED + b"\n"}, "", "line 1: not JSON"),
    "not UTF-8": ("jsonl log.jsonl", {"log.jsonl": b'{"step": "\xff"}\n'}, "", "line 1: not JSON"),
    "a bad row between good ones": (
        "jsonl log.jsonl", {"log.jsonl": lines(OWN) + b'{"step": 1, "pro\n' + lines(OWN)},
        "", "log.jsonl, line 2: not JSON .*--malformed skip",
    ),
    "a number of thousands of digits": (
        "jsonl log.jsonl", {"log.jsonl": lines(OWN) + b'{"step": 1' + b"0" * 5000 + b"}\n"},
        "", "line 2: not JSON",
    ),
    "a row too wide": (
        "jsonl log.csv", {"log.csv": b"step,prompt,score\n1,a,1\n1,a,b,1\n"},
        "", "line 3: 4 fields, but the header has 3",
    ),
    "a table too narrow": (
        "trl log", {"log/a.table.json": b'{"columns": ["step", "prompt", "ok"], "data": '
                                        b'[[1, "a", 1], [1, "a"]]}'},
        "", "row 2: 2 values, but the table has 3 columns",
    ),
    "no scores": ("verl log", {"log/1.jsonl": lines(without(ROW, "score"))}, "",
                  "no column 'score' for the score; there are: input, output.*--score"),
    "no prompts": ("verl log", {"log/1.jsonl": lines(without(ROW, "input"))}, "",
                   "no column 'input' for the prompt.*--prompt"),
    "no steps": ("jsonl log.jsonl", {"log.jsonl": lines(without(OWN, "step"))}, "",
                 "no column 'step' for the step.*--step"),
    "a column that is not there": ("verl log", verl(), "--score accc", "no column 'accc'"),
    "a group that is not there": ("jsonl log.jsonl", own(), "--group id", "no column 'id'"),
    "an advantage that is not there": ("jsonl log.jsonl", own(), "--advantage adv", "'adv'"),
    "no rewards of TRL": ("trl log", trl(ok=None), "", "no column of rewards.*--score"),
    "two rewards of TRL": ("trl log", trl(format=[1.0, 0.0]), "", "ok and format may each hold"),
    "a score in words": ("verl log", verl(score="good"), "",
                         "line 2: 'good' is not a finite number .column 'score'."),
    "an infinite score": ("verl log", verl(score=float("inf")), "", "inf is not a finite number"),
    "a huge score": ("verl log", verl(score=10**400), "", r"10+\.\.\. is not a finite number"),
    "a score of lists": ("verl log", verl(score=[1.0]), "", r"\[1.0\] is not a finite number"),
    "a missing score": ("verl log", verl(score=None), "", "no score in column 'score'"),
    "a score that is NaN": ("verl log", verl(score=float("nan")), "", "no score in column 'score'"),
    "a graded score": ("verl log", verl(score=0.5), "", "0.5 is none of -1, 0 and 1.*--passed"),
    "a negative step": ("jsonl log.jsonl", own(step=-1), "", "the step -1 is not a whole number"),
    "half a step": ("jsonl log.jsonl", own(step=1.5), "", "the step 1.5 is not a whole number"),
    "a true step": ("jsonl log.jsonl", own(step=True), "", "the step True is not a whole number"),
    "an endless step": ("jsonl log.jsonl", own(step=1e300), "", r"the step 1e\+300 is not a whole"),
    "a time as step": ("jsonl log.jsonl", own(step=1764115200000), "", "not a whole number of 0 to"),
    "a step in words": ("jsonl log.jsonl", own(step="one"), "", "'one' is not a finite number"),
    "a step that is missing": ("jsonl log.jsonl", own(step=None), "", "the step None is not a whole"),
    "a step in another's file": ("verl log", {"log/2.jsonl": lines(ROW)}, "",
                                 "step 1 in a file that is named after step 2"),
    "a step that comes again": (
        "jsonl log", {"log/a.jsonl": lines(OWN), "log/b.jsonl": lines(OWN)}, "",
        r"b\.jsonl, line 1: step 1 comes again \(first at .*a\.jsonl, line 1\)",
    ),
    "no prompt": ("jsonl log.jsonl", own(prompt=None), "", "line 2: no prompt in column 'prompt'"),
    "a blank prompt": ("jsonl log.jsonl", own(prompt=" \n"), "", "no prompt in column 'prompt'"),
    "one group, two prompts": ("jsonl log.jsonl", own(prompt="x", g=1), "--group response",
                               "group '2' of step 1 has a second prompt"),
    "no name of a group": ("jsonl log.jsonl", own(response=None), "--group response",
                           "no value in column 'response', which names the group"),
    "a negative length": ("jsonl log.jsonl", own(response=-3), "--length response",
                          r"length -3 is below 0|'2' is"),
    "a length in words": ("jsonl log.jsonl", own(response="long"), "--length response",
                          "'long' is not a finite number"),
    "an evaluation of verl": ("verl log", {"log/0.jsonl": lines(ROW | {"step": 0})}, "",
                              "step 0, but verl counts training steps from 1"),
    "evaluations of TRL alone": ("trl log", trl(step=[0, 0]), "", "no rollouts are left .2 rows"),
    "bad rows alone": ("verl log", {"log/1.jsonl": lines(ROW | {"score": "x"})},
                       "--malformed skip", "no rollouts are left .1 rows read"),
    "damaged compression": ("verl log", {"log/1.jsonl.gz": b"\x1f\x8b\x08garbage"}, "",
                            "damaged compression|no rollouts"),
    "no compression": ("verl log", {"log/1.jsonl.gz": lines(ROW)}, "", "damaged compression"),
    "damage in the middle": (
        "verl log",
        {"log/1.jsonl.gz": gzip.compress(lines(*[ROW] * 99), mtime=0).replace(b"\x00", b"\x01")},
        "", "damaged compression",
    ),
    "no Parquet": ("trl log", {"log/completions_00001.parquet": b"PAR1"}, "", "this is not Parquet"),
    "half a Parquet": ("trl log", {"log/completions_00001.parquet": parquet()[:-30]}, "", "Parquet"),
    "malformed JSON": ("jsonl log.json", {"log.json": b'{"a": [1,'}, "", "malformed JSON"),
    "budgets below the bounds": ("verl log", verl(), "--low 4", "budgets of 2 to 2.*--low 4"),
    "budgets above the bounds": ("verl log", verl(), "--high 1", "outside --low 2 and --high 1"),
    "a threshold of nothing": ("verl log", verl(), "--passed nan", "passed"),
    "a threshold in words": ("verl log", verl(), "--passed half", "--passed"),
    "an unknown allocator": ("verl log", verl(), "--allocator cobaa", "did you mean 'coba'"),
    "a negative seed": ("verl log", verl(), "--seed -1", "--seed"),
    "an unknown mode": ("verl log", verl(), "--malformed ignore", "--malformed"),
    "an unknown layout": ("verlx log", verl(), "", "verlx"),
    "evaluations of TRL in verl": ("verl log", verl(), "--eval-steps 2", "--eval-steps is for trl"),
    "evaluations of verl in TRL": ("trl log", trl(), "--validation log", "--validation is not for"),
    "a column of no evaluations": ("verl log", verl(), "--validation-score acc", "--validation:"),
    "evaluations that are not there": ("verl log", verl(), "--validation no", "no such file or"),
    "two evaluations of a step": (
        "jsonl log.jsonl", own() | {"val/a.jsonl": lines(OWN), "val/b.jsonl": lines(OWN)},
        "--validation val", "step 1 was evaluated before",
    ),
    "a run that exists": ("verl log", verl() | {"run/header.json": b"{}"}, "",
                          "exists and is not empty; runs are never overwritten"),
    "a file in the way": ("verl log", verl() | {"run": b"x"}, "", "exists and is not empty"),
}  # fmt: skip


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@pytest.mark.parametrize("name", list(BAD))
def test_bad_input(name, tmp_path, monkeypatch, cobasim):
    call, files, options, message = BAD[name]
    write(tmp_path, files)
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    code, out, err = cobasim("import", *call.split(), *options.split(), "--out", "run")
    check_one_line(code, out, err)
    assert re.search(message, err), err
    assert contents(tmp_path) == before


def test_the_run_needs_a_folder(tmp_path, monkeypatch, cobasim):
    write(tmp_path, verl() | {"file": b""})
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)
    check_one_line(*cobasim("import", "verl", "log"))
    check_one_line(*cobasim("import", "verl", "log", "--out", ""))
    check_one_line(*cobasim("import", "verl", "log", "--out", "file/run"))
    check_one_line(*cobasim("import", "verl", "log", "--out", "log"))
    assert contents(tmp_path) == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path, cobasim):
    os.mkfifo(tmp_path / "log.jsonl")
    answer = cobasim("import", "jsonl", tmp_path / "log.jsonl", "--out", tmp_path / "run")
    check_one_line(*answer)
    assert "neither a file nor a folder" in answer.err


def test_a_failure_while_writing_leaves_nothing(tmp_path, monkeypatch, cobasim):
    from cobasim.importing import importing

    write(tmp_path, verl())
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "groups.parquet")

    monkeypatch.setattr(importing, "write_groups", full)
    code, out, err = cobasim("import", "verl", "log", "--out", "new/runs/run")
    check_one_line(code, out, err)
    assert "No space left on device" in err
    assert contents(tmp_path) == before


def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch, cobasim):
    from cobasim.importing import importing

    write(tmp_path, verl())
    monkeypatch.chdir(tmp_path)
    before = contents(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "write_pass_rates", interrupted)
    code, out, err = cobasim("import", "verl", "log", "--out", "run")
    assert (code, out, err) == (130, "", "error: interrupted; nothing was written\n")
    assert contents(tmp_path) == before
