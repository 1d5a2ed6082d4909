"""Several processes that claim one folder."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from cobasim.files import LOCK
from cobasim.runs import PLAN

CLAIM = """
import sys
from pathlib import Path
from cobasim.errors import InputError
from cobasim.runs import claim_folder
try:
    claim_folder(Path(sys.argv[1]), sys.argv[2], kind="sweep")
except InputError as error:
    print(error)
"""


def test_of_processes_that_claim_one_folder_at_once_one_plan_wins(tmp_path):
    out = tmp_path / "out"

    def other(plan: str) -> str:
        command = [sys.executable, "-c", CLAIM, str(out), plan]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout

    plans = [f"plan {number}\n" for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        errors = dict(zip(plans, pool.map(other, plans), strict=True))
    winner = (out / PLAN).read_text()
    assert errors.pop(winner) == ""
    for error in errors.values():
        assert "holds another plan" in error or "being written by another process" in error
    assert {file.name for file in out.iterdir()} == {PLAN, LOCK}
