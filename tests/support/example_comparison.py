"""Makes examples/comparison.jsonl.gz: the default settings of the app's page on a run, compared.

    python tests/support/example_comparison.py        # a minute on 2 cores

Twice: with the noise that a prompt's rollouts share at 0, its default, and at 20.
"""

from __future__ import annotations

import gzip
import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from app_pages import page
from repository import ROOT

from cobasim.explorer.known_comparison import ARCHIVE, NOISES
from cobasim.records import HEADER_FILE, STEPS_FILE, find_runs


def default_command() -> list[str]:
    """What the page starts if nothing is changed, without "cobasim"."""
    sys.argv = ["explorer.py", "--runs", "/nonexistent"]
    return shlex.split(page("simulation").code[0].value)[1:]


def main() -> None:
    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        for noise in NOISES:
            out = Path(scratch) / f"{noise:g}"
            own = [*default_command(), "--set", f"prompt_noise={noise:g}", "--out", str(out)]
            subprocess.run([sys.executable, "-m", "cobasim", *own], check=True)
            for run in find_runs(out):
                header = json.loads((run / HEADER_FILE).read_text())
                steps = map(json.loads, (run / STEPS_FILE).read_text().splitlines())
                kept = [step for step in steps if step.get("evaluation")]
                ends = [kept[0], kept[-1]]
                lines.append(json.dumps({"header": header, "steps": ends}) + "\n")
    target = ROOT / "examples" / ARCHIVE
    target.write_bytes(gzip.compress("".join(lines).encode(), mtime=0))
    print(f"{target}: {len(lines)} runs, {target.stat().st_size} bytes")


if __name__ == "__main__":
    main()
