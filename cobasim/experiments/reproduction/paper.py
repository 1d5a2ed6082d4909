"""What arXiv 2602.03048v3 (CoBA-RL) reports: its numbers, and the claims they make. Data only.

Tables 1 to 3 and Figures 6 and 8 are averages of avg@16 over AIME24, AIME25, AMC23, MATH500 and
Olympiad in %, one training run each; the paper gives no intervals. Figure 7 is the share of the
training prompts of a class at the start that are extremely easy (p = 1) at the end, in %. Numbers
of figures are their labels.

A case is (group, entry). Cases that are compared with each other share a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from cobasim.difficulty import DIFFICULTY_CLASSES

SOURCE: Final = "arXiv 2602.03048v3"

Case = tuple[str, str]
ACCURACY: Final = "average accuracy, %"


@dataclass(frozen=True)
class Claim:
    """A pairwise statement of the paper.

    Attributes:
        left, right: the cases compared.
        kind: "greater": left lies above right. "similar": left is within ``margin`` times
            |right - reference| of right.
        reference, margin: for "similar" only; the margin is the paper's own largest deviation in
            these units.
    """

    left: Case
    right: Case
    kind: Literal["greater", "similar"] = "greater"
    reference: Case | None = None
    margin: float = 0.0

    @property
    def text(self) -> str:
        """The claim in words."""
        sign = ">" if self.kind == "greater" else "≈"
        group = f"{self.left[0]}: " if self.left[0] == self.right[0] else ""
        sides = [case[1] if group else f"{case[1]} ({case[0]})" for case in (self.left, self.right)]
        return f"{group}{sides[0]} {sign} {sides[1]}"


@dataclass(frozen=True)
class Result:
    """A table or figure of the paper: its numbers, and the claims they make."""

    key: str
    title: str
    numbers: dict[Case, float]
    claims: tuple[Claim, ...]
    unit: str = ACCURACY
    across: bool = False
    """Whether groups are compared with each other as well."""

    @property
    def groups(self) -> dict[str, list[str]]:
        """Entries by group, in the paper's order."""
        groups: dict[str, list[str]] = {}
        for group, entry in self.numbers:
            groups.setdefault(group, []).append(entry)
        return groups


GRPO, KNAPSACK, COBA, MIRRORED = "uniform", "knapsack", "coba", "coba-explore-first"
MODELS: Final = (
    "Qwen2.5-7B-Instruct", "Qwen2.5-7B-Base", "Qwen3-4B-Base", "Qwen3-1.7B-Base",
)  # fmt: skip
REFERENCE: Final = MODELS[0]
"""The model of Tables 2 and 3 and of Figures 6 to 8."""


def _grid(rows: dict[str, tuple[float, ...]], entries: tuple[str, ...]) -> dict[Case, float]:
    return {
        (group, entry): value
        for group, values in rows.items()
        for entry, value in zip(entries, values, strict=True)
    }


def _falling(group: str, *entries: str) -> tuple[Claim, ...]:
    """Claims that each entry lies above all that follow it."""
    return tuple(
        Claim((group, high), (group, low))
        for place, high in enumerate(entries)
        for low in entries[place + 1 :]
    )


_TABLE_1 = _grid(
    {
        MODELS[0]: (42.24, 45.39, 46.78),
        MODELS[1]: (43.68, 46.34, 47.43),
        MODELS[2]: (44.72, 46.66, 49.46),
        MODELS[3]: (31.61, 32.56, 35.75),
    },
    (GRPO, KNAPSACK, COBA),
)
_TABLE_2 = {(REFERENCE, MIRRORED): 44.50, (REFERENCE, COBA): 46.78}
_TABLE_3 = {
    (REFERENCE, "fixed-exploit"): 44.22,
    (REFERENCE, "fixed-explore"): 45.21,
    (REFERENCE, "linear-decay"): 45.39,
    (REFERENCE, COBA): 46.78,
}

HALF, WHOLE = "8 rollouts a prompt", "16 rollouts a prompt"
_FIGURE_6 = _grid(
    {HALF: (41.00, 44.73, 45.52), WHOLE: (42.78, 45.39, 46.78)}, (GRPO, KNAPSACK, COBA)
)
_FIGURE_7 = _grid(
    {
        DIFFICULTY_CLASSES[0]: (4.1, 5.9, 8.7),
        DIFFICULTY_CLASSES[1]: (17.3, 20.4, 36.7),
        DIFFICULTY_CLASSES[2]: (46.8, 50.0, 71.2),
        DIFFICULTY_CLASSES[3]: (74.0, 81.1, 88.8),
        DIFFICULTY_CLASSES[4]: (91.6, 94.1, 95.2),
    },
    (GRPO, KNAPSACK, COBA),
)

