"""The table of a sweep: its stored rows in the order of the plan, and a summary of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cobasim.errors import InputError
from cobasim.records import rename, write_atomically
from cobasim.runs.folder import PLAN
from cobasim.runs.parameters import Point
from cobasim.runs.rows import finished, read_row
from cobasim.runs.sweep import Sweep

if TYPE_CHECKING:
    import pyarrow as pa

TABLE, SUMMARY = "results.parquet", "summary.csv"


def collect(sweep: Sweep, out: Path) -> pa.Table:
    """The table of all stored runs, in the order of the plan; also written, with a summary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = []
    done = finished(out)
    names = sweep.names
    absent = dict.fromkeys(names)  # points may set different things
    for number, (place, point, _) in enumerate(sweep.runs()):
        if number in done:
            row = read_row(out, number)
            rows.append({"run": number, "point": place, **absent, **_flat(point), **row})
    for name in names:  # a column has one type
        if any(isinstance(row[name], str) for row in rows):
            for row in rows:
                row[name] = None if row[name] is None else str(row[name])
    table = pa.Table.from_pylist(rows) if rows else pa.table({"run": pa.array([], pa.int64())})
    aside = out / (TABLE + ".part")
    pq.write_table(table, aside)
    aside.replace(out / TABLE)
    write_atomically(out / SUMMARY, _csv(summary(table, names)))
    return table


def _flat(point: Point) -> Point:
    """Values that a column can hold."""
    return {
        name: value if isinstance(value, (int, float, str, bool)) else json.dumps(value)
        for name, value in point.items()
    }


def read_table(folder: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """(names of the swept parameters, rows) of a finished or interrupted sweep.

    Raises InputError if the folder holds no sweep.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        points = json.loads((folder / PLAN).read_text())["points"]
        rows = [rename(row) for row in pq.read_table(folder / TABLE).to_pylist()]
        names = list(dict.fromkeys(name for point in points for name in point))
    except FileNotFoundError as error:
        missing = Path(error.filename).name
        raise InputError(f"{folder} holds no finished sweep: {missing} is missing") from None
    except (ValueError, KeyError, TypeError, pa.ArrowInvalid) as error:
        raise InputError(f"{folder} holds a damaged sweep: {error}") from None
    return names, rows


def summary(table: pa.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    """One row per point, weighting and allocator: accuracies over seeds, paired to uniform.

    Percent and points; ``±`` columns are half widths of 95 % intervals, None for one seed.
    """
    groups: dict[tuple[Any, ...], dict[int, dict[str, Any]]] = {}
    for row in table.to_pylist():
        key = (row["point"], row["weighting"], row["allocator"])
        groups.setdefault(key, {})[row["seed"]] = row
    rows = []
    for (point, weighting, allocator), seeds in groups.items():
        first = next(iter(seeds.values()))
        base = groups.get((point, weighting, "uniform"), {})
        line: dict[str, Any] = {name: first[name] for name in names}
        line |= {"weighting": weighting, "allocator": allocator, "seeds": len(seeds)}
        line |= _interval("heldout", [row["final_heldout"] for row in seeds.values()])
        shared = [seed for seed in seeds if seed in base and allocator != "uniform"]
        line |= _interval(
            "minus_uniform",
            [_minus(seeds[s]["final_heldout"], base[s]["final_heldout"]) for s in shared],
        )
        rows.append(line)
    return rows


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _interval(name: str, values: Iterable[float | None]) -> dict[str, float | None]:
    from cobasim.scores import mean_interval

    known = [100 * value for value in values if value is not None]
    if not known:
        return {name: None, f"{name}_±": None}
    interval = mean_interval(known)
    half = None if interval.high is None else interval.high - interval.mean
    return {name: interval.mean, f"{name}_±": half}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()
