"""Measured pass rates from files.

In: a file (.json, .csv, .npy, .parquet) or standard input. Out: an array of rates in [0, 1], or an
InputError that names the file and the line. Knows nothing of who uses them.
"""

from cobasim.data.pass_rates import (
    COLUMN,
    read_pass_rates,
)

__all__ = [
    "COLUMN",
    "read_pass_rates",
]
