"""The whole page: its sections in order, and the settings at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cobasim.experiments.reproduction import paper
from cobasim.experiments.reproduction.page.figures import ALPHA, BUDGETS, TRANSITIONS, run_figures
from cobasim.experiments.reproduction.page.reasons import ablations_section, reasons_section
from cobasim.experiments.reproduction.page.results import (
    result_section,
    shape_section,
    solver_section,
)
from cobasim.experiments.reproduction.page.summary import summary_section
from cobasim.experiments.reproduction.page.weighting import weighting_section
from cobasim.experiments.reproduction.plan import MEAN_ROLLOUTS, PAPER_STEPS
from cobasim.experiments.reproduction.rows import Combination, SimulatedRuns
from cobasim.report import document, provenance


def reproduction_page(
    content: Mapping[str, Any], table: Mapping[Combination, SimulatedRuns]
) -> str:
    """The report as one HTML page.

    Args:
        content: the numbers, as ``reproduce`` writes them.
        table: the thinned runs, for the figures of single runs.
    """
    title = f"CoBA-RL ({paper.SOURCE}) in the simulation"

    def results(*keys: str) -> Iterable[str]:
        return (result_section(key, content) for key in keys)

    body = "".join(
        (
            f"<h1>{title}</h1>",
            _lead(content),
            summary_section(content),
            reasons_section(content),
            weighting_section(content),
            *results("table-1", "table-2", "table-3"),
            solver_section(content),
            *results("figure-4"),
            run_figures(BUDGETS, table),
            *results("figure-5"),
            run_figures(ALPHA, table),
            shape_section(content),
            *results("figure-6", "figure-7"),
            run_figures(TRANSITIONS, table),
            *results("figure-8"),
            ablations_section(content),
            provenance(content["command"], _settings(content), content["versions"]),
        )
    )
    return document(title, body)


def _lead(content: Mapping[str, Any]) -> str:
    seeds = len(content["seeds"])
    jumps = " · ".join(
        f'<a href="#{key}">{text}</a>'
        for key, text in (
            ("reasons", "what is not reproduced"),
            ("ablations", "suspected reasons, tested"),
            ("loss", "the weighting of the loss"),
        )
    )
    return (
        f'<p class="lead">{content["runs"]} runs, {seeds} {"seed" if seeds == 1 else "seeds"}, '
        "two worlds, two weightings of the loss; ± is half of a 95 % interval over seeds. This is "
        "a simulation with known pass rates, not a language model: it can show which statements "
        "follow from the method and which depend on how a model learns.</p>"
        f"<p>{jumps}</p>"
    )


def _settings(content: Mapping[str, Any]) -> dict[str, Any]:
    preset = content["preset"]
    rollouts = MEAN_ROLLOUTS * preset["batch_size"]
    return {
        "prompts per step, M": preset["batch_size"],
        "rollouts per step": f"{rollouts} (half: {rollouts // 2})",
        "rollouts per prompt": f"{preset['low']} to {preset['high']}",
        "pool of prompts": preset["num_prompts"],
        "held-out prompts": preset["num_heldout"],
        "steps": preset["steps"],
        "seeds": content["seeds"],
        "runs": content["runs"],
        "learning rates": {
            world: f"{rate:.4g} (the world’s default × {PAPER_STEPS} / steps, so that Adam’s path "
            f"is as long as in the paper’s {PAPER_STEPS} steps)"
            for world, rate in content["learning rates"].items()
        },
        **{
            f"model {name}": f"population {model['population']}, learning rate × "
            f"{model['rate']:g}: {model['why']}"
            for name, model in content["models"].items()
        },
    }
