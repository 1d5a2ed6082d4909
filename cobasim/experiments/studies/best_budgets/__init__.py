"""Which budgets would be best? The expected gain of one step in a measured world, and its maximum.

In: a measured policy as it is now, the prompts of a batch. Out: the expected change of held-out
accuracy by budgets, the budgets that maximise it, and the study that compares allocators with them.
"""

from cobasim.experiments.studies.best_budgets.drawn import drawn_gains
from cobasim.experiments.studies.best_budgets.heldout import Heldout
from cobasim.experiments.studies.best_budgets.moments import UpdateMoments, update_moments
from cobasim.experiments.studies.best_budgets.oracle import BestBudgets
from cobasim.experiments.studies.best_budgets.problem import SCALES, StepProblem, step_problem
from cobasim.experiments.studies.best_budgets.search import best_budgets, improve
from cobasim.experiments.studies.best_budgets.study import BEST_BUDGETS

__all__ = [
    "BEST_BUDGETS",
    "SCALES",
    "BestBudgets",
    "Heldout",
    "StepProblem",
    "UpdateMoments",
    "best_budgets",
    "drawn_gains",
    "improve",
    "step_problem",
    "update_moments",
]
