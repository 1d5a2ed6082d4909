"""Calibration: worlds fitted to real runs with uniform budgets, and predictions of adaptive ones.

In: real runs, and which settings of a world are free. Out: fitted models, predictions, one page.
"""

from cobasim.experiments.calibration.fit import Search, search
from cobasim.experiments.calibration.model import Model, Prediction, calibrate
from cobasim.experiments.calibration.page import (
    NUMBERS,
    REPORT,
    figures,
    ready_command,
    sentence,
    store,
    title,
)
from cobasim.experiments.calibration.problem import Problem, distance
from cobasim.experiments.calibration.real_runs import RealRuns, Series
from cobasim.experiments.calibration.world import BOX, KNOBS, MODELS, FittedWorld, models_of

__all__ = [
    "BOX",
    "KNOBS",
    "MODELS",
    "NUMBERS",
    "REPORT",
    "FittedWorld",
    "Model",
    "Prediction",
    "Problem",
    "RealRuns",
    "Search",
    "Series",
    "calibrate",
    "distance",
    "figures",
    "models_of",
    "ready_command",
    "search",
    "sentence",
    "store",
    "title",
]
