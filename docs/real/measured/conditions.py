"""Real conditions of the tiny model: predicted by a measured world, run, and compared.

    python docs/real/measured/conditions.py predict --measured FILE --out predictions.json
    python docs/real/measured/conditions.py commands --model FOLDER --runs FOLDER
    python docs/real/measured/conditions.py archive --model FOLDER --runs FOLDER
    python docs/real/measured/conditions.py table --predictions FILE
    python docs/real/measured/conditions.py agreement --predictions FILE

``rates --out FILE`` writes the uniform runs at other learning rates, for `cobasim calibrate`.
``predict`` is run and committed before the runs that ``commands`` prints. ``archive`` keeps
finished conditions beside this file, ``table`` compares them with predictions, and ``agreement``
says of each condition how far the two agree.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.records import Run, read_archive, read_run, write_archive
from cobasim.runs import BASELINE, CompareConfig, execute_row, in_parallel, plan, settle
from cobasim.scores import final_accuracy, mean_interval
from cobasim.settings import validated
from cobasim.world import WORLD_DEFAULTS
from cobatrain.comparison import Plan, norm_of_second_half, predicted, run_directory
from cobatrain.comparison.translation import TAKEN_OVER
from cobatrain.config import load_config

HERE = Path(__file__).parent
ALLOCATORS = ("uniform", "knapsack", "coba", "signal", "signal-skip", "greso")
WEIGHTINGS = ("rollout", "prompt")
CONFIG = "tiny-compare"
HALF = 3.182  # half of a 95 % interval over the standard error, of four seeds
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
    "tau-1": ["parameters.tau=1"],
    "tau-64": ["parameters.tau=64"],
    "parts": [],
    "ratio-3.5": ["parameters.ratio=3.5"],
    "chains": [],
    "token": [],
}
"""Settings that differ from the config, by the condition's name. Pools: 80 steps of M prompts visit
2,048 prompts 2.5 times, unless said. ``tau`` is CoBA's (8 unless said), ``ratio`` is that of
``signal`` (0.3 unless said); 3.5 is what was measured at the start."""

OWN = {"tau-1": "coba", "tau-64": "coba", "parts": "signal-parts", "ratio-3.5": "signal"}
"""Conditions in which one allocator differs from ``base``: it alone is run. Uniform is that of
``base``, which would be the same runs."""

CONFIGS = {"chains": HERE / "chains.yaml"}
"""Conditions with a config of their own. ``chains`` is another task with another model: give as
``--model`` the folder that chains.py made; the prompts lie beside it."""

PER_TOKEN = {"token": "rollout"}
"""Conditions whose loss is weighted per token, and the weighting that stands for it in predictions:
worlds have no lengths of wrong responses, so the two are taken to be alike."""

Rows = dict[tuple[str, str], dict[int, tuple[float, float]]]
"""Weighting and allocator -> seed -> final held-out accuracy, gradient norm of the second half."""


def settings_of(name: str, model: str) -> list[str]:
    """What a condition sets in the config."""
    settings = [*CONDITIONS[name], "evaluation.exact=true", f"model.path={model}"]
    if name in CONFIGS:
        data = Path(model).parent
        settings += [f"task.train={data / 'train.jsonl'}"]
        settings += [f"task.heldout.{name}={data / 'heldout.jsonl'}"]
    if name in OWN:  # base's uniform runs are older than shared prompts, which round otherwise
        settings += [f"allocator={OWN[name]}", "update.shared_prompts=false"]
    return settings


def config_of(name: str) -> str:
    """The config that a condition changes."""
    return str(CONFIGS.get(name, CONFIG))


def weightings_of(name: str) -> tuple[str, ...]:
    """How a condition's real runs weigh the loss."""
    return ("token",) if name in PER_TOKEN else WEIGHTINGS


def plan_of(name: str, model: str, seeds: int) -> Plan:
    """The real comparison of a condition."""
    config = load_config(config_of(name), settings_of(name, model))
    allocators = (OWN[name],) if name in OWN else ALLOCATORS
    return Plan(config, allocators, weightings_of(name), tuple(range(seeds)))


