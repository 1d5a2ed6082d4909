"""Contrasts -> an answer: sentences, tables and figures, section by section."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import plotly.graph_objects as go

from cobasim.experiments.intervals import half_width
from cobasim.experiments.studies.contrasts import Contrast, Name, against
from cobasim.experiments.studies.forest import forest
from cobasim.experiments.studies.study import Answer, Table
from cobasim.scores import Rows, mean_interval

MOST_NAMED = 4

READING = (
    "How to read it: points are percentage points; differences are paired by seed ({seeds} seeds) "
    "and given with their 95 % intervals; above and below mean significantly so (paired t-tests at "
    "5 %, Holm-corrected within each world and weighting of the loss); all runs spend equal "
    "rollouts."
)


@dataclass(frozen=True)
class Section:
    """Contrasts of one kind: the subject is what they are about, in a few words."""

    subject: str
    contrasts: list[Contrast]
    unit: str = "points"


def section(
    subject: str,
    rows: Rows,
    metric: str = "final_heldout",
    *,
    variant: Name,
    reference: Name,
    scale: float = 100.0,
    unit: str = "points",
) -> Section:
    """The section of a metric: every variant against its reference, as ``against``."""
    contrasts = against(rows, metric, variant=variant, reference=reference, scale=scale)
    return Section(subject, contrasts, unit)


def compose(parts: Sequence[Section], *, figures: Sequence[go.Figure] = ()) -> Answer:
    """The answer that sections give: a sentence, a table and a figure for each."""
    used = [part for part in parts if part.contrasts]
    contrasts = [contrast for part in used for contrast in part.contrasts]
    above = sum(contrast.above for contrast in contrasts)
    below = sum(contrast.below for contrast in contrasts)
    count = (
        f"Of {len(contrasts)} comparisons, {above} are significantly above and {below} "
        "significantly below their reference; "
        f"{len(contrasts) - above - below} are not significant."
    )
    seeds = sorted({contrast.n for contrast in contrasts})
    reading = READING.format(seeds=" to ".join(map(str, seeds[:: len(seeds) - 1 or 1])))
    return Answer(
        [count, *(sentence(part) for part in used), reading],
        [_table(part) for part in used],
        [*(forest(part.contrasts, part.subject, part.unit) for part in used), *figures],
        {part.subject: [asdict(contrast) for contrast in part.contrasts] for part in used},
    )


def sentence(part: Section) -> str:
    """What is significantly above or below its reference, or neither, by world and weighting."""
    texts = []
    for group in dict.fromkeys(contrast.group for contrast in part.contrasts):
        members = [contrast for contrast in part.contrasts if contrast.group == group]
        texts.append(f"[{group[0]} world, loss per {group[1]}] " + _outcome(members))
    subject = part.subject[0].upper() + part.subject[1:]
    return f"{subject} ({part.unit}): " + ". ".join(texts) + "."


def _outcome(contrasts: Sequence[Contrast]) -> str:
    """The largest differences of one group, and how many are not significant."""
    texts = []
    for kind in ("above", "below"):
        ranked = sorted(
            (contrast for contrast in contrasts if getattr(contrast, kind)),
            key=lambda contrast: -abs(contrast.mean),
        )
        shown = ", ".join(f"{_quoted(each.what)} {each.text}" for each in ranked[:MOST_NAMED])
        more = f" and {len(ranked) - MOST_NAMED} more" if len(ranked) > MOST_NAMED else ""
        if ranked:
            texts.append(f"{kind}: {shown}{more}")
    inside = [contrast for contrast in contrasts if not contrast.beyond]
    if inside:
        widest = max(inside, key=lambda contrast: abs(contrast.mean))
        texts.append(
            f"{len(inside)} of {len(contrasts)} not significant (the largest "
            f"{_quoted(widest.what)} {widest.text})"
        )
    return "; ".join(texts)


def levels(rows: Rows, metric: str, subject: str, *, variant: Name, scale: float = 100.0) -> str:
    """One sentence: the mean of a metric over seeds with its interval, for every variant."""
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if row.get(metric) is not None:
            variants = groups.setdefault((row["world"], row["weighting"]), {})
            variants.setdefault(variant(row), []).append(scale * row[metric])
    parts = []
    for (world, weighting), variants in groups.items():
        shown = []
        for name, values in variants.items():
            level = mean_interval(values)
            half = half_width(level)
            text = "" if half is None else f" ± {half:.2f}"
            shown.append(f"{_quoted(name)} {level.mean:.2f}{text}")
        parts.append(f"[{world} world, loss per {weighting}] " + ", ".join(shown))
    return f"{subject}: " + ". ".join(parts) + "."


def _quoted(name: str) -> str:
    return f"({name})" if "," in name else name


def _table(part: Section) -> Table:
    """Every contrast, one row each."""
    return Table(
        part.subject,
        ("world", "loss per", "variant", "against", "level", f"difference ({part.unit})", "Holm p"),
        [
            (*each.group, each.what, each.versus, f"{each.level:.2f}", each.text, f"{each.p:.3f}")
            for each in part.contrasts
        ],
    )
