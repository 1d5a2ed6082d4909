"""The global signal: held fixed, scheduled, or replaced by another."""

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

SIGNALS = ("coba-variance", "coba-mixed", "coba-update")
SCHEDULES = ("coba-explore-first", "linear-decay", "fixed", "fixed-exploit", "fixed-explore")


def plan(options: Options) -> dict[str, Sweep]:
    """Allocators with other rules for alpha; other signals, read both ways; alpha held fixed."""
    alphas = options.pick((1.5, 3.0, 5.5, 8.0, 9.5), (1.5, 3.0, 4.5, 5.5, 6.5, 8.0, 9.5))
    return {
        "rules": sweep(options, options.names("uniform", "coba", *SCHEDULES)),
        "signals": sweep(options, SIGNALS, axis("read_as", ("success", "failure"))),
        "held": sweep(options, ("coba",), axis("alpha", alphas)),
    }


def answer(rows: Rows) -> Answer:
    """Everything against CoBA driven by its failure rate."""

    def variant(row: Row) -> str:
        alpha, sense = row.get("alpha"), row.get("read_as")
        return name_of(
            row["allocator"],
            None if alpha is None else f"alpha held at {alpha:g}",
            None if sense is None else f"read as {sense}",
        )

    subject = "held-out accuracy by rule for alpha, against coba (failure rate)"
    return compose([section(subject, rows, variant=variant, reference=lambda _: "coba")])


SIGNAL = Study(
    "signal",
    "Does CoBA need its global signal, and would another one do?",
    answer,
    plan,
    notes=(
        "A signal s in [0, 1] takes the place of Fbar in Eq. 6, as F = 1 - s (read as success) "
        "or F = s (read as failure). coba-variance: s = 4 mean p (1-p). coba-mixed: the expected "
        "share of mixed groups of 16. coba-update: s = 2 mean sqrt(p (1-p)), the expected move of "
        "a logit. p are the estimates of the batch's seen prompts.",
    ),
)