def arms(name: str) -> tuple[str, ...]:
    """The allocators of a condition's table, uniform first."""
    return (BASELINE, OWN[name]) if name in OWN else ALLOCATORS


def points(rows: Rows, weighting: str, name: str, other: str = BASELINE) -> np.ndarray:
    """Final accuracy minus that of ``other``, in points, by seed."""
    mine, theirs = rows[weighting, name], rows[weighting, other]
    return np.array([100 * (mine[seed][0] - theirs[seed][0]) for seed in sorted(mine)])


def half(values: np.ndarray) -> float:
    """Half of the 95 % interval of the mean."""
    interval = mean_interval(values)
    return float("nan") if interval.high is None else interval.high - interval.mean


def differences(rows: Rows) -> dict[str, dict[str, dict[str, float]]]:
    """Points minus uniform with half intervals and norms over uniform's, by weighting and name."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for weighting in dict.fromkeys(weighting for weighting, _ in rows):
        uniform = rows[weighting, BASELINE]
        block = {BASELINE: {"heldout": 100 * float(np.mean([v for v, _ in uniform.values()]))}}
        for name in dict.fromkeys(arm for _, arm in rows if arm != BASELINE):
            gain = points(rows, weighting, name)
            norm = [rows[weighting, name][seed][1] / uniform[seed][1] for seed in uniform]
            block[name] = {
                "points": float(gain.mean()),
                "half": half(gain),
                "norm": float(np.mean(norm)),
            }
        found[weighting] = block
    return found


def predict(
    files: str | None, model: str, names: list[str], seeds: int, world: dict[str, Any]
) -> Any:
    """Predictions of conditions, from files of measured gradients or by a usual world."""
    found = {}
    for name in names:
        real = replace(plan_of(name, model, seeds), allocators=arms(name))
        if name in PER_TOKEN:
            real = replace(real, weightings=(PER_TOKEN[name],))
        if files is None:
            config = usual(real, seeds, world)
        else:
            scaled = dict(world)
            if "learning_rate" in world:  # fitted at the config's
                scaled["learning_rate"] *= rate_factor(real)
            config = predicted(real, files, seeds, scaled)
        runs = [(run, norm_of_second_half) for run in plan(config)]
        rows: Rows = {}
        for row in in_parallel(execute_row, runs, ordered=True):
            at = rows.setdefault((row["weighting"], row["allocator"]), {})
            at[row["seed"]] = row["final_heldout"], row["norm"]
        found[name] = differences(rows)
        if name in PER_TOKEN:
            found[name] = {"token": found[name][PER_TOKEN[name]]}
        told = found[name][weightings_of(name)[0]][OWN.get(name, "coba")]
        print(name, json.dumps(told), flush=True)
    digests = [
        hashlib.sha256(Path(file).read_bytes()).hexdigest()
        for file in ([] if files is None else files.split(","))
    ]
    return {"measured": digests, "world": world, "seeds": seeds, "conditions": found}


def rate_factor(real: Plan) -> float:
    """The learning rate of a condition over the config's."""
    return real.config.update.learning_rate / load_config(CONFIG).update.learning_rate


def usual(real: Plan, seeds: int, world: dict[str, Any]) -> CompareConfig:
    """The same loop in a world that knows the pass rates of the pool and no gradients.

    ``world`` is its kind and what was fitted, if anything was. Learning rates have no units in
    common: at the config's the world has its own, and a condition's differs by the same factor.
    """
    config = real.config
    loop = config.loop.model_dump()
    rate = world.get("learning_rate", WORLD_DEFAULTS[world["world"]]["learning_rate"])
    values = settle(
        "quick",
        {
            **{name: loop[name] for name in loop if f"loop.{name}" in TAKEN_OVER},
            **config.parameters,
            **world,
            "learning_rate": rate * rate_factor(real),
            "update": config.update.advantage,
            "pass_rates": str(HERE / "initial-pass-rates.csv"),
            "reading": {"limit": int(config.task["train_size"])},
        },
        allocators=real.allocators,
        weightings=real.weightings,
        seeds=seeds,
    )
    return validated(CompareConfig, values)


