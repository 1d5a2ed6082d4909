"""Measured pass rates of any file that people keep them in, with the attempts behind them."""

from __future__ import annotations

from cobasim.arrays import FloatArray
from cobasim.data.columns import likely_columns, likely_counts, names_of
from cobasim.data.measured import MeasuredRates
from cobasim.data.options import DEFAULT, RateOptions
from cobasim.data.origin import Origin
from cobasim.data.tables import RateTable, ScoreTable
from cobasim.errors import InputError


def read_pass_rates(source: str, options: RateOptions | None = None) -> FloatArray:
    """Pass rates (m,) of a file; see ``read_measured``."""
    return read_measured(source, options).pass_rate


def read_measured(source: str, options: RateOptions | None = None) -> MeasuredRates:
    """Pass rates and their attempts from a file, a dataset folder, or standard input (``-``).

    Args:
        source: a file of any kind in ``READERS``, also compressed; a folder that ``save_to_disk``
            wrote, or one with ``data/train-*.parquet`` and the like; "-".
        options: which columns hold what; None: a column ``pass_rate``, or numbers without a name.

    Raises InputError, with file and line, if anything cannot be read as it says it is: a row of the
    wrong width, a value that is not a number, a rate outside [0, 1], a missing value (unless
    ``options.missing`` says otherwise), a missing or repeated column.
    """
    options = options or RateOptions()
    origin = Origin(source, options.split)
    table = _tables(options)
    try:
        for where, row in origin.rows(options.wanted):
            try:
                table.add(where, row)
            except KeyError as error:
                raise _no_column(str(error.args[0]), origin, options) from None
        return table.measured(origin.name, options)
    except InputError as error:
        text = str(error)
        known = text.startswith((origin.name, "no such file"))
        raise InputError(text if known else f"{origin.name}: {text}") from None


def _tables(options: RateOptions) -> RateTable:
    return ScoreTable(options) if options.score is not None else RateTable(options)


def _no_column(column: str, origin: Origin, options: RateOptions) -> InputError:
    """The error for a column that is not there: it names those that may be meant."""
    first = next((row for _, row in origin.rows(()) if isinstance(row, dict)), {})
    names = [name[:60] for name in names_of(first) if name]
    likely = [name for name in likely_columns(first) if name != column]
    text = f"no column {column!r}"
    if likely and column == DEFAULT and options.column is None:
        counts = likely_counts(first) if options.attempts is None and options.out_of is None else []
        attempts = f"; attempts perhaps: --attempts {' or '.join(counts[:3])}" if counts else ""
        return InputError(
            f"{text}; likely columns: {', '.join(likely[:6])}: name one with --column (percent: "
            "--percent; counts: --passes or --failures with --attempts or --out-of; one row a "
            f"rollout: --group-by and --score){attempts}"
        )
    return InputError(f"{text}; there are: {', '.join(names[:30]) or 'none'}")
