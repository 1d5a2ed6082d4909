"""The report of a reproduction: the paper's numbers beside the simulation's, on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from cobasim import figures
from cobasim.allocation import Limits, Observation
from cobasim.difficulty import DIFFICULTY_CLASSES
from cobasim.errors import InputError
from cobasim.experiments.reproduction import agreement, paper
from cobasim.experiments.reproduction.reproduction import (
    ABLATIONS,
    BASE,
    MODELS,
    SIGNALS,
    SPENDERS,
    Table,
    stages,
)
from cobasim.records import write_atomically
from cobasim.report import ABSENT, WEIGHTINGS, definitions, document, draw, escape, grid, provenance
from cobasim.report import section as figure_section
from cobasim.scores import LEVEL
from cobasim.streams import stream
from cobasim.whatif import what_if
from cobasim.world import draw_pass_rates

Combination = tuple[str, str]  # world, weighting

_MARKS: Final = {
    agreement.AGREES: ("#009e73", "✓"),
    agreement.DISAGREES: ("#d55e00", "✗"),
    agreement.NOISE: ("#8c8c8c", "·"),
}
"""Colour (Okabe and Ito) and sign of a status; the word is always beside them."""


# --- cells -----------------------------------------------------------------------------------


def _combinations(content: Mapping[str, Any]) -> list[Combination]:
    first = next(iter(content["results"].values()))["simulated"]
    return [(world, weighting) for world, found in first.items() for weighting in found]


def _head(one: Combination) -> str:
    return f'{escape(one[0])}<span class="unit">loss per {escape(one[1])}</span>'


def _number(value: float | None, digits: int = 2, sign: str = "") -> str:
    return ABSENT if value is None else f"{value:{sign}.{digits}f}".replace("-", "−")


def _interval(one: Mapping[str, Any] | None, sign: str = "", digits: int = 2) -> str:
    if one is None:
        return ABSENT
    text = _number(one["mean"], digits, sign)
    if one["high"] is not None:
        text += f'<span class="pm">± {one["high"] - one["mean"]:.{digits}f}</span>'
    return text


def _status(status: str) -> str:
    colour, sign = _MARKS[status]
    return f'<span class="unit"><b style="color:{colour}">{sign}</b> {escape(status)}</span>'


def _judged(one: Mapping[str, Any]) -> str:
    return _interval(one, "+") + _status(one["status"])


def _name(text: str) -> str:
    swatch = ""
    if text in figures.STYLES:
        swatch = f'<i class="swatch" style="background:{figures.colour_of(text)}"></i>'
    return swatch + escape(text)


# --- sections --------------------------------------------------------------------------------


def _summary(content: Mapping[str, Any], combinations: Sequence[Combination]) -> str:
    cells = {(r["result"], r["world"], r["weighting"]): r["words"] for r in content["summary"]}
    rows = [
        [
            _link(key, result["title"]),
            *(_lines(cells[key, *one]) for one in combinations),
        ]
        for key, result in content["results"].items()
    ]
    times = content["table-4"]
    ratio = times["dp over heap"]
    rows.append(
        [
            _link("table-4", times["title"]),
            f"dp / heap: {ratio['here']:.0f}<br>paper: {ratio['paper']:.0f}"
            + _status(times["status"]),
            *(ABSENT for _ in combinations[1:]),
        ]
    )
    lines = "".join(f"<li>{escape(text)}</li>" for text in content["headline"])
    return (
        f"<h2>Summary</h2><ul>{lines}</ul>"
        + grid(["table or figure", *map(_head, combinations)], rows)
        + '<p class="note">Claims are pairs (“coba above uniform”): paired t-tests over seeds, '
        "Holm-corrected over the claims of one table in one world under one weighting, 5 %. tau: "
        "Kendall’s tau between the paper’s order and the simulation’s (1: the same, −1: reversed), "
        "within each model, budget or class, averaged. The paper reports one training run per "
        "number, without intervals: its own small differences may be noise.</p>"
    )


def _link(key: str, title: str) -> str:
    name, _, what = title.partition(": ")
    return f'<a href="#{escape(key)}">{escape(name)}</a><span class="unit">{escape(what)}</span>'


def _lines(words: str) -> str:
    return "<br>".join(escape(part) for part in words.replace("; ", ", ").split(", "))


def _result(key: str, content: Mapping[str, Any], combinations: Sequence[Combination]) -> str:
    found = content["results"][key]
    cells = {
        (world, weighting, cell["group"], cell["entry"]): cell
        for world, weighting in combinations
        for cell in found["simulated"][world][weighting]["cells"]
    }
    several = len({row["group"] for row in found["paper"]}) > 1
    rows = [
        [
            (f"{escape(row['group'])}, " if several else "") + _name(row["entry"]),
            _number(row["value"]),
            *(_interval(cells.get((*one, row["group"], row["entry"]))) for one in combinations),
        ]
        for row in found["paper"]
    ]
    orders = [found["simulated"][world][weighting]["order"] for world, weighting in combinations]
    taus = [
        ABSENT
        if order is None
        else _number(order["tau"], 2, "+")
        + ("" if order["seeds"] is None else f'<span class="pm">{_over_seeds(order)}</span>')
        for order in orders
    ]
    rows.append(["Kendall’s tau to the paper", ABSENT, *taus])
    claims: dict[str, dict[Combination, Mapping[str, Any]]] = {}
    for one in combinations:
        for claim in found["simulated"][one[0]][one[1]]["claims"]:
            claims.setdefault(claim["claim"], {})[one] = claim
    claim_rows = [
        [
            escape(text),
            _number(next(iter(by.values()))["paper"], 2, "+"),
            *(_judged(by[one]) if one in by else ABSENT for one in combinations),
        ]
        for text, by in claims.items()
    ]
    heads = [f"paper<span class='unit'>{paper.SOURCE}</span>", *map(_head, combinations)]
    picture = (
        f'<div class="row wide"><figure>{draw(beside_figure(found, combinations))}</figure></div>'
    )
    return (
        f'<section id="{escape(key)}"><h2>{escape(found["title"])}</h2>'
        f"<p>{escape(found['unit'].capitalize())}. {_NOTES.get(key, '')}</p>"
        + grid(["", *heads], rows)
        + grid(["claim: difference", *heads], claim_rows)
        + (
            '<p class="note">The figure shows accuracies minus the mean of their group in the same '
            "seed: seeds differ in their prompts far more than allocators within a seed.</p>"
            if found["unit"] == paper.ACCURACY
            else ""
        )
        + picture
        + "</section>"
    )


def _over_seeds(order: Mapping[str, Any]) -> str:
    one = order["seeds"]
    return f"single seeds {one['mean']:+.2f}".replace("-", "−")


_NOTES: Final = {
    "table-1": "The four models are four populations and learning rates of the world (see "
    "Settings): levels cannot be compared with the paper’s, orders and gains can.",
    "table-2": "exploit → explore is coba, explore → exploit is coba-explore-first.",
    "table-3": "Fixed shapes and a schedule against the adaptive preference.",
    "figure-4": "The paper’s numbers are derived here: where its density Beta(alpha, 11 − alpha) "
    "is largest, from the alphas it reports. Simulated: the pass-rate bin with the largest mean "
    "budget; early is the first stage after every prompt was seen once.",
    "figure-5": "Simulated runs start at a lower failure rate and end higher than the paper’s, so "
    "alpha moves less; what is compared is that it falls.",
    "figure-6": "Does CoBA on half the budget reach GRPO on the whole? Both budgets for the same "
    "number of steps, as in the paper. The order is within a budget; the first claim crosses.",
    "figure-7": "From the class at the start to extremely easy at the end, training prompts. The "
    "paper measures p = 1 with 16 rollouts; here a true rate of at least 31/32 counts as that.",
    "figure-8": "“About as good” is tested: the difference to kappa 11 must lie within the same "
    "share of |CoBA − GRPO| as the paper’s own largest deviation (28 %); two one-sided tests.",
}


def beside_figure(found: Mapping[str, Any], combinations: Sequence[Combination]) -> go.Figure:
    """The paper's numbers and the simulation's with 95 % intervals, one panel each, own scales.

    Accuracies are drawn minus the mean of their group in the same seed.
    """
    centre = found["unit"] == paper.ACCURACY
    entries = [(row["group"], row["entry"]) for row in found["paper"]]
    several = len({group for group, _ in entries}) > 1
    names = [f"{group}, {entry}" if several else entry for group, entry in entries]
    titles = ["paper", *(f"{world}<br>per {weighting}" for world, weighting in combinations)]
    figure = make_subplots(
        rows=1, cols=len(titles), shared_yaxes=True, subplot_titles=titles, horizontal_spacing=0.02
    )
    for column in range(len(titles)):
        if column == 0:
            column_of = "centred" if centre else "value"
            cells = {(r["group"], r["entry"]): (r[column_of], None) for r in found["paper"]}
        else:
            world, weighting = combinations[column - 1]
            cells = {
                (c["group"], c["entry"]): (
                    one["mean"],
                    None if one["high"] is None else one["high"] - one["mean"],
                )
                for c in found["simulated"][world][weighting]["cells"]
                for one in (c["centred"] if centre else c,)
            }
        known = [(name, case) for name, case in zip(names, entries, strict=True) if case in cells]
        halves = [cells[case][1] or 0.0 for _, case in known]
        figure.add_trace(
            go.Scatter(
                x=[cells[case][0] for _, case in known],
                y=[name for name, _ in known],
                error_x={"type": "data", "array": halves, "color": figures.AXIS},
                mode="markers",
                marker={
                    "color": [figures.colour_of(_allocator(case)) for _, case in known],
                    "symbol": [figures.marker_of(_allocator(case)) for _, case in known],
                    "size": 9,
                },
                customdata=halves,
                hovertemplate="%{y}: %{x:.2f} ± %{customdata:.2f}<extra></extra>",
                showlegend=False,
            ),
            row=1,
            col=column + 1,
        )
    figure.update_yaxes(autorange="reversed", type="category")
    figures.lay_out(figure, found["title"], height=190 + 26 * len(names))
    return figure.update_layout(margin={"t": 100})


def _allocator(case: paper.Case) -> str:
    for text in case[::-1]:
        if text in figures.STYLES:
            return text
    return paper.COBA


def _run_figures(
    table: Table, combinations: Sequence[Combination], head: str, caption: str, kind: str
) -> str:
    """A figure of the thinned reference runs in each world under each weighting."""
    drawn = []
    for world, weighting in combinations:
        names = [paper.COBA, paper.MIRRORED] if kind == "alpha" else list(SPENDERS)
        runs = [
            run for name in names for run in table.runs(world, weighting, paper.REFERENCE, name)
        ]
        try:
            if kind == "alpha":
                figure = figures.alpha_over_time(runs)
            elif kind == "budgets":
                steps = list(dict.fromkeys(step.step for step in stages(runs[-1])))
                figure = figures.budgets_by_pass_rate(runs, steps=steps, window=0)
            else:
                figure = figures.transition_matrices(runs)
        except InputError:  # nothing of this kind was recorded
            continue
        drawn.append((f"{escape(world)} world, loss per {escape(weighting)}", draw(figure)))
    return figure_section(head, caption, drawn, wide=kind != "alpha") if drawn else ""


def _table_4(content: Mapping[str, Any]) -> str:
    found = content["table-4"]
    rows = [
        [
            escape(solver),
            _number(found["paper"].get(solver), 3),
            f"{seconds:.5f}",
        ]
        for solver, seconds in found["seconds"].items()
    ]
    return (
        f'<section id="table-4"><h2>{escape(found["title"])}</h2>'
        f"<p>{found['prompts']} prompts, {found['rollouts']} rollouts, value function included. "
        f"{escape(found['words'])}</p>"
        + grid(["solver", "paper<span class='unit'>seconds</span>",
                "here<span class='unit'>seconds</span>"], rows)
        + "</section>"
    )  # fmt: skip


def _shapes(content: Mapping[str, Any]) -> str:
    rows = [
        [f"{row['failure rate']:.3f}", _number(row["paper"]), _number(row["formula"])]
        for row in content["alphas"]
    ]
    found = content["peak budget"]
    low, high = found["paper"]
    simulated = "; ".join(
        f"{escape(world)}, per {escape(weighting)}: {one['mean']:.0f}"
        + ("" if one["high"] is None else f" ± {one['high'] - one['mean']:.0f}")
        for world, by in found["simulated"].items()
        for weighting, one in by.items()
    )
    return (
        "<section><h2>Alpha by the formula, and the largest budget</h2><p>Equations 6 and 7 at the "
        "failure rates of Figure 4’s panels, no simulation. The paper’s failure rates are rounded."
        "</p>"
        + grid(["failure rate", "paper’s alpha", "formula"], rows)
        + f"<p>Largest budget of a prompt in a run of coba: {low} to {high} in the paper’s "
        f"Figure 4; {simulated} rollouts here (at most {content['preset']['high']}).</p></section>"
    )


def _reasons(content: Mapping[str, Any], combinations: Sequence[Combination]) -> str:
    parts = []
    for world, weighting in combinations:
        found = content["reasons"][world][weighting]
        failing = [row for row in found if row["status"] == agreement.DISAGREES]
        unclear = [row for row in found if row["status"] == agreement.NOISE]
        holding = [row for row in found if row["status"] == agreement.AGREES]
        lists = "".join(
            f"<p><b>{text}</b></p><ul>"
            + "".join(f"<li><b>{_short(r['claim'])}</b>: {escape(r['words'])}</li>" for r in rows)
            + "</ul>"
            for text, rows in (
                ("Not reproduced", failing),
                ("Not told from noise", unclear),
                ("Reproduced, and what would turn it", holding),
            )
            if rows
        )
        parts.append(
            f"<h3>{escape(world)} world, loss weighted per {escape(weighting)}</h3>{lists}"
        )
    heads = ["made to agree", "made to disagree", "nearer", "further"]
    cells: dict[str, dict[Combination, str]] = {}
    for row in content["conditions"]:
        text = f"{row[agreement.AGREES]}"
        text += f'<span class="unit">{row[agreement.DISAGREES]} disagree</span>'
        cells.setdefault(row["condition"], {})[row["world"], row["weighting"]] = text
    overview = [[escape(name), *(by[one] for one in combinations)] for name, by in cells.items()]
    counted = [
        [
            escape(row["reason"]),
            *(ABSENT if row[name] is None else str(row[name]) for name in heads),
        ]
        for row in content["reason counts"]
    ]
    return (
        '<section id="reasons"><h2>What is not reproduced, and what would change it</h2>'
        "<p>Every claim of Tables 1 to 3 on the reference model that involves CoBA or plain GRPO, "
        "with the suspected reasons tested by runs (table below), each alone. A reason that "
        "changes nothing is said as plainly as one that does. “Nearer” and “turns” are tests "
        "over seeds, Holm-corrected; nearer is measured in units of uniform’s rise over the run, "
        "so that a world that only moves less does not count. That a change brings a claim nearer "
        "makes it a candidate, not the cause in the paper’s models.</p>"
        + grid(["condition: claims that agree", *map(_head, combinations)], overview)
        + grid(["tested reason: claims", *heads], counted)
        + "".join(parts)
        + "</section>"
    )


def _short(claim: str) -> str:
    return escape(claim.removeprefix(f"{paper.REFERENCE}: "))


def _ablations(content: Mapping[str, Any], combinations: Sequence[Combination]) -> str:
    parts = []
    for world, weighting in combinations:
        found = content["ablations"][world][weighting]
        rows = [
            [
                "rise of uniform over the run",
                *(_interval(found[name]["rise"], "+") for name in found),
            ]
        ]
        for place, base in enumerate(found[BASE]["claims"]):
            share = f"{_number(base['share'], 0, '+')} %"
            cells = [_judged(base) + f'<span class="unit">{share}</span>']
            for name in list(found)[1:]:
                one = found[name]["claims"][place]
                p = one["change"]["p_value"]
                clear = p is not None and p < LEVEL
                share = f"{_number(one['share'], 0, '+')} %"
                shift = share + f", change {_number(one['change']['mean'], 0, '+')} %"
                cells.append(
                    _judged(one)
                    + f'<span class="unit">{f"<b>{shift}</b>" if clear else shift}</span>'
                )
            rows.append([_short(base["claim"]), *cells])
        parts.append(
            f"<h3>{escape(world)} world, loss weighted per {escape(weighting)}</h3>"
            + grid(["left minus right, points", *map(escape, found)], rows)
        )
    questions = definitions({one.name: one.question for one in ABLATIONS})
    return (
        '<section id="ablations"><h2>Suspected reasons, tested</h2>'
        + questions
        + "<p>Each column changes one thing. Below the difference in points stand the same in % of "
        "uniform’s rise over the run, and its change against the first column: paired by seed, "
        "bold where it is beyond the noise (Holm over all changes of a table).</p>"
        + "".join(parts)
        + "</section>"
    )


def _loss(content: Mapping[str, Any]) -> str:
    found = content["loss weighting"]
    names = [*DIFFICULTY_CLASSES, *SIGNALS]
    rows = [
        [
            f"{_name(row['allocator'])}, per {escape(row['weighting'])}",
            *(_interval(row.get(name), digits=3) for name in names),
        ]
        for row in found["pulls"]
    ]
    units = [f'{name}<span class="unit">M w E[u], mean of the class</span>' for name in names[:5]]
    units += [f'{name}<span class="unit">uniform = 1</span>' for name in SIGNALS]
    parts = ["both", "budgets only", "weights only", "together"]
    gains, words = [], []
    for world, by_name in found["decomposition"].items():
        for name, one in by_name.items():
            cells = [_interval(one[part], "+") + _status_of_gain(one[part]) for part in parts]
            gains.append([f"{escape(world)}, {_name(name)}", *cells])
            words.append(f"<li>{escape(world)} world: {escape(one['words'])}</li>")
    heads = [
        'both<span class="unit">its budgets, its weights: per rollout</span>',
        'budgets only<span class="unit">every prompt counts alike: per prompt</span>',
        'weights only<span class="unit">uniform budgets, its weights in the loss</span>',
        'together<span class="unit">both minus the two alone</span>',
    ]
    meanings = "".join(
        f"<li><b>Loss per {escape(name)}</b>: {escape(WEIGHTINGS[name])}</li>"
        for name in _weightings(content)
    )
    return (
        '<section id="loss"><h2>The weighting of the loss</h2>'
        f"<ul>{meanings}</ul><p>Public code of such allocators averages over tokens, which is "
        "closest to per rollout.</p><p>Why the order turns with the weighting, from the expected "
        "update: "
        "a group’s expected move E[u] of its prompt’s logit hardly grows with its budget once both "
        "outcomes are likely, so rollouts beyond that buy little signal and less noise. Under the "
        "per-rollout mean a large budget also multiplies the prompt’s weight w. Budgets here know "
        "the true pass rates of the batch; no training is involved.</p>"
        + grid(["allocator, loss", *units], rows)
        + f"<p>{escape(found['words'])}</p>"
        + _pull_figures(content)
        + "<h3>Where the gain comes from: rollouts or weights</h3><p>Final held-out accuracy minus "
        "uniform’s, points. Weights and budgets are taken apart: the loss can weigh prompts as if "
        "another allocator had spent the rollouts.</p>"
        + grid(["world, allocator", *heads], gains)
        + f"<ul>{''.join(words)}</ul></section>"
    )


def _weightings(content: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(weighting for _, weighting in _combinations(content)))


def _status_of_gain(one: Mapping[str, Any]) -> str:
    clear = one["p_value"] is not None and one["p_value"] < LEVEL
    text = ("above" if one["mean"] > 0 else "below") + " zero" if clear else agreement.NOISE
    return f'<span class="unit">{text}</span>'


def _pull_figures(content: Mapping[str, Any]) -> str:
    size = content["preset"]["batch_size"]
    p = draw_pass_rates(stream(0, 0), size, "math")
    obs = Observation(p, np.full(size, 1e6), 1.0 - float(p.mean()))
    limits = Limits(16 * size, content["preset"]["low"], content["preset"]["high"])
    outcomes = what_if(obs, limits, SPENDERS)
    drawn = "".join(
        f"<figure><h3>one batch, loss per {escape(weighting)}</h3>"
        f"{draw(figures.pulls(outcomes, obs, weighting))}</figure>"
        for weighting in _weightings(content)
    )
    return f'<div class="row">{drawn}</div>'


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    preset = content["preset"]
    models = {
        f"model {name}": (
            f"population {model.population}, learning rate × {model.rate:g}: {model.why}"
        )
        for name, model in MODELS.items()
    }
    return {
        "prompts in a step, M": preset["batch_size"],
        "rollouts in a step": f"{16 * preset['batch_size']} (half: {8 * preset['batch_size']})",
        "bounds": f"{preset['low']} to {preset['high']}",
        "pool of prompts": preset["num_prompts"],
        "held-out prompts": preset["num_heldout"],
        "steps": preset["steps"],
        "seeds": content["seeds"],
        "runs": content["runs"],
        "learning rates": {
            world: f"{rate:.4g} (the world’s default × 500 / steps, so that Adam’s path is as long "
            "as in the paper’s 500 steps)"
            for world, rate in content["learning rates"].items()
        },
        **models,
    }


def page(content: Mapping[str, Any], table: Table) -> str:
    """The whole page."""
    combinations = _combinations(content)
    results = content["results"]

    def shown(keys: Iterable[str]) -> str:
        return "".join(_result(key, content, combinations) for key in keys if key in results)

    seeds = len(content["seeds"])
    lead = (
        f"{content['runs']} runs, {seeds} {'seed' if seeds == 1 else 'seeds'}, two worlds, two "
        "weightings of the loss; ± is half of a 95 % interval over seeds. A simulation with "
        "known pass rates, not a language model: it can show which statements follow from the "
        "method and which hang on how a model learns."
    )
    jumps = " · ".join(
        f'<a href="#{key}">{text}</a>'
        for key, text in (
            ("reasons", "what is not reproduced"),
            ("ablations", "suspected reasons, tested"),
            ("loss", "the weighting of the loss"),
        )
    )
    body = "".join(
        (
            f"<h1>CoBA-RL ({paper.SOURCE}) in the simulation</h1>",
            f'<p class="lead">{lead}</p><p>{jumps}</p>',
            _summary(content, combinations),
            _reasons(content, combinations),
            _loss(content),
            shown(("table-1", "table-2", "table-3")),
            _table_4(content),
            shown(("figure-4",)),
            _run_figures(
                table, combinations, "Figure 4: budgets by pass rate",
                "Mean rollouts per prompt by estimated pass rate, early, middle and late.",
                "budgets",
            ),
            shown(("figure-5",)),
            _run_figures(
                table, combinations, "Figure 5: alpha over steps",
                "Of coba, and of its mirror image that explores first.", "alpha",
            ),
            _shapes(content),
            shown(("figure-6", "figure-7")),
            _run_figures(
                table, combinations, "Figure 7: transitions between difficulty classes",
                "Of the training prompts that began in a class (row), the share that ended in "
                "each class (column), in %.",
                "transitions",
            ),
            shown(("figure-8",)),
            _ablations(content, combinations),
            provenance(content["command"], _settings(content), content["versions"]),
        )
    )  # fmt: skip
    return document(f"CoBA-RL ({paper.SOURCE}) in the simulation", body)


def write_page(path: Path, content: Mapping[str, Any], table: Table) -> None:
    """Write the page, atomically."""
    write_atomically(path, page(content, table))
