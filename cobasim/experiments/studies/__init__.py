"""Studies: questions that the CoBA paper (arXiv 2602.03048) leaves open, each with plan and report.

In: the name of a study, a preset, further allocators. Out: an answer in sentences computed from
its numbers, with tables and figures.
"""

from cobasim.errors import unknown_name
from cobasim.experiments.studies.best_budgets import BEST_BUDGETS
from cobasim.experiments.studies.bounds import BOUNDS
from cobasim.experiments.studies.contrasts import against
from cobasim.experiments.studies.long_tail import LONG_TAIL
from cobasim.experiments.studies.mix import MIX
from cobasim.experiments.studies.noise import NOISE
from cobasim.experiments.studies.page import NUMBERS, REPORT, TEXT_REPORT, store
from cobasim.experiments.studies.phase import PHASE
from cobasim.experiments.studies.regime import REGIME, first_crossing
from cobasim.experiments.studies.rounding import ROUNDING
from cobasim.experiments.studies.running import PLAN, claim, run_study
from cobasim.experiments.studies.scale import SCALE
from cobasim.experiments.studies.signal import SIGNAL
from cobasim.experiments.studies.study import SIZES, Answer, Options, Study
from cobasim.experiments.studies.updates import UPDATES
from cobasim.plugins import Registry

STUDIES: Registry[Study] = Registry(
    "study",
    {
        study.name: study
        for study in (
            NOISE, SIGNAL, REGIME, MIX, LONG_TAIL, UPDATES, SCALE, ROUNDING, BOUNDS, PHASE,
            BEST_BUDGETS,
        )
    },
)  # fmt: skip


def find_preset(name: str) -> str:
    """The name of a preset. Raises InputError, with the nearest known name, if unknown."""
    if name not in SIZES:
        raise unknown_name("preset", name, SIZES)
    return name


__all__ = [
    "NUMBERS",
    "PLAN",
    "REPORT",
    "SIZES",
    "STUDIES",
    "TEXT_REPORT",
    "Answer",
    "Options",
    "Study",
    "against",
    "claim",
    "find_preset",
    "first_crossing",
    "run_study",
    "store",
]
