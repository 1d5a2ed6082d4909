"""One section per table and figure of the paper: numbers, order, claims, and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from cobasim.experiments.reproduction import paper
from cobasim.experiments.reproduction.page import cells
from cobasim.experiments.reproduction.page.figures import beside_figure
from cobasim.experiments.reproduction.rows import Combination
from cobasim.experiments.reproduction.words import half_width, signed
from cobasim.report import ABSENT, draw, escape, grid

_NOTES: Final = {
    "table-1": "The four models are four populations and learning rates of the world (see "
    "Settings): levels cannot be compared with the paper’s, orders and gains can.",
    "table-2": "exploit → explore is coba, explore → exploit is coba-explore-first.",
    "table-3": "Fixed shapes and a schedule against the adaptive preference.",
    "figure-4": "The paper’s numbers are derived: the pass rate at which its density Beta(alpha, "
    "11 − alpha) is largest, from the alphas it reports. Simulated: the pass-rate bin with the "
    "largest mean budget; early is the first stage after every prompt was seen once.",
    "figure-5": "Simulated runs start at a lower failure rate and end at a higher one than the "
    "paper’s, so alpha moves less. The claims compared are that it falls.",
    "figure-6": "Does CoBA on half the budget reach GRPO on the whole? Both budgets run for the "
    "same number of steps, as in the paper. Orders are within a budget; the first claim compares "
    "across budgets.",
    "figure-7": "From the class at the start to extremely easy at the end, training prompts. The "
    "paper measures p = 1 with 16 rollouts; here a true rate of at least 31/32 counts as 1.",
    "figure-8": "“About as good” is tested: the difference to kappa 11 must lie within the same "
    "share of |CoBA − GRPO| as the paper’s own largest deviation (28 %); two one-sided tests.",
}


def result_section(key: str, content: Mapping[str, Any]) -> str:
    """The section of one table or figure."""
    result = content["results"][key]
    combinations = cells.combinations(content)
    heads = [f"paper<span class='unit'>{paper.SOURCE}</span>", *map(cells.head, combinations)]
    plot = draw(beside_figure(result, combinations))
    note = (
        '<p class="note">The figure shows accuracies minus the mean of their group in the same '
        "seed: seeds differ in their prompts far more than allocators within a seed.</p>"
        if result["unit"] == paper.ACCURACY
        else ""
    )
    return (
        f'<section id="{escape(key)}"><h2>{escape(result["title"])}</h2>'
        f"<p>{escape(result['unit'].capitalize())}. {_NOTES.get(key, '')}</p>"
        + grid(["", *heads], [*_numbers(result, combinations), _taus(result, combinations)])
        + grid(["claim: difference", *heads], _claims(result, combinations))
        + note
        + f'<div class="row wide"><figure>{plot}</figure></div></section>'
    )


def _numbers(result: Mapping[str, Any], combinations: Sequence[Combination]) -> list[list[str]]:
    simulated = {
        (world, weighting, cell["group"], cell["entry"]): cell
        for world, weighting in combinations
        for cell in result["simulated"][world][weighting]["cells"]
    }
    several = len({row["group"] for row in result["paper"]}) > 1
    return [
        [
            (f"{escape(row['group'])}, " if several else "") + cells.allocator(row["entry"]),
            cells.number(row["value"]),
            *(
                cells.interval(simulated.get((*combination, row["group"], row["entry"])))
                for combination in combinations
            ),
        ]
        for row in result["paper"]
    ]


def _taus(result: Mapping[str, Any], combinations: Sequence[Combination]) -> list[str]:
    row = ["Kendall’s tau to the paper", ABSENT]
    for world, weighting in combinations:
        order = result["simulated"][world][weighting]["order"]
        if order is None:
            row.append(ABSENT)
            continue
        text = cells.number(order["tau"], 2, "+")
        if order["seeds"] is not None:
            text += f'<span class="pm">single seeds {signed(order["seeds"]["mean"])}</span>'
        row.append(text)
    return row


def _claims(result: Mapping[str, Any], combinations: Sequence[Combination]) -> list[list[str]]:
    claims: dict[str, dict[Combination, Mapping[str, Any]]] = {}
    for world, weighting in combinations:
        for claim in result["simulated"][world][weighting]["claims"]:
            claims.setdefault(claim["claim"], {})[world, weighting] = claim
    return [
        [
            escape(text),
            cells.number(next(iter(simulated.values()))["paper"], 2, "+"),
            *(
                cells.judged(simulated[combination]) if combination in simulated else ABSENT
                for combination in combinations
            ),
        ]
        for text, simulated in claims.items()
    ]


def solver_section(content: Mapping[str, Any]) -> str:
    """Table 4: run times of the solvers."""
    times = content["table-4"]
    rows = [
        [escape(solver), cells.number(times["paper"].get(solver), 3), f"{seconds:.5f}"]
        for solver, seconds in times["seconds"].items()
    ]
    heads = [f"{where}<span class='unit'>seconds</span>" for where in ("paper", "here")]
    return (
        f'<section id="table-4"><h2>{escape(times["title"])}</h2>'
        f"<p>{times['prompts']} prompts, {times['rollouts']} rollouts, value function included. "
        f"{escape(times['words'])}</p>" + grid(["solver", *heads], rows) + "</section>"
    )


def shape_section(content: Mapping[str, Any]) -> str:
    """Alpha by the formula alone, and the largest budget of a prompt."""
    rows = [
        [f"{row['failure rate']:.3f}", cells.number(row["paper"]), cells.number(row["formula"])]
        for row in content["alphas"]
    ]
    budgets = content["peak budget"]
    low, high = budgets["paper"]
    simulated = "; ".join(
        f"{escape(world)}, per {escape(weighting)}: {largest['mean']:.0f}{half_width(largest, 0)}"
        for world, by_weighting in budgets["simulated"].items()
        for weighting, largest in by_weighting.items()
    )
    return (
        "<section><h2>Alpha by the formula, and the largest budget</h2><p>Equations 6 and 7 at the "
        "failure rates of Figure 4’s panels, no simulation. The paper’s failure rates are rounded."
        "</p>"
        + grid(["failure rate", "paper’s alpha", "formula"], rows)
        + f"<p>Largest budget of a prompt in a run of coba: {low} to {high} rollouts in the "
        f"paper’s Figure 4; here {simulated} (at most {content['preset']['high']}).</p></section>"
    )
