"""Measured gradients of a real policy: their file, their parts, their few directions.

In: sketches of gradients as arrays. Out: within, own and shared parts, with intervals or on the way
of a run, features without the noise of the rollouts that they were measured with, and the file
that the measured world reads. Knows no model.
"""

from cobasim.gradients.answers import Answers
from cobasim.gradients.file import (
    DOUBT,
    MeasuredGradients,
    read_measured_files,
    read_measured_gradients,
    write_measured,
)
from cobasim.gradients.low_rank import LowRank, compress, folded
from cobasim.gradients.noisy import FEWEST, CleanFeatures, Measured, NoisyFeatures
from cobasim.gradients.parts import (
    CLASSES,
    MeasuredGroups,
    Part,
    Parts,
    PartsReport,
    measure_parts,
)
from cobasim.gradients.quarters import QUARTERS, Equations, Quarters, split_quarters
from cobasim.gradients.running import GradientParts, RunningParts

__all__ = [
    "CLASSES",
    "DOUBT",
    "FEWEST",
    "QUARTERS",
    "Answers",
    "CleanFeatures",
    "Equations",
    "GradientParts",
    "LowRank",
    "Measured",
    "MeasuredGradients",
    "MeasuredGroups",
    "NoisyFeatures",
    "Part",
    "Parts",
    "PartsReport",
    "Quarters",
    "RunningParts",
    "compress",
    "folded",
    "measure_parts",
    "read_measured_files",
    "read_measured_gradients",
    "split_quarters",
    "write_measured",
]
