"""One self-contained HTML file that shows a comparison: table, verdicts, figures, settings.

The file needs no network: plotly.js is inlined once, and a content security policy forbids the
page to load anything.  Every text that comes from outside is escaped.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import plotly.graph_objects as go
import plotly.io as pio
from plotly.offline import get_plotlyjs

from cobasim.errors import InputError
from cobasim.figures import figures
from cobasim.records import Run, write_atomically
from cobasim.scores import Interval, Row

WEIGHTINGS: Final[dict[str, str]] = {
    "rollout": (
        "every rollout counts the same, so a prompt counts in proportion to its budget "
        "(w_i = B_i / sum B): an allocator that moves rollouts also moves the loss towards the "
        "prompts that get them."
    ),
    "prompt": (
        "every prompt counts the same (w_i = 1 / M) whatever its budget: more rollouts make its "
        "gradient less noisy and more often non-zero, but not larger."
    ),
    "token": (
        "every generated token counts the same, so a prompt counts in proportion to the tokens "
        "of its rollouts: budget and response length both shift the loss."
    ),
}
"""How prompts are weighted in the loss, in words."""

ABSENT: Final = '<span class="absent">–</span>'


# --- cells -----------------------------------------------------------------------------------


def escape(text: object) -> str:
    """Text from outside, safe inside HTML."""
    return html.escape(str(text))


def _percent(value: float | None, digits: int = 1) -> str:
    return ABSENT if value is None else f"{100 * value:.{digits}f}"


def _number(value: float | None, digits: int = 2) -> str:
    return ABSENT if value is None else f"{value:,.{digits}f}"


def _level(interval: Interval | None) -> str:
    """A share as a percentage, with the half width of its interval."""
    if interval is None:
        return ABSENT
    text = f"{100 * interval.mean:.2f}"
    if interval.high is not None:
        text += f'<span class="pm">± {100 * (interval.high - interval.mean):.2f}</span>'
    return text


def _difference(interval: Interval | None) -> str:
    """A difference in percentage points with its interval; bold where that excludes zero."""
    if interval is None:
        return ABSENT
    text = _signed(interval.mean)
    if interval.low is None or interval.high is None:
        return text
    if interval.low > 0 or interval.high < 0:
        text = f"<b>{text}</b>"
    return f'{text}<span class="pm">[{_signed(interval.low)}, {_signed(interval.high)}]</span>'


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _signed(share: float) -> str:
    return f"{100 * share:+.2f}".replace("-", "−")


def _reach(row: Row) -> str:
    if row.rollouts_to_baseline is None:
        return "not reached" if row.reached_baseline == 0 else ABSENT
    text = f"{_compact(row.rollouts_to_baseline)}"
    if row.reached_baseline is not None and row.reached_baseline < 1:
        text += f'<span class="pm">{100 * row.reached_baseline:.0f} % of seeds</span>'
    return text


def _compact(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


@dataclass(frozen=True)
class _Column:
    head: str
    unit: str
    cell: Callable[[Row], str]


_HEADLINE: Final = (
    _Column("final held-out", "%", lambda row: _level(row.heldout)),
    _Column(
        "minus {baseline}",
        "points, 95 %",
        lambda row: "baseline" if row.baseline else _difference(row.heldout_difference),
    ),
    _Column("rollouts to {baseline}’s final", "", _reach),
)
_FURTHER: Final = (
    _Column("hard set", "%", lambda row: _level(row.hard)),
    _Column("area under curve", "%", lambda row: _level(row.auc)),
    _Column(
        "area minus {baseline}",
        "points, 95 %",
        lambda row: "baseline" if row.baseline else _difference(row.auc_difference),
    ),
    _Column("effective groups", "%", lambda row: _percent(row.effective_ratio)),
    _Column("never mixed", "% of prompts", lambda row: _percent(row.never_mixed)),
    _Column("budget Gini", "0 to 1", lambda row: _number(row.budget_gini)),
    _Column("allocation", "ms a step", lambda row: _number(row.allocate_ms, 3)),
    _Column("rollouts", "a run", lambda row: _compact(row.rollouts)),
)


def _table(rows: Sequence[Row], chosen: Sequence[_Column], weightings: Sequence[str]) -> str:
    """Render allocators as rows and, for each weighting, the chosen columns side by side."""
    cells = {(row.weighting, row.allocator): row for row in rows}
    baseline = next((row.allocator for row in rows if row.baseline), "baseline")
    allocators = list(dict.fromkeys(row.allocator for row in rows if row.weighting in weightings))
    groups = "".join(
        f'<th colspan="{len(chosen)}" class="group">weighted per {escape(name)}</th>'
        for name in weightings
    )
    heads = "".join(
        f"<th{_edge(number)}>{escape(column.head.format(baseline=baseline))}"
        f'<span class="unit">{escape(column.unit)}</span></th>'
        for _ in weightings
        for number, column in enumerate(chosen)
    )
    body = []
    for name in allocators:
        found = [row for row in (cells.get((w, name)) for w in weightings) if row is not None]
        mark = '<span class="tag">oracle</span>' if found[0].oracle else ""
        swatch = f'<i class="swatch" style="background:{figures.colour_of(name)}"></i>'
        line = "".join(
            f"<td{_edge(number)}>{ABSENT if row is None else column.cell(row)}</td>"
            for row in (cells.get((w, name)) for w in weightings)
            for number, column in enumerate(chosen)
        )
        kind = ' class="oracle"' if found[0].oracle else ""
        body.append(f'<tr{kind}><th scope="row">{swatch}{escape(name)}{mark}</th>{line}</tr>')
    return (
        '<div class="scroll"><table><thead>'
        f'<tr><th rowspan="2" class="name">allocator</th>{groups}</tr><tr>{heads}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _edge(number: int) -> str:
    return ' class="edge"' if number == 0 else ""


# --- figures ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Panel:
    head: str
    caption: str
    draw: Callable[[Sequence[Run]], go.Figure]
    wide: bool = False


_PANELS: Final = (
    _Panel(
        "Difference to {baseline} along the way",
        "Accuracy minus {baseline}’s of the same seed at equal rollouts. A band that stays clear "
        "of the zero line is a difference beyond the noise: pairing removes what seeds share.",
        figures.difference_to_baseline,
    ),
    _Panel(
        "Held-out accuracy",
        "Mean over seeds with 95 % bands. Curves at the same abscissa have cost the same rollouts; "
        "bands overlap even where paired differences are clear, so judge by the figure above.",
        figures.accuracy,
    ),
    _Panel(
        "Hard-set accuracy",
        "The same on the harder held-out prompts. Look whether what helps on average is paid for "
        "by the hard ones.",
        lambda runs: figures.accuracy(runs, "hard"),
    ),
    _Panel(
        "Effective gradients",
        "Share of groups with both a success and a failure: all others have no gradient. Compare "
        "with accuracy: more effective groups are not always better ones.",
        figures.effective_gradients,
    ),
    _Panel(
        "Alpha over time",
        "The first shape of the preference density. High alpha sends rollouts to prompts that are "
        "nearly solved (exploit), low alpha to hard ones (explore). Flat lines are fixed shapes.",
        figures.alpha_over_time,
    ),
    _Panel(
        "Budgets by estimated pass rate",
        "Where the rollouts went, early, middle and late. The peak shows which difficulty an "
        "allocator prefers; the ends show what it leaves to prompts that it takes for solved or "
        "hopeless.",
        figures.budgets_by_pass_rate,
        wide=True,
    ),
    _Panel(
        "Difficulty classes, first to last",
        "Of the training prompts that began in a class (row), the share that ended in each class "
        "(column), in %. Right of the diagonal: learned; left of it: forgotten.",
        figures.transition_matrices,
        wide=True,
    ),
)


def draw(figure: go.Figure) -> str:
    """Render a figure as a div without plotly.js; its title is left to the page."""
    figure.update_layout(title=None, margin={"t": max(figure.layout.margin.t - 36, 16)})
    rendered: str = pio.to_html(
        figure,
        full_html=False,
        include_plotlyjs=False,
        default_width="100%",
        config={"responsive": True, "displaylogo": False, "modeBarButtonsToRemove": ["lasso2d"]},
    )
    return rendered


def _figures(runs: Sequence[Run], rows: Sequence[Row], weightings: Sequence[str]) -> str:
    """Render every figure that the runs have data for, weightings side by side."""
    baseline = next((row.allocator for row in rows if row.baseline), None)
    parts = []
    if any(row.heldout_difference is not None for row in rows):
        parts.append(
            section(
                f"Final difference to {escape(baseline)}",
                "Final held-out accuracy minus the baseline’s, with 95 % intervals paired by seed. "
                "An interval that crosses zero is inside the noise. Open markers are oracles.",
                [("", draw(figures.final_differences(rows)))],
            )
        )
    for panel in _PANELS:
        drawn = []
        for weighting in weightings:
            chosen = [run for run in runs if run.header.weighting == weighting]
            try:
                figure = (
                    figures.difference_to_baseline(chosen, baseline)
                    if panel is _PANELS[0] and baseline is not None
                    else panel.draw(chosen)
                )
            except InputError:  # nothing of this kind was measured
                continue
            drawn.append((f"weighted per {escape(weighting)}", draw(figure)))
        if drawn:
            name = escape(baseline or "baseline")
            parts.append(
                section(
                    panel.head.format(baseline=name),
                    panel.caption.format(baseline=name),
                    drawn,
                    wide=panel.wide,
                )
            )
    return "".join(parts)


def drawing(figure: go.Figure) -> str:
    """A section with a figure under its own title, which is HTML already."""
    title = figure.layout.title.text or ""
    return section(title, "", [("", draw(figure))])


def section(head: str, caption: str, drawn: Iterable[tuple[str, str]], wide: bool = False) -> str:
    """A heading, a caption (both HTML), and drawn figures with their names (HTML too)."""
    items = "".join(
        f"<figure>{f'<h3>{name}</h3>' if name else ''}{picture}</figure>" for name, picture in drawn
    )
    kind = "row wide" if wide else "row one" if items.count("<figure>") == 1 else "row"
    return f'<section><h2>{head}</h2><p>{caption}</p><div class="{kind}">{items}</div></section>'


# --- the page --------------------------------------------------------------------------------


def definitions(settings: Mapping[str, Any]) -> str:
    """Names and values as a list of definitions; escaped here."""
    lines = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_value(value))}</dd>"
        for name, value in settings.items()
    )
    return f"<dl>{lines}</dl>"


def _value(value: Any) -> str:
    if isinstance(value, (Mapping, list, tuple)):
        return json.dumps(value, default=str, ensure_ascii=False)
    return "not set" if value is None else str(value)


def _versions(runs: Sequence[Run]) -> dict[str, str]:
    """Collect the versions that wrote the runs; several are listed."""
    found: dict[str, dict[str, None]] = {}
    for run in runs:
        for name, version in run.header.versions.items():
            found.setdefault(name, {})[str(version)] = None
    return {name: ", ".join(versions) for name, versions in found.items()}


def write_report(
    path: str | os.PathLike[str],
    runs: Sequence[Run],
    rows: Sequence[Row],
    *,
    title: str,
    settings: Mapping[str, Any],
    verdicts: Mapping[str, str],
    command: str,
) -> Path:
    """Write a comparison as one HTML file, atomically; returns its path.

    rows and verdicts: from ``scores.comparison_table`` and ``scores.verdict`` over ``runs``.
    settings: names and values to show; command: what was run.  Raises ValueError for no runs or
    rows, OSError (with the path) if the file cannot be written.
    """
    if not runs or not rows:
        raise InputError("there is nothing to report; give at least one run and its rows")
    weightings = list(dict.fromkeys(row.weighting for row in rows))
    file = Path(path)
    page = _page(runs, rows, weightings, title, settings, verdicts, command)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, page)
    return file


def _page(
    runs: Sequence[Run],
    rows: Sequence[Row],
    weightings: Sequence[str],
    title: str,
    settings: Mapping[str, Any],
    verdicts: Mapping[str, str],
    command: str,
) -> str:
    sentences = "".join(
        f'<div class="verdict"><h3>weighted per {escape(name)}</h3><p>{escape(text)}</p></div>'
        for name, text in verdicts.items()
    )
    meanings = "".join(
        f"<li><b>Weighted per {escape(name)}</b>: "
        f"{escape(WEIGHTINGS.get(name, 'as the learner that wrote the runs defines it.'))}</li>"
        for name in weightings
    )
    counts = [len(row.seeds) for row in rows]
    seeds = _count(max(counts), "seed")
    if min(counts) != max(counts):
        seeds = f"{min(counts)} to {seeds}"
    allocators = len({row.allocator for row in rows})
    created = max(run.header.created for run in runs)
    baseline = escape(next((row.allocator for row in rows if row.baseline), "the baseline"))
    oracle = (
        "<li><b>Oracles</b> were shown the true pass rates, which no real training knows: they "
        "are a reference and do not compete.</li>"
        if any(row.oracle for row in rows)
        else ""
    )
    further = "".join(_table(rows, _FURTHER, [name]) for name in weightings)
    body = f"""<h1>{escape(title)}</h1>
