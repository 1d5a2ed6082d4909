"""Files of measured pass rates."""

from cobasim.data.pass_rates import (
    COLUMN,
    read_pass_rates,
)

__all__ = [
    "COLUMN",
    "read_pass_rates",
]
