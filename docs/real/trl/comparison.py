"""Stock TRL, and budgets by three allocators inside it, on the tiny model: the real comparison.

    python docs/real/trl/comparison.py run --out runs/trl-compare     # goes on where it stopped
    python docs/real/trl/comparison.py table --out runs/trl-compare

80 steps of M = 64 and 512 rollouts, loss ``grpo`` weighted per rollout; held-out accuracy is
computed at the start and the end. Predicted before the first run, from the same comparison in
``cobatrain`` (docs/measured.md, condition ``base``): stock is uniform to the bit, signal lies
within a point of uniform, coba about 3 points below (6 in the README's table of 8 seeds). Each
run is one line of ``runs.jsonl``, written when it is finished.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import torch
from tiny import accuracy, trainer

from cobasim.scores import mean_interval

ARMS = ("stock", "uniform", "signal", "coba")
FILE = "runs.jsonl"


def finished(out: Path) -> list[dict]:
    """The runs that are there."""
    file = out / FILE
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def one(arm: str, seed: int, out: Path, steps: int) -> dict:
    """Train and evaluate."""
    began, worked = time.perf_counter(), time.process_time()
    records = out / arm / f"seed-{seed:03d}"
    with tempfile.TemporaryDirectory() as scratch:
        run = trainer(arm, seed, Path(scratch), records, max_steps=steps)
        start = accuracy(run.model)
        run.train()
        end = accuracy(run.model)
    lines = [line for line in run.state.log_history if "loss" in line]
    if arm != "stock":
        run.ledger.close()
    return {
        "arm": arm,
        "seed": seed,
        "steps": steps,
        "start": start,
        "end": end,
        "sum_of_weights": sum(float(p.double().sum()) for p in run.model.parameters()),
        "grad_norm": sum(line["grad_norm"] for line in lines[steps // 2 :]) / (steps - steps // 2),
        "reward": [line["reward"] for line in lines],
        "largest": [line.get("budgets/max") for line in lines],
        "seconds": time.perf_counter() - began,
        "processor_seconds": time.process_time() - worked,
    }


def run(out: Path, seeds: int, steps: int) -> None:
    """All runs that are not there yet; seeds slowest, so that an unfinished table is paired."""
    out.mkdir(parents=True, exist_ok=True)
    done = {(row["arm"], row["seed"], row["steps"]) for row in finished(out)}
    for seed in range(seeds):
        for arm in ARMS:
            if (arm, seed, steps) in done:
                continue
            (out / arm / f"seed-{seed:03d}").mkdir(parents=True, exist_ok=True)
            for old in (out / arm / f"seed-{seed:03d}").iterdir():  # of a run that was stopped
                old.unlink()
            row = one(arm, seed, out, steps)
            with (out / FILE).open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{arm} seed {seed}: {row['start']:.4f} -> {row['end']:.4f}", flush=True)


def table(out: Path) -> None:
    """Accuracies, and points minus uniform, paired by seed."""
    ends = {(row["arm"], row["seed"]): row["end"] for row in finished(out)}
    for arm in ARMS:
        own = {seed: end for (name, seed), end in ends.items() if name == arm}
        if not own:
            continue
        gains = [100 * (own[s] - ends["uniform", s]) for s in own if ("uniform", s) in ends]
        line = f"{arm:8} {len(own)} seeds, {100 * sum(own.values()) / len(own):.1f} %"
        if len(gains) > 1:
            interval = mean_interval(gains)
            half = (interval.high - interval.low) / 2
            line += f", minus uniform {interval.mean:+.2f} ± {half:.2f}"
        elif gains:
            line += f", minus uniform {gains[0]:+.2f} (one seed)"
        print(line)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--steps", type=int, default=80)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.what == "run":
        run(given.out, given.seeds, given.steps)
    table(given.out)


if __name__ == "__main__":
    main()