<p class="lead">{_count(allocators, "allocator")}, {seeds} each, {_count(len(runs), "run")};
the last was started {escape(created)}.</p>
<div class="verdicts">{sentences}</div>
<h2>Result</h2>
{_table(rows, _HEADLINE, weightings)}
<p class="note">Means over seeds with 95 % Student-t intervals; differences are paired by seed and
bold where their own interval excludes zero. With several allocators some such differences arise by
chance: the verdicts above correct for that. “Rollouts to {baseline}’s final” is what a run needed
to reach the accuracy at which {baseline} ended with the same seed.</p>
<h2>How prompts were weighted in the loss</h2>
<ul>{meanings}{oracle}</ul>
<h2>Further scores</h2>
{further}
<p class="note">Area under curve: mean held-out accuracy over the rollouts spent. Effective groups:
those with both a success and a failure. Never mixed: prompts visited but never seen with both.
Budget Gini: 0 if all prompts get the same.</p>
{_figures(runs, rows, weightings)}
{provenance(command, settings, _versions(runs))}"""
    return document(title, body)


def document(title: str, body: str) -> str:
    """A whole page around a body (HTML): style, plotly.js once, and a ban on loading anything."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(title)}</title>
<style>{_STYLE}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def provenance(command: str, settings: Mapping[str, Any], versions: Mapping[str, str]) -> str:
    """The last section of every page: command, settings and versions."""
    return f"""<section><h2>Settings</h2>
<pre><code>{escape(command)}</code></pre>
{definitions(settings)}
<h3>Versions</h3>
{definitions(versions)}</section>"""


