"""Numbers -> plotly figures.

In: runs, score tables, rows of a sweep, outcomes of one batch. Out: a figure; nothing is shown or
written here, and drawing does not change its input.
"""

from cobasim.figures.batch import (
    class_shares,
    marginal_gains,
    noise_of_a_group,
    preferences,
    prompt_budgets,
    pulls,
)
from cobasim.figures.budgets import budget_heatmap, budgets_by_pass_rate
from cobasim.figures.curves import (
    accuracy,
    alpha_over_time,
    difference_to_baseline,
    mixed_share,
)
from cobasim.figures.differences import final_differences
from cobasim.figures.parts import gradient_parts, parts_over_steps, shared_between_levels
from cobasim.figures.single_runs import phase_seconds, run_curves
from cobasim.figures.style import (
    AXIS,
    GRID,
    STYLES,
    TEXT,
    colour_of,
    faint,
    full_title,
    label,
    lay_out,
    marker_of,
    share_scales,
)
from cobasim.figures.sweep import sweep_heatmap, sweep_line, tornado
from cobasim.figures.transitions import transition_matrices

__all__ = [
    "AXIS",
    "GRID",
    "STYLES",
    "TEXT",
    "accuracy",
    "alpha_over_time",
    "budget_heatmap",
    "budgets_by_pass_rate",
    "class_shares",
    "colour_of",
    "difference_to_baseline",
    "faint",
    "final_differences",
    "full_title",
    "gradient_parts",
    "label",
    "lay_out",
    "marginal_gains",
    "marker_of",
    "mixed_share",
    "noise_of_a_group",
    "parts_over_steps",
    "phase_seconds",
    "preferences",
    "prompt_budgets",
    "pulls",
    "run_curves",
    "share_scales",
    "shared_between_levels",
    "sweep_heatmap",
    "sweep_line",
    "tornado",
    "transition_matrices",
]
