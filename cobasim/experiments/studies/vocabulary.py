"""The imports of a study: everything that the file of one study needs from other rooms."""

from cobasim.experiments.intervals import half_width, signed
from cobasim.experiments.studies.contrasts import Contrast, against, name_of
from cobasim.experiments.studies.plans import BOTH_WORLDS, axis, sweep
from cobasim.experiments.studies.sections import compose, levels, section
from cobasim.experiments.studies.study import Answer, Options, Row, Study, Table, grouped
from cobasim.figures import colour_of, label, lay_out
from cobasim.runs import Sweep
from cobasim.scores import Rows, mean_interval, with_differences

__all__ = [
    "BOTH_WORLDS",
    "Answer",
    "Contrast",
    "Options",
    "Row",
    "Rows",
    "Study",
    "Sweep",
    "Table",
    "against",
    "axis",
    "colour_of",
    "compose",
    "grouped",
    "half_width",
    "label",
    "lay_out",
    "levels",
    "mean_interval",
    "name_of",
    "section",
    "signed",
    "sweep",
    "with_differences",
]
