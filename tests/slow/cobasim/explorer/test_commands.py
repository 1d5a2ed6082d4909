"""The commands that the app shows and runs."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from children import alive, environment, gone, wait_until
from simulation_choice import CHOICE

from cobasim.data import RateOptions
from cobasim.explorer import Jobs, SweepChoice
from cobasim.runs import read_table


def run_command(arguments, out):
    command = [sys.executable, "-m", "cobasim", *arguments, "--jobs", "1", "--out", str(out)]
    subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def test_the_command_of_a_simulation_runs_what_the_page_says(tmp_path):
    run_command(CHOICE.arguments, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())["config"]
    assert told == CHOICE.config.model_dump(mode="json")
    assert CHOICE.config.num_runs == 8
    assert CHOICE.total_steps == 24
    assert CHOICE.visits == 24 * 16


def test_the_command_on_measured_pass_rates_runs_what_the_page_says(tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("p,n\n" + "25,8\n" * 40 + "50,8\n" * 40)
    settings = {"transfer": 0.25, "learning_rate": 0.003, "prompt_noise": 5.0}
    reading = RateOptions(column="p", attempts="n", percent=True)
    choice = replace(CHOICE, settings=settings, pass_rates=str(file), reading=reading)
    run_command(choice.arguments, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "comparison.json").read_text())["config"]
    assert told == choice.config.model_dump(mode="json")
    assert told["world"]["num_prompts"] == 80
    assert told["loop"]["first_beliefs"] == "measured"


def test_the_command_of_a_sweep_runs_what_the_page_says(tmp_path):
    choice = SweepChoice(("tau=2,8", "low=0,2"), ("uniform", "coba"), 1, 2, "logistic")
    run_command(choice.arguments, tmp_path / "out")
    names, rows = read_table(tmp_path / "out")
    assert sorted(names) == ["low", "tau"]
    assert len(rows) == choice.num_runs == 4 * 2 * 2


def test_a_failed_job_says_why_and_leaves_nothing_behind():
    jobs = Jobs()
    job = jobs.start(["compare", "--steps", "none"])
    job.process.wait(60)
    assert job.state == "finished"
    assert "steps" in job.error()
    jobs.close()
    assert not jobs.root.exists()


SERVER = """
import time
from cobasim.data import RateOptions
from cobasim.explorer import Jobs
jobs = Jobs()
job = jobs.start(["compare", "--steps", "100000", "--seeds", "1", "--jobs", "1"])
while not list(job.out.glob("**/steps.jsonl")):
    time.sleep(0.1)
print(jobs.root, job.process.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_server_that_is_killed_leaves_neither_commands_nor_folders(number):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True, env=environment()
    )
    assert server.stdout is not None
    root, pid = server.stdout.readline().split()
    assert Path(root).is_dir()
    assert alive(int(pid))
    server.send_signal(number)
    server.wait(30)
    assert wait_until(lambda: not Path(root).exists(), 30)
    assert gone(int(pid))