KAPPAS: Final = (7, 11, 15, 21)
_FIGURE_8 = {
    **{
        (REFERENCE, f"kappa {kappa}"): value
        for kappa, value in zip(KAPPAS, (45.40, 46.61, 46.24, 46.56), strict=True)
    },
    (REFERENCE, GRPO): _TABLE_1[REFERENCE, GRPO],
}


def _insensitive() -> tuple[Claim, ...]:
    """Claims that every kappa does about as well as 11, and better than GRPO (from Table 1)."""
    middle, base = (REFERENCE, "kappa 11"), (REFERENCE, GRPO)
    others = [(REFERENCE, f"kappa {kappa}") for kappa in KAPPAS if kappa != 11]
    away = max(abs(_FIGURE_8[case] - _FIGURE_8[middle]) for case in others)
    margin = away / (_FIGURE_8[middle] - _FIGURE_8[base])
    return (
        *(Claim(case, middle, "similar", base, margin) for case in others),
        *(Claim(case, base) for case in (*others, middle)),
    )


STAGES: Final = ("early", "middle", "late")
FAILURE_RATES: Final = dict(zip(STAGES, (0.70, 0.455, 0.342), strict=True))
"""Smoothed failure rates at the three panels of Figure 4."""
_FIGURE_5 = _grid({COBA: (7.26, 4.50, 2.54)}, STAGES)
# where Beta(alpha, 11 - alpha) is largest: (alpha - 1) / (kappa - 2); derived, not reported
_FIGURE_4 = {case: 100 * (alpha - 1.0) / 9.0 for case, alpha in _FIGURE_5.items()}

RESULTS: Final = {
    result.key: result
    for result in (
        Result(
            "table-1",
            "Table 1: GRPO, Knapsack-RL and CoBA on four models",
            _TABLE_1,
            tuple(c for model in MODELS for c in _falling(model, COBA, KNAPSACK, GRPO)),
        ),
        Result(
            "table-2",
            "Table 2: exploit first or explore first",
            _TABLE_2,
            _falling(REFERENCE, COBA, MIRRORED),
        ),
        Result(
            "table-3",
            "Table 3: adaptive, fixed and scheduled preference",
            _TABLE_3,
            _falling(REFERENCE, COBA, "linear-decay", "fixed-explore", "fixed-exploit"),
        ),
        Result(
            "figure-4",
            "Figure 4: which pass rate gets the most rollouts",
            _FIGURE_4,
            _falling(COBA, *STAGES),
            unit="pass rate with the largest budgets, % (paper: where its density is largest)",
        ),
        Result(
            "figure-5",
            "Figure 5: alpha over time",
            _FIGURE_5,
            _falling(COBA, *STAGES),
            unit="alpha",
        ),
        Result(
            "figure-6",
            "Figure 6: half and whole budget",
            _FIGURE_6,
            (
                Claim((HALF, COBA), (WHOLE, GRPO)),
                *(c for half in (HALF, WHOLE) for c in _falling(half, COBA, KNAPSACK, GRPO)),
                *(Claim((WHOLE, name), (HALF, name)) for name in (GRPO, KNAPSACK, COBA)),
            ),
            across=True,
        ),
        Result(
            "figure-7",
            "Figure 7: who becomes extremely easy",
            _FIGURE_7,
            tuple(c for group in DIFFICULTY_CLASSES for c in _falling(group, COBA, KNAPSACK, GRPO)),
            unit="share of the class that ends extremely easy, %",
        ),
        Result("figure-8", "Figure 8: kappa", _FIGURE_8, _insensitive()),
    )
}

FIGURE_4_PEAK: Final = (70, 100)
"""Largest budgets of a prompt in the panels of Figure 4, rollouts; read off the figure."""

TABLE_4: Final = {"dp": 115.05, "heap": 0.124}
"""Seconds of one allocation."""
TABLE_4_SIZE: Final = (512, 8192)
"""Prompts, rollouts."""
