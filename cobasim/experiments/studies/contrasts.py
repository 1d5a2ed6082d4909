"""Variants against their references, paired by seed and tested."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cobasim.experiments.intervals import half_width, signed
from cobasim.experiments.studies.study import Row
from cobasim.scores import LEVEL, Rows, as_p_values, holm, mean_interval, paired_p_value

Name = Callable[[Row], str]
"""A row -> the name of its variant, or of the variant it is compared with."""


@dataclass(frozen=True)
class Contrast:
    """A variant against its reference, paired by seed, in the metric's units.

    Attributes:
        group: (world, weighting) or whatever the family of tests is made within.
        what, versus: names of the variant and of its reference.
        level: the variant's own mean.
        mean, half: of the paired difference and its 95 % Student-t interval; half is None for
            one pair.
        n: pairs.
        p: p-value of the paired t-test, adjusted within the group; 1 for one pair.
    """

    group: tuple[str, ...]
    what: str
    versus: str
    level: float
    mean: float
    half: float | None
    n: int
    p: float

    @property
    def beyond(self) -> bool:
        """Whether the difference is significant."""
        return self.p < LEVEL

    @property
    def above(self) -> bool:
        """Whether it is significantly above its reference."""
        return self.beyond and self.mean > 0

    @property
    def below(self) -> bool:
        """Whether it is significantly below its reference."""
        return self.beyond and self.mean < 0

    @property
    def text(self) -> str:
        """Difference and half width."""
        return signed(self.mean, self.half)


def name_of(*parts: Any) -> str:
    """A variant's name from what sets it apart."""
    return ", ".join(str(part) for part in parts if part not in (None, ""))


def against(
    rows: Rows,
    metric: str,
    *,
    variant: Name,
    reference: Name,
    scale: float = 100.0,
    within: Sequence[str] = ("world", "weighting"),
    correct: Callable[[Sequence[float]], Sequence[float]] = holm,
) -> list[Contrast]:
    """Every variant against its reference, paired by seed, within each group.

    Args:
        rows: one per run; those without the metric are left out.
        metric: a column.
        variant, reference: the name of a row's variant, and of the variant it is compared with.
        scale: of the metric.
        within: columns of the group; one family of tests.
        correct: adjusts the p-values of a family.
    """
    groups: dict[tuple[str, ...], dict[str, dict[int, float]]] = {}
    references: dict[str, str] = {}
    for row in rows:
        if row.get(metric) is not None:
            key = tuple(str(row[name]) for name in within)
            name = variant(row)
            references[name] = reference(row)
            groups.setdefault(key, {}).setdefault(name, {})[row["seed"]] = scale * row[metric]
    return [
        contrast
        for key, variants in groups.items()
        for contrast in _within(key, variants, references, correct)
    ]


def _within(
    group: tuple[str, ...],
    variants: dict[str, dict[int, float]],
    references: dict[str, str],
    correct: Callable[[Sequence[float]], Sequence[float]],
) -> list[Contrast]:
    """The contrasts of one family; ``variants``: name -> seed -> value."""
    family: list[tuple[str, list[float], list[float]]] = []
    for name, own in variants.items():
        other = variants.get(references[name])
        if other is None or name == references[name]:
            continue
        seeds = sorted(own.keys() & other.keys())
        if seeds:
            family.append((name, [own[s] for s in seeds], [other[s] for s in seeds]))
    adjusted = correct(as_p_values([paired_p_value(own, other) for _, own, other in family]))
    contrasts = []
    for (name, own_values, other_values), p in zip(family, adjusted, strict=True):
        pairs = zip(own_values, other_values, strict=True)
        difference = mean_interval([a - b for a, b in pairs])
        contrasts.append(
            Contrast(
                group=group,
                what=name,
                versus=references[name],
                level=sum(own_values) / len(own_values),
                mean=difference.mean,
                half=half_width(difference),
                n=difference.n,
                p=p,
            )
        )
    return contrasts
