import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

from cobasim import cli, data
from cobasim.allocation import ALLOCATORS, Observation, allocate, make_allocator, one_shot

RATES = [0.0, 0.1, 0.1, 0.4, 0.5, 0.75, 0.9, 1.0]


@pytest.fixture
def rates_file(tmp_path):
    path = tmp_path / "rates.json"
    path.write_text(json.dumps(RATES))
    return str(path)


@pytest.fixture
def cobasim(monkeypatch, capfd):
    """Run the command in this process: (exit code, standard output, standard error)."""

    def run(*arguments, stdin=None):
        monkeypatch.setattr(sys, "argv", ["cobasim", *map(str, arguments)])
        monkeypatch.setattr(sys, "path", list(sys.path))
        if stdin is not None:
            binary = io.BytesIO(stdin.encode())
            monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(binary, encoding="utf-8"))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code, *capfd.readouterr()

    return run


def in_a_process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "cobasim", *map(str, arguments)],
        capture_output=True, timeout=60, **options,
    )  # fmt: skip


def check_one_line(code, out, err):
    """What section "bad input" promises: one clear line and exit code 2, nothing else."""
    assert code == 2
    assert out == ""
    assert "Traceback" not in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert len(err.strip()) > len("error: ")


# -- what it prints ------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(one_shot()))
def test_json_is_the_public_call(name, rates_file, cobasim):
    code, out, err = cobasim(
        "allocate", rates_file, "--total-budget", 128, "--allocator", name, "--json"
    )
    assert (code, err) == (0, "")
    printed = json.loads(out)
    assert list(printed) == ["budgets", "alpha", "beta", "total"]
    assert printed["budgets"] == allocate(RATES, 128, allocator=name).tolist()
    assert printed["total"] == 128
    p = np.array(RATES)
    obs = Observation(p, np.ones_like(p), failure_rate=1 - float(p.mean()))
    shape = make_allocator(name).shape(obs)
    assert (printed["alpha"], printed["beta"]) == ((None, None) if shape is None else shape)


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({"low": 1, "high": 60}, {}),
        ({"failure_rate": 0.9}, {}),
        ({"failure_rate": 0.0}, {}),
        ({"kappa": 15, "tau": 2.5, "gamma": 4}, {}),
        ({"alpha": 3.5}, {}),
        ({"solver": "heap"}, {}),
        ({"solver": "dp", "tau": 1}, {}),
        ({"allocator": "fixed", "alpha": 2, "beta": 5}, {}),
        ({"allocator": "linear-decay", "progress": 0.75}, {}),
        ({"allocator": "coba-released", "tau": 4}, {}),
        ({"allocator": "knapsack", "solver": "heap"}, {}),
    ],
)
def test_options_reach_the_allocator(options, parameters, rates_file, cobasim):
    flags = [x for name, value in options.items() for x in (f"--{name.replace('_', '-')}", value)]
    code, out, _ = cobasim("allocate", rates_file, "--total-budget", 100, *flags, "--json")
    assert code == 0
    assert json.loads(out)["budgets"] == allocate(RATES, 100, **options, **parameters).tolist()


def test_a_held_alpha_is_printed(rates_file, cobasim):
    code, out, _ = cobasim(
        "allocate", rates_file, "--total-budget", 64, "--alpha", 4, "--kappa", 9, "--json"
    )
    assert code == 0
    assert (json.loads(out)["alpha"], json.loads(out)["beta"]) == (4.0, 5.0)


def test_the_paper_by_the_command_line(rates_file, cobasim):
    for rate, alpha in ((0.6957, 7.26), (0.455, 4.50), (0.342, 2.54)):
        _, out, _ = cobasim(
            "allocate", rates_file, "--total-budget", 64, "--failure-rate", rate, "--json"
        )
        assert json.loads(out)["alpha"] == pytest.approx(alpha, abs=0.005)


@pytest.mark.parametrize("stdin", [json.dumps(RATES), "pass_rate\n" + "\n".join(map(str, RATES)),
                                   " ".join(map(str, RATES))])  # fmt: skip
def test_standard_input(stdin, cobasim):
    code, out, err = cobasim("allocate", "-", "--total-budget", 128, "--json", stdin=stdin)
    assert (code, err) == (0, "")
    assert json.loads(out)["budgets"] == allocate(RATES, 128).tolist()


