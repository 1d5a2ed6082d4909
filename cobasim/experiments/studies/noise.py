"""Noise and staleness of what an allocator is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cobasim.experiments.studies.skeleton import (
    Answer,
    Options,
    Section,
    Study,
    against,
    axis,
    compose,
    name_of,
    sweep,
)
from cobasim.runs.config import ORACLE
from cobasim.runs.sweep import Sweep
from cobasim.scores import Rows

Row = Mapping[str, Any]
USUAL_WINDOW = 3


def plan(options: Options) -> dict[str, Sweep]:
    """Estimators, the truth, the window of the failure rate, and the time between visits."""
    batch = options.size.batch
    pools = [batch * visits for visits in options.pick((4, 16), (4, 8, 16, 32))]
    windows = options.pick((1, USUAL_WINDOW, 10), (1, USUAL_WINDOW, 10, 30))
    return {
        "truth": sweep(options, ("uniform", "oracle-knapsack", "oracle-coba")),
        "estimator": sweep(
            options, ("knapsack", "coba"), axis("estimator", ("last", "window", "posterior"))
        ),
        "window": sweep(options, ("coba",), axis("window", windows)),
        "staleness": sweep(
            options,
            ("uniform", "knapsack", "coba", "oracle-knapsack", "oracle-coba"),
            axis("num_prompts", pools),
        ),
    }


def answer(rows: Rows) -> Answer:
    """Against the truth, against the usual window, and against the truth at each pool size."""
    parts: dict[str, list[Row]] = {}
    for row in rows:
        parts.setdefault(row["part"], []).append(row)

    def told(row: Row) -> str:
        return name_of(row["allocator"], row.get("estimator"))

    def stale(row: Row) -> str:
        return name_of(row["allocator"], f"{row['num_prompts']} prompts")

    def truth(row: Row) -> str:
        return ORACLE + str(row["allocator"]).removeprefix(ORACLE)

    estimates = against(
        [*parts["truth"], *parts["estimator"]], "final_heldout", variant=told, reference=truth
    )
    windows = against(
        parts["window"],
        "final_heldout",
        variant=lambda row: f"coba, k = {row['window']}",
        reference=lambda _: f"coba, k = {USUAL_WINDOW}",
    )
    to_truth = against(
        parts["staleness"],
        "final_heldout",
        variant=stale,
        reference=lambda row: name_of(truth(row), f"{row['num_prompts']} prompts"),
    )
    to_uniform = against(
        parts["staleness"],
        "final_heldout",
        variant=stale,
        reference=lambda row: name_of("uniform", f"{row['num_prompts']} prompts"),
    )
    return compose(
        [
            Section(
                "held-out accuracy with estimated pass rates, against the true ones", estimates
            ),
            Section(
                f"held-out accuracy by window of the failure rate, against k = {USUAL_WINDOW}",
                windows,
            ),
            Section(
                "held-out accuracy with estimates, against the truth, by pool size (staleness)",
                to_truth,
            ),
            Section("held-out accuracy against uniform, by pool size (staleness)", to_uniform),
        ]
    )


NOISE = Study(
    "noise",
    "How much do noisy or stale pass rates and a noisy failure rate cost?",
    answer,
    plan,
    open_to_more=False,
    notes=(
        "An epoch is pool / batch steps, and a prompt is seen once in it: a larger pool means "
        "older estimates, fewer visits, and less memorised; the oracle at the same pool size "
        "separates the first from the rest.",
    ),
)
