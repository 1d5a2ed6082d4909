"""Noise and staleness of what an allocator is told."""

from __future__ import annotations

from cobasim.experiments.studies.vocabulary import (
    Answer,
    Options,
    Row,
    Rows,
    Study,
    Sweep,
    axis,
    compose,
    name_of,
    section,
    sweep,
)
from cobasim.runs import ORACLE

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

    def truth(row: Row) -> str:
        return ORACLE + str(row["allocator"]).removeprefix(ORACLE)

    def pool(allocator: str, row: Row) -> str:
        return name_of(allocator, f"{row['num_prompts']} prompts")

    def stale(row: Row) -> str:
        return pool(row["allocator"], row)

    return compose(
        [
            section(
                "held-out accuracy with estimated pass rates, against the true ones",
                [*parts["truth"], *parts["estimator"]],
                variant=lambda row: name_of(row["allocator"], row.get("estimator")),
                reference=truth,
            ),
            section(
                f"held-out accuracy by window of the failure rate, against k = {USUAL_WINDOW}",
                parts["window"],
                variant=lambda row: f"coba, k = {row['window']}",
                reference=lambda _: f"coba, k = {USUAL_WINDOW}",
            ),
            section(
                "held-out accuracy with estimates, against the truth, by pool size (staleness)",
                parts["staleness"],
                variant=stale,
                reference=lambda row: pool(truth(row), row),
            ),
            section(
                "held-out accuracy against uniform, by pool size (staleness)",
                parts["staleness"],
                variant=stale,
                reference=lambda row: pool("uniform", row),
            ),
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
        "older estimates, fewer visits and less memorised. The oracle at the same pool size "
        "separates the first effect from the others.",
    ),
)