def test_the_table_adds_up(rates_file, cobasim, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = cobasim("allocate", rates_file, "--total-budget", 130)
    assert (code, err) == (0, "")
    rows = [line.strip("│ ").split("│") for line in out.splitlines() if line.startswith("│")]
    assert sum(int(row[1]) for row in rows) == len(RATES)
    assert sum(int(row[2]) for row in rows) == 130
    assert "Beta(" in out


def test_allocators_lists_everything(cobasim):
    code, out, err = cobasim("allocators", "--json")
    assert (code, err) == (0, "")
    rows = {row["name"]: row for row in json.loads(out)}
    assert list(rows) == list(ALLOCATORS)
    for row in rows.values():
        assert row["summary"]
        assert row["source"]
        for described in row["parameters"]:
            assert {"name", "default", "doc"} <= set(described)
    kappa = next(p for p in rows["coba"]["parameters"] if p["name"] == "kappa")
    assert (kappa["default"], kappa["above"]) == (11.0, 2)
    tau = next(p for p in rows["coba"]["parameters"] if p["name"] == "tau")
    assert (tau["default"], tau["above"]) == (8.0, 0)


def test_allocators_as_a_table(cobasim, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    code, out, err = cobasim("allocators")
    assert (code, err) == (0, "")
    for name in ALLOCATORS:
        assert name in out
    assert "kappa = 11.0" in out
    assert "(> 2)" in out
    assert "oracle-" in out


# -- bad input -----------------------------------------------------------------------------

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
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(data, "read_pass_rates", interrupt)
    code, out, err = cobasim("allocate", rates_file, "--total-budget", 64)
    assert (code, out) == (130, "")
    assert err == "error: interrupted; nothing was written\n"


def test_a_file_that_may_not_be_read(rates_file, cobasim, monkeypatch):
    def refuse(source):
        raise PermissionError(13, "Permission denied", source)

    monkeypatch.setattr(data, "read_pass_rates", refuse)
    code, out, err = cobasim("allocate", rates_file, "--total-budget", 64)
    check_one_line(code, out, err)
    assert "Permission denied" in err
    assert rates_file in err


# -- in a process of its own ---------------------------------------------------------------


def test_as_a_process(rates_file):
    done = in_a_process("allocate", rates_file, "--total-budget", 128, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["budgets"] == allocate(RATES, 128).tolist()


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["allocate", "no-such-file.json", "--total-budget", "8"], b""),
        (["allocate", "-", "--total-budget", "8"], b"\xff\xfe\xff"),
        (["allocate", "-", "--total-budget", "8"], b"[0.5, 0.5"),
        (["allocate", "-", "--total-budget", "1"], b"0.5"),
    ],
)
def test_bad_input_as_a_process(arguments, stdin):
    done = in_a_process(*arguments, input=stdin, env={**os.environ, "PYTHONIOENCODING": "utf-8"})
    check_one_line(done.returncode, done.stdout.decode(), done.stderr.decode())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("flags", [["--json"], []])
def test_a_full_disk(rates_file, flags):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cobasim", "allocate", rates_file, "--total-budget=64", *flags],
            stdout=full, stderr=subprocess.PIPE, timeout=60, check=False,
        )  # fmt: skip
    check_one_line(done.returncode, "", done.stderr.decode())
    assert b"No space left" in done.stderr


def test_a_reader_that_goes_away():
    command = f"{sys.executable} -m cobasim allocators --json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert done.stderr == b""


def test_a_module_in_the_working_folder_does_not_shadow_an_installed_one(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"pass_rate": RATES}), tmp_path / "rates.parquet")
    (tmp_path / "pyarrow.py").write_text("raise RuntimeError('the wrong pyarrow')\n")
    command = os.path.join(os.path.dirname(sys.executable), "cobasim")
    if not os.path.exists(command):
        pytest.skip("the command is not installed beside this Python")
    done = subprocess.run(
        [command, "allocate", "rates.parquet", "--total-budget", "64", "--json"],
        cwd=tmp_path, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()[-300:]


def test_an_allocator_of_ones_own_from_the_working_folder(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from cobasim.allocation import Allocator\n"
        "from cobasim.allocation import uniform_budgets\n\n\n"
        "class Mine(Allocator):\n"
        "    def __call__(self, obs, limits):\n"
        "        return uniform_budgets(obs.pass_rate.size, limits)\n"
    )
    done = in_a_process(
        "allocate", "-", "--total-budget", "8", "--allocator", "mine:Mine", "--json",
        input=b"0.1 0.9", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["budgets"] == [4, 4]


def test_a_working_folder_that_was_removed(tmp_path, rates_file):
    gone = tmp_path / "gone"
    command = (
        f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && '
        f'"{os.path.dirname(sys.executable)}/cobasim" allocate "{rates_file}" --total-budget 64 '
        "--json"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=60, check=False)
    assert b"Traceback" not in done.stderr
    assert done.returncode in (0, 2)
