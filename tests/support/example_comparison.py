"""Makes examples/comparison.jsonl.gz: the default settings of the app's page on a run, compared.

    python tests/support/example_comparison.py        # a minute on 2 cores

Twice: with the noise that a prompt's rollouts share at 0, its default, and at 20.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from app_pages import page
from repository import ROOT

from cobasim.explorer.known_comparison import ARCHIVE, NOISES
from cobasim.records import find_runs, read_run, write_archive


def default_command() -> list[str]:
    """What the page starts if nothing is changed, without "cobasim"."""
    sys.argv = ["explorer.py", "--runs", "/nonexistent"]
    return shlex.split(page("simulation").code[0].value)[1:]


def main() -> None:
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        for noise in NOISES:
            out = Path(scratch) / f"{noise:g}"
            own = [*default_command(), "--set", f"prompt_noise={noise:g}", "--out", str(out)]
            subprocess.run([sys.executable, "-m", "cobasim", *own], check=True)
            for run in map(read_run, find_runs(out)):
                evaluated = [step for step in run.steps if step.evaluation]
                runs.append(replace(run, steps=(evaluated[0], evaluated[-1])))
    target = ROOT / "examples" / ARCHIVE
    write_archive(target, runs)
    print(f"{target}: {len(runs)} runs, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
