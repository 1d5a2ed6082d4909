"""What `cobasim advise` would have said of the real conditions, without measured gradients.

    python docs/real/measured/advice.py predict --out FILE   # half an hour of processor time
    python docs/real/measured/advice.py known FILE           # what advise knows of its error
    python docs/real/measured/advice.py coverage             # how often its intervals hold

``predict`` asks from pass rates (where the pool's are kept) and from the uniform run of seed 0. It
does not read real differences of the other allocators.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path
from typing import Any

import conditions  # beside this script

from cobasim.data import RateOptions, read_measured
from cobasim.experiments import advice
from cobasim.records import Run, read_archive
from cobasim.runs import BASELINE
from cobatrain.config import load_config

HERE = Path(__file__).parent
RATES = HERE / "initial-pass-rates.csv"
FROM_RATES = ["base", "group-4", "group-16", "group-32", "batch-256", "visits-10", "visits-20"]
"""Others differ in what rates do not say, or are of pools whose rates are not kept."""
FROM_RUNS = [*FROM_RATES, "rate-0.3", "rate-3", "dr-grpo", "easy", "hard", "batch-16"]
OTHERS = {
    "first-warm-up": "tiny-runs-2.jsonl.gz",
    "first-1024": "tiny-b1024.jsonl.gz",
    "smollm2": "smollm2/runs.jsonl.gz",
}
"""Archives beside this folder, asked from their own first uniform run: another warm-up of the model
at 512 and 1,024 rollouts a step, and another model. Four seeds count, as many as elsewhere."""
MEASURED = ["visits-20", "rate-3", "dr-grpo", "rate-0.3", "visits-10", "easy", "hard", "batch-16"]
MEASURED += ["group-16", "group-32", "batch-256", "chains"]
MEASURED += ["tau-1", "tau-64", "ratio-3.5"]  # one allocator each
PREDICTIONS = ("example", "example-2", "own", "easy", "hard", "chains")
KNOWN = Path(advice.__file__).parent / "known.json"
SEEDS = 4


def predict() -> list[dict[str, Any]]:
    """Rows of predictions: kind, condition, weighting, allocator, predicted, spread."""
    rows = []
    for kind, names in (("pass rates", FROM_RATES), ("run", FROM_RUNS)):
        for name in names:
            config = load_config(conditions.CONFIG, conditions.CONDITIONS[name])
            loop, pool = config.loop, int(config.task["train_size"])
            for weighting in conditions.WEIGHTINGS:
                sizes = advice.Sizes(
                    loop.batch_size,
                    loop.total_budget,
                    loop.low,
                    loop.high,
                    loop.steps * loop.batch_size / pool,
                    weighting,
                )
                if kind == "run":
                    case = advice.of_run(first_uniform(name), sizes)
                else:
                    read = read_measured(str(RATES), RateOptions(limit=pool))
                    case = advice.of_pass_rates(read, sizes)
                rows += foretold(kind, name, weighting, case)
    return rows + predict_others()


def predict_others() -> list[dict[str, Any]]:
    """The same for ``OTHERS``."""
    return [
        row
        for name in OTHERS
        for weighting in conditions.WEIGHTINGS
        for row in foretold(
            "run",
            name,
            weighting,
            advice.of_run(first_uniform(name), advice.Sizes(weighting=weighting)),
        )
    ]


def foretold(kind: str, name: str, weighting: str, case: advice.Case) -> list[dict[str, Any]]:
    """A row an allocator that really ran."""
    own = real(name)[weighting]
    rows: list[dict[str, Any]] = [
        {
            "kind": kind,
            "condition": name,
            "weighting": weighting,
            "allocator": option.allocator,
            "predicted": round(option.predicted, 3),
            "spread": round(option.spread, 3),
        }
        for option in advice.advise(case).options
        if option.allocator in own
    ]
    print(kind, name, weighting, [row["predicted"] for row in rows], flush=True)
    return rows


def first_uniform(name: str) -> Run:
    """A condition's first uniform run."""
    runs = read_archive(HERE.parent / OTHERS[name] if name in OTHERS else HERE / f"{name}.jsonl.gz")
    return next(run for run in runs if run.header.allocator == BASELINE)


@cache
def real(name: str) -> dict[str, dict[str, dict[str, float]]]:
    """Real differences to uniform, by weighting and allocator, over four seeds."""
    if name not in OTHERS:
        return conditions.differences(conditions.archived(name))
    runs = read_archive(HERE.parent / OTHERS[name])
    return conditions.differences(conditions.rows_of(r for r in runs if r.header.seed < SEEDS))


def known(predictions: list[dict[str, Any]]) -> str:
    """All rows beside what real runs showed, a line each."""
    foretold: dict[str, Any] = {}
    for name in PREDICTIONS:
        foretold |= json.loads((HERE / f"predictions-{name}.json").read_text())["conditions"]
    rows = conditions.known(MEASURED, foretold)
    for row in predictions:
        arm = real(row["condition"])[row["weighting"]][row["allocator"]]
        rows.append(row | {"real": round(arm["points"], 3), "half": round(arm["half"], 3)})
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"


def coverage() -> list[str]:
    """Tables in Markdown: each condition left out of the fit in turn."""
    rows, lines = advice.known(), []
    for kind in ("pass rates", "run", "measured"):
        table = advice.coverage([row for row in rows if row.kind == kind])
        lines += ["", f"| {kind} | arms | inside the interval | half of it, points | recommended |"]
        lines += ["|---|---|---|---|---|"]
        for row in table:
            said = [
                f"{name}" + (f" ({real:+.2f} ± {half:.2f})" if name != "uniform" else "")
                for name, real, half in row.recommended.values()
            ]
            cells = [row.condition, row.arms, row.inside, f"{row.half:.1f}", ", ".join(said)]
            lines.append("| " + " | ".join(map(str, cells)) + " |")
        inside, arms = sum(row.inside for row in table), sum(row.arms for row in table)
        harmful = sum(row.harmful for row in table)
        share = f"{inside} ({100 * inside / arms:.0f} %)"
        lines.append(f"| all | {arms} | {share} | | {harmful} below uniform beyond the noise |")
    return lines


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("predict", "known", "coverage"))
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=KNOWN)
    args = parser.parse_args()
    if args.what == "predict":
        args.out.write_text(json.dumps(predict(), indent=0) + "\n")
    elif args.what == "known":
        args.out.write_text(known(json.loads(args.file.read_text())))
    else:
        print("\n".join(coverage()))


if __name__ == "__main__":
    main()