def finished(folder: Path, name: str, model: str, seeds: int) -> dict[tuple[str, str, int], Run]:
    """Real runs of a condition by weighting, allocator and seed; those that are whole."""
    whole, found = plan_of(name, model, seeds), {}
    loop = whole.config.loop
    for weighting, allocator, seed in whole.cells():
        source = run_directory(folder / name, whole.source(weighting, allocator), allocator, seed)
        if (source / "steps.jsonl").exists():
            run = read_run(source)
            if run.steps and loop.finished(run.steps[-1].step, run.steps[-1].rollouts):
                found[weighting, allocator, seed] = run
    return found


def archive(folder: Path, name: str, model: str, seeds: int) -> bool:
    """Keep a condition beside this file if all of its runs are whole."""
    runs = finished(folder, name, model, seeds)
    if len(runs) < len(list(plan_of(name, model, seeds).cells())):
        return False
    kept = []
    chosen = [f"allocator={OWN[name]}"] if name in OWN else []
    shipped = load_config(config_of(name), [*CONDITIONS[name], *chosen])  # no paths of a machine
    for weighting, allocator, seed in runs:
        if allocator == BASELINE and weighting != weightings_of(name)[0]:
            continue  # the same runs
        run = runs[weighting, allocator, seed]
        model_of_run = run.header.config["model"] | {"path": shipped.model.path}
        config = run.header.config | {"model": model_of_run, "task": shipped.task}
        kept.append(replace(run, header=replace(run.header, config=config)))
    write_archive(HERE / f"{name}.jsonl.gz", kept)
    return True


def archived(name: str) -> Rows:
    """Final accuracies and norms of an archived condition."""
    found = rows_of(read_archive(HERE / f"{name}.jsonl.gz"), weightings_of(name))
    if name in OWN:
        found |= {at: v for at, v in archived("base").items() if at[1] == BASELINE}
    return found


def rows_of(runs: Iterable[Run], weightings: Sequence[str] = WEIGHTINGS) -> Rows:
    """Final accuracies and norms of runs; a uniform run stands for every weighting."""
    rows: Rows = {}
    for run in runs:
        accuracy = final_accuracy(run)
        assert accuracy is not None
        head = run.header
        for weighting in weightings if head.allocator == BASELINE else (head.weighting,):
            at = rows.setdefault((weighting, head.allocator), {})
            at[head.seed] = accuracy, norm_of_second_half(run)["norm"]
    return rows


def agreement(names: list[str], predictions: Any) -> dict[str, float]:
    """Over pairs of arms of a condition and weighting that real runs tell apart (95 %):

    the share in the predicted order, as Kendall's tau; and over arms against uniform: the slope of
    real against predicted differences through 0, how many real ones differ from 0, and how many
    of these have the other sign.
    """
    order, real, foretold, wrong = [], [], [], 0
    for name in names:
        rows = archived(name)
        for weighting in weightings_of(name):
            ahead = predictions[name][weighting]
            expected = {BASELINE: 0.0} | {a: ahead[a]["points"] for a in arms(name)[1:]}
            for i, one in enumerate(arms(name)):
                for other in arms(name)[:i]:
                    gain = points(rows, weighting, one, other)
                    if abs(gain.mean()) > half(gain):
                        order.append(np.sign(gain.mean() * (expected[one] - expected[other])))
                        if other == BASELINE:
                            wrong += order[-1] < 0
                if one != BASELINE:
                    real.append(points(rows, weighting, one).mean())
                    foretold.append(expected[one])
    x, y = np.array(foretold), np.array(real)
    return {
        "pairs told apart": len(order),
        "tau": float(np.mean(order)) if order else float("nan"),
        "slope": float(x @ y / (x @ x)),
        "correlation": float(np.corrcoef(x, y)[0, 1]),
        "signs wrong": int(wrong),
    }


