"""What all studies share: sizes, plans on ``cobasim.runs.sweep``, paired contrasts, and the report.

A study is a question, a plan (or something to measure here and now), and a pure function from rows
to an answer. Every sentence of an answer is made from its numbers.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim.errors import InputError
from cobasim.figures import AXIS, TEXT, colour_of, label, lay_out
from cobasim.loop import Loop
from cobasim.records import Run, own_versions, write_atomically
from cobasim.report import document, drawing, grid, provenance
from cobasim.runs import sweep as sweeps
from cobasim.runs.sweep import Measure, Point, Sweep
from cobasim.scores import LEVEL, Rows, as_p_values, holm, mean_interval, paired_p_value

PLAN, REPORT, NUMBERS, TEXT_REPORT = "study-plan.json", "study.html", "study.json", "study.md"

RATES = {"logistic": 4e-3, "skill-chain": 5e-2}
"""Learning rates at which uniform alone rises by about 10 points in 120 steps, as far as it does at
the least in 500 with the defaults."""


@dataclass(frozen=True)
class Size:
    """How large the runs of a preset are; 16 rollouts a prompt on average."""

    seeds: int
    steps: int
    batch: int = 128
    pool: int = 2048
    heldout: int = 1000


SIZES: dict[str, Size] = {
    "tiny": Size(seeds=2, steps=8, batch=16, pool=96, heldout=64),
    "quick": Size(seeds=6, steps=120),
    "full": Size(seeds=16, steps=150),
}
"""Presets; "tiny" only shows that everything works."""


@dataclass(frozen=True)
class Options:
    """What a plan may depend on."""

    preset: str = "quick"
    allocators: tuple[str, ...] = ()  # further ones, where the study compares allocators

    @property
    def size(self) -> Size:
        """The preset's sizes."""
        return SIZES[self.preset]

    def pick(self, quick: Any, full: Any, tiny: Any = None) -> Any:
        """What depends on the preset but is no size; "tiny" is as "quick" if not given."""
        if self.preset == "tiny" and tiny is not None:
            return tiny
        return full if self.preset == "full" else quick

    def names(self, *allocators: str) -> tuple[str, ...]:
        """The study's own allocators, then those that were asked for."""
        return tuple(dict.fromkeys((*allocators, *self.allocators)))


