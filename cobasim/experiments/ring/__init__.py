"""The ring: every allocator at equal rollouts in many conditions, ranked, with intervals and tests.

In: a preset, or conditions. Out: leagues by mean rank, paired differences, one page.
"""

from cobasim.experiments.ring.analysis import Differences, analyse, differences, league
from cobasim.experiments.ring.cells import counts, never_below, points
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
    "MEASURED",
    "NUMBERS",
    "PRESETS",
    "REPORT",
    "Differences",
    "Outcomes",
    "analyse",
    "condition",
    "conditions",
    "counts",
    "differences",
    "label_of",
    "league",
    "measure",
    "measured_file",
    "never_below",
    "plan",
    "points",
    "read_outcomes",
    "statements",
    "store",
]
