"""Should budgets be uneven in one's own run? A recommendation with all that is not known in it.

In: pass rates, a uniform run, or a measurement of gradients, and the sizes of the planned run. Out:
an allocator (often uniform), differences to uniform with intervals that carry the noise of runs and
what is not known of the model, and what would narrow them. Method: docs/advise.md.
"""

from cobasim.experiments.advice.advice import CANDIDATES, Advice, Effort, Option, advise, num_runs
from cobasim.experiments.advice.case import (
    WEIGHTINGS,
    Case,
    Sizes,
    of_measured,
    of_pass_rates,
    of_run,
    usual_sizes,
)
from cobasim.experiments.advice.checking import Checked, coverage
from cobasim.experiments.advice.known_runs import Known, ModelError, known
from cobasim.experiments.advice.page import check_folder, figure, store
from cobasim.experiments.advice.words import TRAINERS, check_trainer, lines, snippet

__all__ = [
    "CANDIDATES",
    "TRAINERS",
    "WEIGHTINGS",
    "Advice",
    "Case",
    "Checked",
    "Effort",
    "Known",
    "ModelError",
    "Option",
    "Sizes",
    "advise",
    "check_folder",
    "check_trainer",
    "coverage",
    "figure",
    "known",
    "lines",
    "num_runs",
    "of_measured",
    "of_pass_rates",
    "of_run",
    "snippet",
    "store",
    "usual_sizes",
]
