"""Real runs of SmolLM2-135M: kept beside this file, and shown as a table.

    python docs/real/smollm2/runs.py archive FOLDER
    python docs/real/smollm2/runs.py table [--predicted FILE]

``archive`` adds the finished runs of a `cobatrain compare` folder to runs.jsonl.gz; one that is
there already is left as it is. ``table`` prints Markdown; ``--predicted`` takes a file with the
rows that `cobatrain predict --json` printed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from cobasim.loop import LoopConfig
from cobasim.records import Run, read_archive, read_run, write_archive
from cobasim.runs import BASELINE
from cobasim.scores import Interval, comparison_table, late_gradient_norm
from cobasim.settings import validated

ARCHIVE = Path(__file__).with_name("runs.jsonl.gz")
WEIGHTINGS = ("rollout", "prompt")


def key(run: Run) -> tuple[str, str, int]:
    """What tells the runs of the archive apart."""
    return run.header.weighting, run.header.allocator, run.header.seed


def kept() -> list[Run]:
    """The archived runs."""
    return read_archive(ARCHIVE) if ARCHIVE.exists() else []


def whole(folder: Path) -> Iterable[Run]:
    """The finished runs of a comparison, without paths of the machine."""
    for file in sorted(folder.glob("*/*/seed-*/steps.jsonl")):
        run = read_run(file.parent)
        config: dict[str, Any] = dict(run.header.config)
        loop, last = validated(LoopConfig, config["loop"]), run.steps[-1]
        if not loop.finished(last.step, last.rollouts):
            print(f"{file.parent}: not finished, left out")
            continue
        config["model"] = config["model"] | {"path": "models/SmolLM2-135M-Instruct"}
        yield replace(run, header=replace(run.header, config=config))


def archive(folder: Path) -> None:
    """Add the finished runs of ``folder``."""
    runs = {key(run): run for run in [*whole(folder), *kept()]}
    write_archive(ARCHIVE, [runs[at] for at in sorted(runs)])
    print(f"{len(runs)} runs in {ARCHIVE.name}")


def for_both(runs: list[Run]) -> list[Run]:
    """The runs of seeds that every arm has, so that all lines are of the same seeds.

    With equal groups the two weightings are one loss: a uniform run stands for both.
    """
    arms: dict[tuple[str, str], set[int]] = {}
    for weighting, allocator, seed in map(key, runs):
        arms.setdefault((weighting, allocator), set()).add(seed)
    common = set.intersection(*arms.values())
    runs = [run for run in runs if run.header.seed in common]
    found = []
    for run in runs:
        own = (run.header.weighting,) if run.header.allocator != BASELINE else WEIGHTINGS
        found += [replace(run, header=replace(run.header, weighting=name)) for name in own]
    return found


def cell(interval: Interval | None) -> str:
    """Points and half of the 95 % interval."""
    if interval is None:
        return ""
    if interval.low is None or interval.high is None:
        return f"{100 * interval.mean:+.2f}"
    half = 50 * (interval.high - interval.low)
    bold = "**" if abs(100 * interval.mean) > half else ""
    return f"{bold}{100 * interval.mean:+.2f} ± {half:.2f}{bold}"


def table(runs: list[Run], predicted: dict[tuple[str, str], str]) -> list[str]:
    """Final accuracy and its difference to uniform, a line an arm."""
    lines = [
        "| arm | seeds | held-out accuracy | minus uniform | predicted | mixed groups | norm |",
        "|---" * 7 + "|",
    ]
    norms: dict[tuple[str, str], list[float]] = {}
    for run in runs:
        at = run.header.weighting, run.header.allocator
        norms.setdefault(at, []).append(late_gradient_norm(run.steps))
    rows = comparison_table(runs, BASELINE)
    for row in sorted(rows, key=lambda row: WEIGHTINGS.index(row.weighting)):
        if row.baseline and row.weighting != WEIGHTINGS[0]:
            continue
        ahead = predicted.get((row.weighting, row.allocator), "")
        norm = norms[row.weighting, row.allocator]
        assert row.heldout is not None
        lines.append(
            f"| {row.allocator if row.baseline else f'{row.allocator} per {row.weighting}'} "
            f"| {len(row.seeds)} | {100 * row.heldout.mean:.1f} % "
            f"| {cell(row.heldout_difference)} | {ahead} "
            f"| {'' if row.mixed_share is None else f'{row.mixed_share:.2f}'} "
            f"| {sum(norm) / len(norm):.2f} |"
        )
    return lines


def foretold(file: Path) -> dict[tuple[str, str], str]:
    """Differences to uniform that `cobatrain predict --json` printed, by arm."""
    rows = json.loads(file.read_text())["rows"]
    found = {}
    for row in rows:
        if row["heldout_difference"] is not None:
            interval = Interval(**row["heldout_difference"])
            found[row["weighting"], row["allocator"]] = cell(interval).replace("*", "")
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("archive", "table"))
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--predicted", type=Path)
    args = parser.parse_args()
    if args.what == "archive":
        if args.folder is None:
            parser.error("archive needs the folder of a comparison")
        archive(args.folder)
    else:
        ahead = {} if args.predicted is None else foretold(args.predicted)
        print("\n".join(table(for_both(kept()), ahead)))


if __name__ == "__main__":
    main()
