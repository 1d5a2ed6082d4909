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
from pathlib import Path
from typing import Any

import conditions  # beside this script

from cobasim.data import RateOptions, read_measured
from cobasim.experiments import advice
from cobasim.records import read_archive
from cobatrain.config import load_config

HERE = Path(__file__).parent
RATES = HERE / "initial-pass-rates.csv"
FROM_RATES = ["base", "group-4", "group-16", "batch-256", "visits-10", "visits-20"]
"""Others differ in what rates do not say, or are of pools whose rates are not kept."""
FROM_RUNS = [*FROM_RATES, "rate-0.3", "rate-3", "dr-grpo", "easy", "hard", "batch-16"]
MEASURED = ["visits-20", "rate-3", "dr-grpo", "rate-0.3", "visits-10", "easy", "hard", "batch-16"]
MEASURED += ["group-16", "batch-256", "chains"]
MEASURED += ["tau-1", "tau-64", "ratio-3.5"]  # one allocator each
PREDICTIONS = ("example", "example-2", "own", "easy", "hard", "chains")
KNOWN = Path(advice.__file__).parent / "known.json"


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
                    archive = read_archive(HERE / f"{name}.jsonl.gz")
                    first = next(r for r in archive if r.header.allocator == "uniform")
                    case = advice.of_run(first, sizes)
                else:
                    read = read_measured(str(RATES), RateOptions(limit=pool))
                    case = advice.of_pass_rates(read, sizes)
                answer = advice.advise(case)
                for option in answer.options:
                    rows.append(
                        {
                            "kind": kind,
                            "condition": name,
                            "weighting": weighting,
                            "allocator": option.allocator,
                            "predicted": round(option.predicted, 3),
                            "spread": round(option.spread, 3),
                        }
                    )
                print(kind, name, weighting, [r["predicted"] for r in rows[-5:]], flush=True)
    return rows


def known(predictions: list[dict[str, Any]]) -> str:
    """All rows beside what real runs showed, a line each."""
    foretold: dict[str, Any] = {}
    for name in PREDICTIONS:
        foretold |= json.loads((HERE / f"predictions-{name}.json").read_text())["conditions"]
    rows = conditions.known(MEASURED, foretold)
    names = dict.fromkeys(row["condition"] for row in predictions)
    real = {name: conditions.differences(conditions.archived(name)) for name in names}
    for row in predictions:
        arm = real[row["condition"]][row["weighting"]][row["allocator"]]
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