@dataclass(frozen=True)
class Table:
    """Text cells, ready to be shown."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Answer:
    """What a study found.

    Attributes:
        conclusion: sentences, computed from the numbers.
        tables, figures: the evidence.
        numbers: plain values behind them.
    """

    conclusion: list[str]
    tables: list[Table]
    figures: list[go.Figure]
    numbers: Any = field(default_factory=list)


@dataclass(frozen=True)
class Study:
    """One open question.

    Attributes:
        name: of the command.
        question: in one line.
        answer: rows -> Answer, pure.
        plan: sweeps by name of the part; their rows get a column ``part``.
        compute: for what is not a sweep: rows, made here and now.
        measure: further columns of each run's row.
        open_to_more: whether ``Options.allocators`` take part.
        notes: what a reader must know (mappings, limits).
    """

    name: str
    question: str
    answer: Callable[[Rows], Answer]
    plan: Callable[[Options], dict[str, Sweep]] = lambda _: {}
    compute: Callable[[Options], list[dict[str, Any]]] = lambda _: []
    measure: Measure | None = None
    open_to_more: bool = True
    notes: tuple[str, ...] = ()


# --- plans -----------------------------------------------------------------------------------


def axis(name: str, values: Iterable[Any]) -> list[Point]:
    """One setting at several values."""
    return [{name: value} for value in values]


BOTH_WORLDS: list[Point] = [
    {"world": world, "learning_rate": rate} for world, rate in RATES.items()
]


def sweep(
    options: Options,
    allocators: Sequence[str],
    *axes: Sequence[Point],
    settings: Mapping[str, Any] | None = None,
    **chosen: Any,
) -> Sweep:
    """Every combination of the axes' points, in both worlds unless an axis names one.

    Args:
        options: the preset gives sizes and seeds.
        allocators: names.
        axes: points; later ones win.
        settings: what holds everywhere, by flat name.
        chosen: fields of CompareConfig, changing seeds or weightings (by default both).
    """
    size = options.size
    worlds = [] if any("world" in point for one in axes for point in one) else [BOTH_WORLDS]
    points: list[Point] = []
    for group in product(*worlds, *axes):
        merged: Point = {}
        for point in group:
            merged |= point
        points.append(merged)
    held = {
        "num_prompts": size.pool, "num_heldout": size.heldout, "batch_size": size.batch,
        "total_budget": 16 * size.batch, "steps": size.steps, "eval_every": max(size.steps // 6, 1),
    }  # fmt: skip
    fixed = {
        "allocators": tuple(allocators), "weightings": ("rollout", "prompt"), "seeds": size.seeds,
    }  # fmt: skip
    return Sweep("quick", held | dict(settings or {}), fixed | chosen, tuple(points))


def curves(run: Run, loop: Loop) -> dict[str, Any]:
    """Columns ``at`` (steps) and ``curve_NAME``: every accuracy at every evaluation."""
    found = [(step.step, step.evaluation) for step in run.steps if step.evaluation is not None]
    names = dict.fromkeys(
        name for _, scores in found for name, value in scores.items() if isinstance(value, float)
    )
    return {"at": [step for step, _ in found]} | {
        f"curve_{name}": [scores.get(name) for _, scores in found] for name in names
    }


# --- contrasts -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Contrast:
    """A variant against its reference, paired by seed, in the metric's units.

    Attributes:
        group: (world, weighting) or whatever the family is made within.
        what, versus: names of the variant and of its reference.
        level: the variant's own mean.
        mean, half: of the paired difference and its 95 % Student-t interval; half is None for
            one pair.
        n: pairs.
        p: p-value of the paired t-test, Holm-adjusted within the group; 1 for one pair.
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
        """Whether the difference is beyond the noise."""
        return self.p < LEVEL

    @property
    def text(self) -> str:
        """Difference and half width."""
        return signed(self.mean, self.half)


def signed(mean: float, half: float | None, digits: int = 2) -> str:
    """``+1.20 ± 0.31``."""
    return f"{mean:+.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def name_of(*parts: Any) -> str:
    """A variant's name from what sets it apart."""
    return ", ".join(str(part) for part in parts if part not in (None, ""))


