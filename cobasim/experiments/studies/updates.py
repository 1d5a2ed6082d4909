"""Whether the form of the update matters."""

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
    with_differences,
)

FORMS = ("grpo", "dr-grpo", "rloo")


def plan(options: Options) -> dict[str, Sweep]:
    """The same allocators under each update."""
    names = options.names("uniform", "knapsack", "coba", "oracle-coba")
    return {"updates": sweep(options, names, axis("update", FORMS))}


def answer(rows: Rows) -> Answer:
    """Against uniform under the same update, and whether the update changes that."""

    def variant(row: Row) -> str:
        return name_of(row["allocator"], row["update"])

    return compose(
        [
            section(
                "held-out accuracy against uniform under the same update",
                rows,
                variant=variant,
                reference=lambda row: name_of("uniform", row["update"]),
            ),
            section(
                "the held-out difference to uniform, against the one under std-normalised GRPO",
                with_differences(rows),
                "minus_uniform",
                variant=variant,
                reference=lambda row: name_of(row["allocator"], "grpo"),
            ),
        ]
    )


UPDATES = Study(
    "updates",
    "Does the order of allocators depend on the update (std-normalised GRPO, Dr.GRPO, RLOO)?",
    answer,
    plan,
    notes=(
        "The world takes one exact score step per batch, on the policy that sampled it: the ratio "
        "is 1, so clipping it (clip-higher, GSPO's sequence ratio) changes nothing and is not "
        "among the updates.",
    ),
)