def grid(heads: Sequence[str], rows: Iterable[Sequence[str]], groups: str = "") -> str:
    """A plain table of cells (HTML): the first of each row is its name; ``groups``: a row above."""
    top = "".join(f'<th class="name">{head}</th>' for head in heads[:1])
    top += "".join(f"<th>{head}</th>" for head in heads[1:])
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return (
        f'<div class="scroll"><table><thead>{groups}<tr>{top}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


_POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:"
)

_STYLE: Final = """
:root { color-scheme: light dark; --back: #ffffff; --text: #1d2330; --soft: #5b6472;
  --line: #d9dee6; --card: #f5f7fa; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --back: #12151b; --text: #e6e9ef; --soft: #9aa4b2;
  --line: #2e3541; --card: #1a1f28; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 24px clamp(14px, 3vw, 40px) 64px; }
a { color: var(--accent); }
h1 { font-size: 1.75rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.25rem; margin: 40px 0 8px; }
h3 { font-size: .82rem; margin: 0 0 4px; color: var(--soft); font-weight: 600;
  letter-spacing: .03em; text-transform: uppercase; }
p, ul { max-width: 80ch; margin: 8px 0; }
ul { padding-left: 1.2em; }
.lead, .note { color: var(--soft); }
.note { font-size: .875rem; }
.verdicts { display: grid; gap: 14px; margin: 20px 0 0;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); }
.verdict { background: var(--card); border-left: 4px solid var(--accent); border-radius: 6px;
  padding: 12px 16px; }
.verdict p { margin: 0; }
.scroll { margin: 0 0 14px; overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: collapse; width: 100%; font-size: .875rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: 7px 12px; text-align: right; vertical-align: baseline; }
thead th { background: var(--card); font-weight: 600; vertical-align: bottom; min-width: 84px; }
thead .group { text-align: center; border-left: 1px solid var(--line); }
tbody tr { border-top: 1px solid var(--line); }
tbody tr:hover td { background: var(--card); }
tbody th, thead .name { text-align: left; font-weight: 600; white-space: nowrap; position: sticky;
  left: 0; background: var(--back); z-index: 1; }
thead .name { background: var(--card); }
td { white-space: nowrap; }
@media (max-width: 640px) { tbody th { white-space: normal; min-width: 96px; max-width: 38vw; } }
.edge { border-left: 1px solid var(--line); }
.unit { display: block; font-weight: 400; color: var(--soft); font-size: .78rem; }
.pm { color: var(--soft); font-size: .8rem; margin-left: .45em; }
.absent { color: var(--soft); }
.swatch { display: inline-block; width: 10px; height: 10px; border-radius: 2px;
  margin-right: 8px; }
.oracle .swatch { opacity: .55; }
.tag { font-size: .7rem; font-weight: 400; color: var(--soft); border: 1px solid var(--line);
  border-radius: 4px; padding: 0 5px; margin-left: 8px; }
.row { display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 480px), 1fr)); }
.row.wide, .row.one { grid-template-columns: minmax(0, 1fr); }
figure { margin: 12px 0 0; min-width: 0; }
.wide figure { overflow-x: auto; }
figure h3 { padding-left: 4px; }
.wide .plotly-graph-div { min-width: 720px; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 3px 20px;
  font-size: .9rem; margin: 8px 0 20px; }
dt { color: var(--soft); }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--card); padding: 12px 16px; border-radius: 6px; overflow-x: auto; }
.main-svg .infolayer text, .main-svg [class*="axislayer"] text { fill: var(--text) !important; }
.main-svg .legendtoggle { fill: transparent !important; }
"""
