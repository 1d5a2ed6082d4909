"""``cobasim allocate``: bad input is one clear line and exit code 2."""

import json
import re

import pytest
from command_line import RATES, check_one_line

from cobasim import data
from cobasim.allocation import allocate

BAD_OPTIONS = [
    (["--total-budget", 5], "16 to 1024"),
    (["--total-budget", 0], "16 to 1024"),
    (["--total-budget", -5], "16 to 1024"),
    (["--total-budget", 1025], "16 to 1024"),
    (["--total-budget", 10**30], "16 to 1024"),
    (["--total-budget", "many"], "--total-budget"),
    (["--total-budget", "1e3"], "--total-budget"),
    (["--total-budget", 64.5], "--total-budget"),
    ([], "--total-budget"),
    (["--total-budget", 64, "--low", 9, "--high", 8], r"low .9. is above high .8."),
    (["--total-budget", 64, "--low", -1], "low"),
    (["--total-budget", 64, "--low", 0, "--allocator", "knapsack", "--high", 20], "low"),
    (["--total-budget", 64, "--tau", 0], "tau must be above 0"),
    (["--total-budget", 64, "--tau", -1], "tau must be above 0"),
    (["--total-budget", 64, "--tau", "nan"], "tau"),
    (["--total-budget", 64, "--tau", "inf"], "tau"),
    (["--total-budget", 64, "--tau", "x"], "tau"),
    (["--total-budget", 64, "--kappa", 2], "kappa must be above 2"),
    (["--total-budget", 64, "--kappa", -3], "kappa must be above 2"),
    (["--total-budget", 64, "--gamma", 0], "gamma"),
    (["--total-budget", 64, "--alpha", 0], "alpha"),
    (["--total-budget", 64, "--alpha", 11], "alpha must be below kappa"),
    (["--total-budget", 64, "--alpha", 3, "--allocator", "uniform"], "takes no parameters"),
    (["--total-budget", 64, "--kappa", 3, "--allocator", "knapsack"], "kappa"),
    (["--total-budget", 64, "--beta", 3], "beta"),
    (["--total-budget", 64, "--failure-rate", 1.2], "failure_rate"),
    (["--total-budget", 64, "--failure-rate", -0.1], "failure_rate"),
    (["--total-budget", 64, "--failure-rate", "nan"], "failure_rate"),
    (["--total-budget", 64, "--progress", 2], "progress"),
    (["--total-budget", 64, "--allocator", "cobaa"], "did you mean 'coba'"),
    (["--total-budget", 64, "--allocator", "CoBA"], "did you mean 'coba'"),
    (["--total-budget", 64, "--allocator", "knapsac"], "did you mean 'knapsack'"),
    (["--total-budget", 64, "--allocator", ""], "unknown allocator"),
    (["--total-budget", 64, "--allocator", "a\nb"], "unknown allocator"),
    (["--total-budget", 64, "--allocator", "no.such:Thing"], "no.such"),
    (["--total-budget", 64, "--allocator", ".such:Thing"], "such"),
    (["--total-budget", 64, "--allocator", "cobasim.allocation:ValueAllocator"], "Allocator"),
    (["--total-budget", 64, "--solver", "heep"], "did you mean 'heap'"),
    (["--total-budget", 64, "--sovler", "heap"], "--solver"),
    (["--total-budget", 64, "too", "many"], "too"),
    (["--total-budget"], "--total-budget"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_OPTIONS)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_options(arguments, message, as_json, rates_file, cobasim):
    code, out, err = cobasim("allocate", rates_file, *(["--json"] if as_json else []), *arguments)
    check_one_line(code, out, err)

    assert re.search(message, err), err


BAD_FILES = {
    "empty.json": b"",
    "none.json": b"[]",
    "cut.json": b"[0.1, 0.2",
    "nan.json": b"[0.1, NaN]",
    "high.json": b"[0.1, 1.01]",
    "low.json": b"[-0.1]",
    "words.json": b'["half"]',
    "long.json": b"[1" + b"0" * 5000 + b"]",
    "deep.json": b"[" * 100_000,
    "empty.csv": b"",
    "header.csv": b"pass_rate\n",
    "column.csv": b"rate\n0.5\n",
    "words.csv": b"pass_rate\nhalf\n",
    "bytes.csv": b"pass_rate\n\xff\xff\n",
    "wide.csv": b"x" * 200_000,
    "empty.npy": b"",
    "text.npy": b"hello",
    "zip.npy": b"PK\x03\x04garbage",
    "empty.parquet": b"",
    "text.parquet": b"hello",
    "rates.xlsx": b"PK",
    "name with\nnewline.json": b"[2]",
}


@pytest.mark.parametrize("name", list(BAD_FILES))
def test_bad_files(name, tmp_path, cobasim):
    path = tmp_path / name
    path.write_bytes(BAD_FILES[name])
    code, out, err = cobasim("allocate", path, "--total-budget", 64)
    check_one_line(code, out, err)
    assert " ".join(name.split()) in err


def test_files_that_are_not_there(tmp_path, cobasim):
    for path in (
        tmp_path / "missing.json",
        tmp_path,
        "",
        "x" * 5000 + ".json",
        tmp_path / "a/b.csv",
    ):
        check_one_line(*cobasim("allocate", path, "--total-budget", 64))


@pytest.mark.parametrize("stdin", ["", "[", "0.5 half", "2.0", "rate\n0.5\n", "{}"])
def test_bad_standard_input(stdin, cobasim):
    code, out, err = cobasim("allocate", "-", "--total-budget", 64, stdin=stdin)
    check_one_line(code, out, err)
    assert "standard input" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["alocate", "x"], "allocate"),
        (["--frobnicate"], "--frobnicate"),
        (["allocators", "--jsn"], "--json"),
        (["allocators", "extra"], "extra"),
        (["allocate"], "(?i)file|argument"),
    ],
)
def test_bad_commands(arguments, message, cobasim):
    code, out, err = cobasim(*arguments)
    check_one_line(code, out, err)

    assert re.search(message, err), err


def test_without_a_command_it_shows_the_help_and_no_empty_error(cobasim):
    code, out, err = cobasim()
    assert code in (0, 2)
    assert "allocate" in out + err
    assert "error: \n" not in err


def test_an_upper_bound_beyond_machine_integers(rates_file, cobasim):
    code, out, err = cobasim(
        "allocate", rates_file, "--total-budget", 64, "--high", 10**20, "--json"
    )
    if code == 0:
        assert json.loads(out)["budgets"] == allocate(RATES, 64).tolist()
    else:
        check_one_line(code, out, err)


def test_an_interrupt_is_one_line(rates_file, cobasim, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "read_measured", interrupt)
    code, out, err = cobasim("allocate", rates_file, "--total-budget", 64)
    assert (code, out) == (130, "")
    assert err == "error: interrupted; nothing was written\n"


def test_a_file_that_may_not_be_read(rates_file, cobasim, monkeypatch):
    def refuse(source, _):
        raise PermissionError(13, "Permission denied", source)

    monkeypatch.setattr(data, "read_measured", refuse)
    code, out, err = cobasim("allocate", rates_file, "--total-budget", 64)
    check_one_line(code, out, err)
    assert "Permission denied" in err
    assert rates_file in err