def by_condition(names: list[str], predictions: Any) -> list[str]:
    """Rows in Markdown, one a condition: its ``agreement``.

    Where real runs tell no pair apart there is nothing to agree with, and of two arms there is no
    correlation.
    """
    rows = []
    for name in names:
        found = agreement([name], predictions)
        pairs, arms_compared = found["pairs told apart"], len(arms(name)) - 1
        cells = [f"{found['tau']:+.2f}", f"{found['slope']:.2f}", f"{found['correlation']:.2f}"]
        if not pairs:
            cells = ["-"] * 3
        elif arms_compared == 1:
            cells[2] = "-"
        rows.append(f"| {' | '.join([name, str(pairs), *cells, str(found['signs wrong'])])} |")
    return rows


def known(names: list[str], predictions: Any) -> list[dict[str, Any]]:
    """Real and predicted differences, a row an arm, as `cobasim advise` reads them."""
    rows = []
    for name in names:
        found = differences(archived(name))
        for weighting in weightings_of(name):
            for arm in arms(name)[1:]:
                real = found[weighting][arm]
                ahead = predictions[name][weighting][arm]["points"]
                spread = predictions[name][weighting][arm]["half"] / HALF
                row = {"kind": "measured", "condition": name, "weighting": weighting}
                row["allocator"] = arm
                numbers = {"real": real["points"], "half": real["half"]}
                numbers |= {"predicted": ahead, "spread": spread}
                rows.append(row | {k: round(v, 3) for k, v in numbers.items()})
    return rows


def show(names: list[str], predictions: Any) -> None:
    """Tables in Markdown."""
    for name in names:
        ours, theirs = differences(archived(name)), predictions[name]
        levels = [x[weightings_of(name)[0]][BASELINE]["heldout"] for x in (ours, theirs)]
        print(f"\n{name}: uniform ends at {levels[0]:.1f} %, predicted {levels[1]:.1f} %\n")
        print(
            "| minus uniform | real | predicted | norm, real | norm, predicted |\n"
            + "|---" * 5
            + "|"
        )
        for arm in arms(name)[1:]:
            for weighting in weightings_of(name):
                a, b = ours[weighting][arm], theirs[weighting][arm]
                bold = "**" if abs(a["points"]) > a["half"] else ""
                print(
                    f"| {arm} per {weighting} | {bold}{a['points']:+.2f} ± {a['half']:.2f}{bold} "
                    f"| {b['points']:+.2f} ± {b['half']:.2f} | {a['norm']:.2f} | {b['norm']:.2f} |"
                )
        print(f"\n{json.dumps(agreement([name], predictions))}")
    print(f"\nall: {json.dumps(agreement(names, predictions))}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", choices=("predict", "commands", "archive", "rates", "table", "agreement")
    )
    parser.add_argument("--measured")
    parser.add_argument("--predictions", help="one file or several, with commas")
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
        if args.measured is None and "world" not in world:
            parser.error("predict needs --measured FILE, or --set world='\"logistic\"'")
        found = predict(args.measured, args.model, names, args.seeds or 16, world)
        args.out.write_text(json.dumps(found, indent=1) + "\n")
    elif args.what == "commands":
        for name in names:
            chosen = ",".join(plan_of(name, args.model, 1).allocators)
            parts = ["cobatrain", "compare", config_of(name), "--allocators", chosen]
            parts += [
                "--weightings",
                ",".join(weightings_of(name)),
                "--seeds",
                str(args.seeds or 4),
            ]
            parts += [x for setting in settings_of(name, args.model) for x in ("--set", setting)]
            print(shlex.join([*parts, "--jobs", "2", "--out", str(args.runs / name)]))
    elif args.what == "archive":
        for name in names:
            kept = archive(args.runs, name, args.model, args.seeds or 4)
            print(name, "kept" if kept else "not whole")
    elif args.what == "rates":
        files = [HERE / f"{name}.jsonl.gz" for name in ("rate-0.3", "rate-3")]
        runs = [run for file in files for run in read_archive(file)]
        write_archive(args.out, [run for run in runs if run.header.allocator == BASELINE])
    else:
        foretold = {}
        for file in args.predictions.split(","):
            foretold |= json.loads(Path(file).read_text())["conditions"]
        there = [n for n in names if n in foretold and (HERE / f"{n}.jsonl.gz").exists()]
        if args.what == "table":
            show(there, foretold)
        else:
            print("\n".join(by_condition(there, foretold)))


if __name__ == "__main__":
    main()
