"""Logs of other GRPO trainers as run directories, so that everything that works on a run works.

In: what verl or TRL logs, or any table with one row a rollout. Out: a run directory, its groups and
pass rates as files, and what was read, used and left out.
"""

from cobasim.importing.folder import GROUPS, PASS_RATES, SAMPLES
from cobasim.importing.importing import SOURCE, Imported, import_log, log_size
from cobasim.importing.layouts import LAYOUTS, Columns, Layout
from cobasim.importing.notes import counted
from cobasim.importing.options import ImportOptions
from cobasim.importing.outcome import ClassRow

__all__ = [
    "GROUPS",
    "LAYOUTS",
    "PASS_RATES",
    "SAMPLES",
    "SOURCE",
    "ClassRow",
    "Columns",
    "ImportOptions",
    "Imported",
    "Layout",
    "counted",
    "import_log",
    "log_size",
]
