"""Real conditions of the tiny model: predicted by a measured world, run, and compared.

    python docs/real/measured/conditions.py predict --measured FILE --out predictions.json
    python docs/real/measured/conditions.py commands --model FOLDER --out FOLDER
    python docs/real/measured/conditions.py table --runs FOLDER --predictions FILE

``predict`` is run and committed before the runs that ``commands`` prints.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.records import read_run
from cobasim.runs import BASELINE, CompareConfig, execute_row, in_parallel, plan
from cobasim.scores import mean_interval
from cobatrain.comparison import Plan, norm_of_second_half, predicted
from cobatrain.config import load_config

ALLOCATORS = ("uniform", "knapsack", "coba", "signal", "signal-skip", "greso")
WEIGHTINGS = ("rollout", "prompt")
CONFIG = "tiny-compare"
EASY = 'task.levels=["1+1","2+1","2-1"]'
HARD = 'task.levels=["2+2","2-2","3+2","3-2"]'
CONDITIONS: dict[str, list[str]] = {
    "base": [],
    "batch-16": ["loop.batch_size=16", "task.train_size=512", "loop.total_budget=1024"],
    "batch-256": ["loop.batch_size=256", "loop.total_budget=1024"],
    "group-4": ["loop.total_budget=256"],
    "group-16": ["loop.total_budget=1024"],
    "group-32": ["loop.total_budget=2048"],
    "rate-0.3": ["update.learning_rate=3e-5"],
    "rate-3": ["update.learning_rate=3e-4"],
    "visits-10": ["task.train_size=512"],
    "visits-20": ["task.train_size=256"],
    "dr-grpo": ["update.advantage=dr-grpo"],
    "easy": [EASY],
    "hard": [HARD],
}
"""Settings that differ from the config, by the condition's name. Pools: 80 steps of M prompts visit
2,048 prompts 2.5 times, unless said."""


def plan_of(name: str, model: str, seeds: int) -> Plan:
    """The real comparison of a condition."""
    settings = [*CONDITIONS[name], "evaluation.exact=true", f"model.path={model}"]
    config = load_config(CONFIG, settings)
    return Plan(config, ALLOCATORS, WEIGHTINGS, tuple(range(seeds)))


def differences(
    rows: list[dict[str, Any]], seeds: tuple[int, ...]
) -> dict[str, dict[str, dict[str, float]]]:
    """Points minus uniform with half intervals and norms over uniform's, by weighting and name."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for weighting in WEIGHTINGS:
        of = {
            name: {
                r["seed"]: r for r in rows if (r["allocator"], r["weighting"]) == (name, weighting)
            }
            for name in ALLOCATORS
        }
        uniform = of[BASELINE]
        block: dict[str, dict[str, float]] = {}
        for name, runs in of.items():
            if name == BASELINE:
                block[name] = {
                    "heldout": 100 * float(np.mean([uniform[s]["final_heldout"] for s in seeds]))
                }
                continue
            points = [100 * (runs[s]["final_heldout"] - uniform[s]["final_heldout"]) for s in seeds]
            interval = mean_interval(points)
            norm = np.mean([runs[s]["norm"] / uniform[s]["norm"] for s in seeds])
            block[name] = {
                "points": interval.mean,
                "half": (interval.high or np.nan) - interval.mean,
                "norm": float(norm),
            }
        found[weighting] = block
    return found


def predict(files: str, model: str, names: list[str], seeds: int, world: dict[str, Any]) -> Any:
    """Predictions of conditions, from a file of measured gradients."""
    found = {}
    for name in names:
        scaled = dict(world)
        real = plan_of(name, model, 1)
        if "learning_rate" in world:  # fitted at the config's: follows the condition's
            usual = load_config(CONFIG).update.learning_rate
            scaled["learning_rate"] *= real.config.update.learning_rate / usual
        config: CompareConfig = predicted(real, files, seeds, scaled)
        rows = list(
            in_parallel(
                execute_row, [(run, norm_of_second_half) for run in plan(config)], ordered=True
            )
        )
        found[name] = differences(rows, tuple(range(seeds)))
        print(name, json.dumps(found[name]["rollout"]["coba"]), flush=True)
    digests = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files.split(",")]
    return {"measured": digests, "world": world, "seeds": seeds, "conditions": found}


def real(folder: Path, name: str, model: str, seeds: int) -> Any:
    """Differences of finished real runs of a condition; None if some are missing."""
    from cobatrain.comparison import run_directory

    rows, whole = [], plan_of(name, model, seeds)
    for weighting, allocator, seed in whole.cells():
        source = run_directory(folder / name, whole.source(weighting, allocator), allocator, seed)
        if not (source / "steps.jsonl").exists():
            return None
        run = read_run(source)
        scores = [r.evaluation["heldout"] for r in run.steps if r.evaluation is not None]
        if run.steps[-1].rollouts < whole.config.loop.steps * whole.config.loop.total_budget:
            return None
        rows.append(
            {
                "allocator": allocator,
                "weighting": weighting,
                "seed": seed,
                "final_heldout": scores[-1],
            }
            | norm_of_second_half(run)
        )
    return differences(rows, tuple(range(seeds)))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("predict", "commands", "table"))
    parser.add_argument("--measured")
    parser.add_argument("--predictions", type=Path)
    parser.add_argument("--model", default="models/tiny")
    parser.add_argument("--runs", type=Path, default=Path("runs/measured"))
    parser.add_argument("--conditions", default="")
    parser.add_argument("--seeds", type=int, default=0)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    args = parser.parse_args()
    names = args.conditions.split(",") if args.conditions else list(CONDITIONS)
    if args.what == "predict":
        world = {k: json.loads(v) for k, _, v in (s.partition("=") for s in args.settings)}
        text = json.dumps(
            predict(args.measured, args.model, names, args.seeds or 16, world), indent=1
        )
        args.out.write_text(text + "\n")
    elif args.what == "commands":
        for name in names:
            settings = [*CONDITIONS[name], "evaluation.exact=true", f"model.path={args.model}"]
            parts = ["cobatrain", "compare", CONFIG, "--allocators", ",".join(ALLOCATORS)]
            parts += ["--weightings", ",".join(WEIGHTINGS), "--seeds", str(args.seeds or 4)]
            parts += [x for setting in settings for x in ("--set", setting)]
            print(shlex.join([*parts, "--jobs", "2", "--out", str(args.runs / name)]))
    else:
        whole = json.loads(args.predictions.read_text())["conditions"]
        for name in names:
            found = real(args.runs, name, args.model, args.seeds or 4)
            print(
                name, "not run" if found is None else "", "" if name in whole else "not predicted"
            )
            for weighting in WEIGHTINGS if found and name in whole else ():
                ours, theirs = found[weighting], whole[name][weighting]
                print(
                    f"  uniform {ours['uniform']['heldout']:.2f} {theirs['uniform']['heldout']:.2f}"
                )
                for arm in ALLOCATORS[1:]:
                    a, b = ours[arm], theirs[arm]
                    print(
                        f"  {arm:12s} {weighting:8s} {a['points']:+.2f} ± {a['half']:.2f}"
                        f"   {b['points']:+.2f}   norm {a['norm']:.2f} {b['norm']:.2f}"
                    )


if __name__ == "__main__":
    main()
