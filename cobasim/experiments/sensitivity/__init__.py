"""Global sensitivity: which settings matter, by Morris screening or Sobol indices (SALib).

In: a box of settings, of which a sample is run as a sweep. Out: indices of each setting, one page.
"""

from cobasim.experiments.sensitivity.analysis import analyse
from cobasim.experiments.sensitivity.design import BOX, METHODS, Design, plan, sample
from cobasim.experiments.sensitivity.index import Index, indices
from cobasim.experiments.sensitivity.page import NUMBERS, REPORT, figures, store

__all__ = [
    "BOX",
    "METHODS",
    "NUMBERS",
    "REPORT",
    "Design",
    "Index",
    "analyse",
    "figures",
    "indices",
    "plan",
    "sample",
    "store",
]