def against(
    rows: Rows,
    metric: str,
    *,
    variant: Callable[[Mapping[str, Any]], str],
    reference: Callable[[Mapping[str, Any]], str],
    scale: float = 100.0,
    within: Sequence[str] = ("world", "weighting"),
    correct: Callable[[Sequence[float]], Sequence[float]] = holm,
) -> list[Contrast]:
    """Every variant against its reference, paired by seed, within each group.

    Args:
        rows: one per run; those without the metric are left out.
        metric: a column.
        variant, reference: the name of a row's variant, and of the variant it is held against.
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
    found = []
    for key, variants in groups.items():
        family: list[tuple[str, list[float], list[float]]] = []
        for name, own in variants.items():
            other = variants.get(references[name])
            if other is None or name == references[name]:
                continue
            seeds = sorted(own.keys() & other.keys())
            if seeds:
                family.append((name, [own[s] for s in seeds], [other[s] for s in seeds]))
        p_values = [paired_p_value(own, other) for _, own, other in family]
        adjusted = correct(as_p_values(p_values))
        for (name, own_values, other_values), p in zip(family, adjusted, strict=True):
            pairs = zip(own_values, other_values, strict=True)
            one = mean_interval([a - b for a, b in pairs])
            found.append(
                Contrast(
                    group=key,
                    what=name,
                    versus=references[name],
                    level=sum(own_values) / len(own_values),
                    mean=one.mean,
                    half=None if one.high is None else one.high - one.mean,
                    n=one.n,
                    p=p,
                )
            )
    return found


MOST_NAMED = 4

READING = (
    "How to read it: points are percentage points; differences are paired by seed ({seeds} seeds) "
    "and stand with their 95 % intervals; above and below mean beyond the noise (paired t-tests at "
    "5 %, Holm-corrected within each world and weighting of the loss); all runs spend equal "
    "rollouts."
)


def sentence(contrasts: Sequence[Contrast], subject: str, unit: str = "points") -> str:
    """What is above, below, or inside the noise of its reference, in each world and weighting."""
    parts = []
    for group in dict.fromkeys(one.group for one in contrasts):
        mine = [one for one in contrasts if one.group == group]
        above = [one for one in mine if one.beyond and one.mean > 0]
        below = [one for one in mine if one.beyond and one.mean < 0]
        inside = [one for one in mine if not one.beyond]
        texts = []
        for kind, members in (("above", above), ("below", below)):
            ranked = sorted(members, key=lambda one: -abs(one.mean))
            shown = ", ".join(f"{_quoted(one.what)} {one.text}" for one in ranked[:MOST_NAMED])
            more = f" and {len(ranked) - MOST_NAMED} more" if len(ranked) > MOST_NAMED else ""
            if ranked:
                texts.append(f"{kind}: {shown}{more}")
        if inside:
            widest = max(inside, key=lambda one: abs(one.mean))
            texts.append(
                f"{len(inside)} of {len(mine)} inside the noise (the largest "
                f"{_quoted(widest.what)} {widest.text})"
            )
        parts.append(f"[{group[0]} world, loss per {group[1]}] " + "; ".join(texts))
    return f"{subject[0].upper()}{subject[1:]} ({unit}): " + ". ".join(parts) + "."


def levels(
    rows: Rows,
    metric: str,
    subject: str,
    *,
    variant: Callable[[Mapping[str, Any]], str],
    scale: float = 100.0,
) -> str:
    """One sentence: the mean of a metric over seeds with its interval, for every variant."""
    groups: dict[tuple[str, str], dict[str, list[float]]] = {}
    for row in rows:
        if row.get(metric) is not None:
            mine = groups.setdefault((row["world"], row["weighting"]), {})
            mine.setdefault(variant(row), []).append(scale * row[metric])
    parts = []
    for (world, weighting), variants in groups.items():
        shown = []
        for name, values in variants.items():
            one = mean_interval(values)
            half = "" if one.high is None else f" ± {one.high - one.mean:.2f}"
            shown.append(f"{_quoted(name)} {one.mean:.2f}{half}")
        parts.append(f"[{world} world, loss per {weighting}] " + ", ".join(shown))
    return f"{subject}: " + ". ".join(parts) + "."


def broken(line: str, mark: str) -> str:
    """A sentence with ``mark`` before each world and weighting that it goes through."""
    return re.sub(r" \[(?=[\w-]+ world, )", f"{mark}[", line)


def _quoted(name: str) -> str:
    return f"({name})" if "," in name else name


def contrast_table(contrasts: Sequence[Contrast], title: str, unit: str = "points") -> Table:
    """Every contrast, one row each."""
    return Table(
        title,
        ("world", "loss per", "variant", "against", "level", f"difference ({unit})", "Holm p"),
        [
            (*one.group, one.what, one.versus, f"{one.level:.2f}", one.text, f"{one.p:.3f}")
            for one in contrasts
        ],
    )


def forest(contrasts: Sequence[Contrast], title: str, unit: str = "points") -> go.Figure:
    """Differences with intervals, a panel per group; hollow where inside the noise."""
    groups = list(dict.fromkeys(one.group for one in contrasts))
    names = list(dict.fromkeys(one.what for one in contrasts))[::-1]
    across = min(2, len(groups))
    down = -(-len(groups) // across)
    height = 160 + 90 * (down - 1) + down * (40 + 22 * len(names))
    figure = make_subplots(
        down, across, shared_yaxes=True, horizontal_spacing=0.04,
        vertical_spacing=90 / height if down > 1 else 0.0,
        subplot_titles=[label(", per ".join(group)) for group in groups],
    )  # fmt: skip
    for place, group in enumerate(groups):
        mine = [one for one in contrasts if one.group == group]
        row, column = divmod(place, across)
        figure.add_trace(
            go.Scatter(
                x=[one.mean for one in mine],
                y=[label(one.what) for one in mine],
                error_x={
                    "type": "data",
                    "array": [one.half or 0.0 for one in mine],
                    "color": AXIS,
                },
                mode="markers",
                marker={
                    "size": 9,
                    "color": [colour_of(one.what.split(",")[0]) for one in mine],
                    "symbol": ["circle" if one.beyond else "circle-open" for one in mine],
                },
                customdata=[[one.text, one.versus, f"{one.p:.3f}"] for one in mine],
                hovertemplate="%{y} minus %{customdata[1]}: %{customdata[0]}, p %{customdata[2]}"
                "<extra></extra>",
                showlegend=False,
            ),
            row=row + 1,
            col=column + 1,
        )
    figure.add_vline(x=0, line={"color": TEXT, "width": 1})
    title = title[0].upper() + title[1:] + "<br><sup>hollow: inside the noise</sup>"
    lay_out(figure, title, height=height)
    figure.update_yaxes(
        type="category", categoryorder="array", categoryarray=[label(name) for name in names]
    )
    figure.update_layout(margin={"t": 100})
    for column in range(1, across + 1):
        figure.update_xaxes(title=unit, row=down, col=column)
    return figure


@dataclass(frozen=True)
class Section:
    """Contrasts of one kind, on their way to an answer."""

    subject: str
    contrasts: list[Contrast]
    unit: str = "points"


def compose(parts: Sequence[Section], *, figures: Sequence[go.Figure] = ()) -> Answer:
    """The answer that contrasts give: a sentence, a table and a figure for each section."""
    used = [part for part in parts if part.contrasts]
    every = [one for part in used for one in part.contrasts]
    above = sum(one.beyond and one.mean > 0 for one in every)
    below = sum(one.beyond and one.mean < 0 for one in every)
    count = (
        f"Of {len(every)} comparisons {above} are above and {below} below their reference beyond "
        f"the noise, {len(every) - above - below} are inside it."
    )
    seeds = sorted({one.n for one in every})
    reading = READING.format(seeds=" to ".join(map(str, seeds[:: len(seeds) - 1 or 1])))
    return Answer(
        [
            count,
            *(sentence(part.contrasts, part.subject, part.unit) for part in used),
            reading,
        ],
        [contrast_table(part.contrasts, part.subject, part.unit) for part in used],
        [*(forest(part.contrasts, part.subject, part.unit) for part in used), *figures],
        {part.subject: [asdict(one) for one in part.contrasts] for part in used},
    )


# --- running and writing ---------------------------------------------------------------------


def claim(study: Study, options: Options, out: Path) -> dict[str, Sweep]:
    """Make the folder of a study, or go on in it; its sweeps, checked and claimed.

    Raises InputError if it holds another study, or anything that is none, and for further
    allocators where the study takes none.
    """
    if options.allocators and not study.open_to_more:
        raise InputError(
            f"study {study.name!r} has its own allocators, got {', '.join(options.allocators)}; "
            "leave --allocators out"
        )
    content = {"study": study.name, **asdict(options)}
    text = json.dumps(content, indent=1, sort_keys=True) + "\n"
    file = out / PLAN
    if file.exists():
        if file.read_text() != text:
            raise InputError(
                f"{out} holds another study ({PLAN} differs); choose another --out, or give the "
                "very same options to go on"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and holds no study; choose another --out")
    planned = study.plan(options)
    for one in planned.values():
        _ = one.num_runs  # every point is checked before anything is made
    out.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        write_atomically(file, text)
    for name, one in planned.items():
        sweeps.claim(one, out / name)
    return planned


def run_study(
    study: Study,
    options: Options,
    out: Path,
    planned: Mapping[str, Sweep],
    *,
    jobs: int | None = None,
    on_finished: Callable[[int], None] = lambda _: None,
) -> tuple[list[dict[str, Any]], Answer]:
    """Do what is missing of a claimed study; its rows, and the answer they give.

    Args:
        study, options, out, planned: as for, and from, ``claim``.
        jobs: processes at a time; the rows of sweeps do not depend on it.
        on_finished: gets the number of runs just stored.
    """
    rows: list[dict[str, Any]] = []
    for name, one in planned.items():
        table = sweeps.run_sweep(
            one, out / name, jobs=jobs, on_finished=on_finished, measure=study.measure
        )
        rows += [{**row, "part": name} for row in table.to_pylist()]
    rows += study.compute(options)
    return rows, study.answer(rows)


def store(
    study: Study, options: Options, out: Path, planned: Mapping[str, Sweep], answer: Answer,
    *, command: str,
) -> list[Path]:  # fmt: skip
    """Write the report (self-contained HTML), the numbers (JSON), and the text (markdown)."""
    facts = _facts(study, options, planned, command)
    content = {
        **facts,
        "notes": list(study.notes),
        "conclusion": answer.conclusion,
        "tables": [asdict(table) for table in answer.tables],
        "numbers": answer.numbers,
    }
    write_atomically(out / NUMBERS, json.dumps(content, indent=1) + "\n")
    write_atomically(out / TEXT_REPORT, markdown(study, answer, facts))
    parts = [_html(study, answer, facts)]
    parts += [drawing(figure) for figure in answer.figures]
    parts += [_html_table(table) for table in answer.tables]
    title = f"Study: {study.name}"
    body = f"<h1>{html.escape(title)}</h1>{''.join(parts)}"
    body += provenance(command, {}, facts["versions"])
    write_atomically(out / REPORT, document(title, body))
    return [out / REPORT, out / NUMBERS, out / TEXT_REPORT]


def _facts(
    study: Study, options: Options, planned: Mapping[str, Sweep], command: str
) -> dict[str, Any]:
    return {
        "study": study.name,
        "question": study.question,
        "command": command,
        "preset": options.preset,
        "versions": own_versions(),
        "seeds": max(
            (one.chosen.get("seeds", options.size.seeds) for one in planned.values()),
            default=options.size.seeds,
        ),
        "runs": sum(one.num_runs for one in planned.values()),
        "settings": {name: one.settings | one.chosen for name, one in planned.items()},
    }


def markdown(study: Study, answer: Answer, facts: Mapping[str, Any]) -> str:
    """The report without its figures."""
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    lines = [
        f"# Study: {study.name}", "", study.question, "",
        f"Made by `{facts['command']}` (preset {facts['preset']}, {facts['runs']} runs, "
        f"{facts['seeds']} seeds; {versions}).", "",
        *("- " + broken(line, "\n  - ") for line in answer.conclusion), "",
    ]  # fmt: skip
    if study.notes:
        lines += [*(f"> {note}" for note in study.notes), ""]
    for table in answer.tables:
        lines += [f"## {table.title}", "", "| " + " | ".join(table.columns) + " |"]
        lines += ["|" + "---|" * len(table.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
        lines += [""]
    return "\n".join(lines)


def _html(study: Study, answer: Answer, facts: Mapping[str, Any]) -> str:
    lines = (broken(html.escape(line), "<br>") for line in answer.conclusion)
    conclusion = "".join(f"<li>{line}</li>" for line in lines)
    notes = "".join(f"<p><em>{html.escape(note)}</em></p>" for note in study.notes)
    settings = html.escape(json.dumps(facts["settings"], indent=1))
    return (
        f"<p><strong>{html.escape(study.question)}</strong></p><ul>{conclusion}</ul>{notes}"
        f"<p>Preset {facts['preset']}, {facts['runs']} runs, {facts['seeds']} seeds. Equal "
        "rollouts in every step of every run.</p>"
        f"<details><summary>Settings</summary><pre>{settings}</pre></details>"
    )


def _html_cell(text: str) -> str:
    """Escaped; what markdown shows bold is bold."""
    bold = text.removeprefix("**").removesuffix("**")
    return html.escape(text) if bold == text else f"<strong>{html.escape(bold)}</strong>"


def _html_table(table: Table) -> str:
    heads = [html.escape(name) for name in table.columns]
    rows = ([_html_cell(cell) for cell in row] for row in table.rows)
    return f"<details><summary>{html.escape(table.title)}</summary>{grid(heads, rows)}</details>"
