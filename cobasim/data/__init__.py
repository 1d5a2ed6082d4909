"""Other people's files: rows of any format, measured pass rates and the attempts behind them.

In: a path (or standard input), and what its columns mean. Out: pass rates, and what was read, used
and dropped.
"""

from cobasim.data.cells import is_missing, number
from cobasim.data.columns import has, likely_columns, names_of, value_of
from cobasim.data.files import COMPRESSED, READERS, data_files, ending_of, read_rows, refuse_copies
from cobasim.data.json_rows import read_jsonl
from cobasim.data.measured import MeasuredRates
from cobasim.data.options import RateOptions
from cobasim.data.pass_rates import read_measured, read_pass_rates
from cobasim.data.rows import UNNAMED, BadRow, Row

__all__ = [
    "COMPRESSED",
    "READERS",
    "UNNAMED",
    "BadRow",
    "MeasuredRates",
    "RateOptions",
    "Row",
    "data_files",
    "ending_of",
    "has",
    "is_missing",
    "likely_columns",
    "names_of",
    "number",
    "read_jsonl",
    "read_measured",
    "read_pass_rates",
    "read_rows",
    "refuse_copies",
    "value_of",
]
