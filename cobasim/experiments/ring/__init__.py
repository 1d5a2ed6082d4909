"""The ring: every allocator at equal rollouts in many conditions, ranked, with intervals and tests.

In: a preset, or conditions; the file of a measured world. Out: leagues by mean rank, paired
differences, one page.
"""

from cobasim.experiments.ring.analysis import Differences, analyse, differences, league
from cobasim.experiments.ring.cells import counts, never_below, points
from cobasim.experiments.ring.measured_world import ABSENT, MeasuredConditions, measured_conditions
from cobasim.experiments.ring.outcomes import Outcomes, label_of, read_outcomes
from cobasim.experiments.ring.page import NUMBERS, REPORT, store
from cobasim.experiments.ring.planning import (
    MEASURED,
    PRESETS,
    condition,
    conditions,
    measure,
    measured_file,
    plan,
)
from cobasim.experiments.ring.sentences import statements

__all__ = [
    "ABSENT",
    "MEASURED",
    "NUMBERS",
    "PRESETS",
    "REPORT",
    "Differences",
    "MeasuredConditions",
    "Outcomes",
    "analyse",
    "condition",
    "conditions",
    "counts",
    "differences",
    "label_of",
    "league",
    "measure",
    "measured_conditions",
    "measured_file",
    "never_below",
    "plan",
    "points",
    "read_outcomes",
    "statements",
    "store",
]
