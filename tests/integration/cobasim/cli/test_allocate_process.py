"""``cobasim allocate`` in a process of its own."""

import json
import os
import subprocess
import sys

import pytest
from command_line import RATES, check_one_line

from cobasim.allocation import allocate


def in_a_process(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "cobasim", *map(str, arguments)],
        capture_output=True, timeout=60, **options,
    )  # fmt: skip


def test_as_a_process(rates_file):
    done = in_a_process("allocate", rates_file, "--total-budget", 128, "--json")
    assert done.returncode == 0
    assert done.stderr.startswith(b"8 pass rates from ")
    assert done.stderr.count(b"\n") == 1
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
