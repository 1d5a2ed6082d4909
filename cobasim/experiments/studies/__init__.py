"""Questions that the CoBA paper (arXiv 2602.03048) leaves open, each with a plan and a report."""

from cobasim.errors import unknown_name
from cobasim.experiments.studies.budgets import BOUNDS, ROUNDING, SCALE
from cobasim.experiments.studies.changes import MIX, REGIME
from cobasim.experiments.studies.learning import LONG_TAIL, UPDATES
from cobasim.experiments.studies.noise import NOISE
from cobasim.experiments.studies.phase import PHASE
from cobasim.experiments.studies.signals import SIGNAL
from cobasim.experiments.studies.skeleton import (
    SIZES,
    Answer,
    Options,
    Study,
    claim,
    run_study,
    store,
)

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        NOISE, SIGNAL, REGIME, MIX, LONG_TAIL, UPDATES, SCALE, ROUNDING, BOUNDS, PHASE,
    )
}  # fmt: skip


def find_study(name: str) -> Study:
    """The study of a name. Raises InputError, suggesting the nearest, if there is none."""
    if name not in STUDIES:
        raise unknown_name("study", name, STUDIES)
    return STUDIES[name]


def find_preset(name: str) -> str:
    """The name of a preset. Raises InputError, suggesting the nearest, if there is none."""
    if name not in SIZES:
        raise unknown_name("preset", name, SIZES)
    return name


__all__ = [
    "SIZES",
    "STUDIES",
    "Answer",
    "Options",
    "Study",
    "claim",
    "find_preset",
    "find_study",
    "run_study",
    "store",
]
