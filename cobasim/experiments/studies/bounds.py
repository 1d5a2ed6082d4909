"""What the bounds of a budget do."""

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

USUAL_LOW, USUAL_HIGH = 2, 128


def plan(options: Options) -> dict[str, Sweep]:
    """One bound at a time; uniform has neither."""
    names = options.names("knapsack", "coba")
    lows = options.pick((1, USUAL_LOW, 4, 8), (1, USUAL_LOW, 3, 4, 6, 8, 12))
    highs = options.pick((20, 32, 64, USUAL_HIGH), (20, 24, 32, 48, 64, USUAL_HIGH, 256))
    return {
        "uniform": sweep(options, ("uniform",)),
        "low": sweep(options, names, axis("low", lows)),
        "high": sweep(options, names, axis("high", highs)),
    }


def answer(rows: Rows) -> Answer:
    """Each bound against its usual value, and against uniform."""

    def variant(row: Row) -> str:
        low = row.get("low") or USUAL_LOW
        high = row.get("high") or USUAL_HIGH
        if row["allocator"] == "uniform":
            return "uniform"
        return name_of(row["allocator"], f"{low} to {high}")

    usual = f"{USUAL_LOW} to {USUAL_HIGH}"
    return compose(
        [
            section(
                f"held-out accuracy at other bounds, against {usual}",
                rows,
                variant=variant,
                reference=lambda row: name_of(row["allocator"], usual),
            ),
            section(
                "held-out accuracy by bounds, against uniform",
                rows,
                variant=variant,
                reference=lambda _: "uniform",
            ),
        ]
    )


BOUNDS = Study(
    "bounds",
    "How sensitive is the outcome to B_low and B_up?",
    answer,
    plan,
    notes=("The mean is 16 rollouts a prompt: bounds of 16 to 16 would be uniform.",),
)
