"""A folder that another process is writing to."""

from __future__ import annotations

import subprocess
import sys

import pytest
from small_sweeps import tiny_sweep

from cobasim.errors import InputError
from cobasim.experiments import Page, store
from cobasim.files import LOCK, writing
from cobasim.runs import claim, claim_folder, run_sweep

HOLD = """
import sys
from pathlib import Path
from cobasim.files import writing
with writing(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(tmp_path):
    """A folder that another live process is writing to."""
    folder = tmp_path / "held"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.communicate()


def test_what_another_process_is_writing_to_is_left_alone(held):
    folder, process = held
    for act in (
        lambda: claim_folder(folder, "plan\n", kind="sweep"),
        lambda: claim(tiny_sweep(), folder),
        lambda: run_sweep(tiny_sweep(), folder, jobs=1),
        lambda: store(folder, "ring", {}, Page("Ring", []), command=""),
    ):
        with pytest.raises(InputError, match=f"{folder} is being written by another process; wait"):
            act()
    assert [file.name for file in folder.iterdir()] == [LOCK]
    process.kill()  # without a chance to clean up
    process.wait(30)
    with writing(folder):
        pass


def test_a_command_says_in_one_line_that_its_folder_is_taken(held):
    folder, _ = held
    command = [sys.executable, "-m", "cobasim", "compare", "--seeds", "1", "--steps", "2"]
    command += ["--allocators", "uniform", "--jobs", "1", "--out", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == (
        f"error: {folder} is being written by another process; wait until that ends, or choose "
        "another folder\n"
    )
