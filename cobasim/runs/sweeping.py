"""Running a sweep: in parallel, safe against crashes, resumable.

Every finished run is one flat row, stored at once in a file of its own; the table is made of these
files, in the order of the plan, so that an interrupted and resumed sweep ends with the same table.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cobasim.files import writing
from cobasim.runs.config import RunConfig
from cobasim.runs.folder import claim_folder
from cobasim.runs.parallel import RayCluster, in_parallel
from cobasim.runs.rows import (
    ROWS,
    Measure,
    execute_row,
    finished,
    numbered_row,
    read_row,
    store_row,
)
from cobasim.runs.sweep import Sweep
from cobasim.runs.table import collect

if TYPE_CHECKING:
    import pyarrow as pa


def seconds_per_run(sweep: Sweep) -> float:
    """How long the first run of the plan takes here, in seconds: it is run, and thrown away."""
    return float(execute_row(next(sweep.runs())[2])["seconds"])


def claim(sweep: Sweep, out: Path) -> None:
    """Make the folder of a sweep, or check that it is this sweep's, to resume there.

    Raises InputError if it holds another plan, or anything else.
    """
    claim_folder(out, sweep.to_json(), kind="sweep")
    (out / ROWS).mkdir(exist_ok=True)


def run_sweep(
    sweep: Sweep,
    out: Path,
    *,
    jobs: int | None = None,
    ray: RayCluster | None = None,
    on_finished: Callable[[int], None] = lambda _: None,
    measure: Measure | None = None,
) -> pa.Table:
    """Run what is missing of a plan, and write the table.

    Args:
        sweep: the plan.
        out: its folder, claimed.
        jobs: processes at a time; None: one per processor, or all that Ray has. The table does
            not depend on it.
        ray: where to run; None: in processes of this machine.
        on_finished: gets the number of runs just stored, those of an earlier start included.
        measure: adds columns to each row; the same one whenever the sweep is resumed.

    Raises InputError if another process is writing to the folder.
    """
    with writing(out):
        done = finished(out)
        configs: dict[str, RunConfig] = {}
        twins: dict[str, list[int]] = {}  # runs of one config, at points that do not touch it
        for number, (_, _, config) in enumerate(sweep.runs()):
            key = config.model_dump_json()
            twins.setdefault(key, []).append(number)
            configs[key] = config
        missing = []
        for key, numbers in twins.items():
            stored = [number for number in numbers if number in done]
            on_finished(len(stored))
            if stored:
                store_row(out, set(numbers) - set(stored), read_row(out, stored[0]))
                on_finished(len(numbers) - len(stored))
            else:
                missing.append((numbers[0], configs[key], measure))
        same = {numbers[0]: numbers for numbers in twins.values()}
        for first, row in in_parallel(numbered_row, missing, jobs=jobs, ray=ray):
            store_row(out, same[first], row)
            on_finished(len(same[first]))
        return collect(sweep, out)
