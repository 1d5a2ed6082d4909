"""Sweeps: many comparisons over a grid or a sample of settings, in parallel, crash-safe.

A plan is a list of points (settings by name); each point is a comparison's runs. Every finished
run is one flat row, stored at once in a file of its own; the table is made of these files, in the
order of the plan, so that an interrupted and resumed sweep ends with the same table.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import qmc

from cobasim.allocation import make_allocator
from cobasim.errors import InputError
from cobasim.loop import Loop, run
from cobasim.records import Run, write_atomically
from cobasim.runs.comparison import (
    CompareConfig,
    build_loop,
    measured_pool,
    one_thread,
    plan,
    run_header,
    settle,
    with_pool,
)
from cobasim.runs.config import RunConfig
from cobasim.scores import mean_interval, summarise
from cobasim.settings import validated

METHODS = ("grid", "random", "lhs", "sobol")
PLAN, ROWS, TABLE, SUMMARY = "plan.json", "rows", "results.parquet", "summary.csv"
MOST_RUNS = 20_000
"""Larger plans need a yes."""

Point = dict[str, Any]
Measure = Callable[[Run, Loop], Mapping[str, Any]]
"""Further columns of a run's row, as plain values; a function that another process can import."""


@dataclass(frozen=True)
class Parameter:
    """One swept setting: a list of values, or a range.

    Attributes:
        name: flat name, as in ``--set``.
        values: the values of a list; empty for a range.
        low, high: ends of a range, both included.
        log: equal steps, or equal density, in the logarithm.
        whole: rounded to whole numbers.
        levels: how many of a range a grid takes; None: five.
    """

    name: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    levels: int | None = None

    @classmethod
    def parse(cls, text: str) -> Parameter:
        """``kappa=7,11,15`` or ``tau=1:64[:log][:int][:LEVELS]``. Raises InputError."""
        name, equals, given = text.partition("=")
        name = name.strip()
        if not equals or not name or not given.strip():
            raise InputError(
                f"a swept parameter reads name=1,2,3 or name=LOW:HIGH[:log][:int][:LEVELS], "
                f"got {text!r}"
            )
        if ":" not in given:
            values = tuple(_value(item) for item in given.split(",") if item.strip())
            if len({json.dumps(value) for value in values}) < len(values):
                raise InputError(f"{name}: a value is given twice in {given!r}")
            if not values:
                raise InputError(f"{name}: no values in {given!r}")
            return cls(name, values)
        low, high, *rest = given.split(":")
        try:
            ends = float(low), float(high)
        except ValueError:
            raise InputError(f"{name}: a range needs two numbers, got {given!r}") from None
        log, whole, levels = False, False, None
        for word in rest:
            if word == "log":
                log = True
            elif word == "int":
                whole = True
            elif word.isdigit() and int(word) >= 1:
                levels = int(word)
            else:
                raise InputError(
                    f"{name}: after the range come log, int or a number of levels, got {word!r}"
                )
        if not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] < ends[1]):
            raise InputError(f"{name}: the range {given!r} is empty; give LOW below HIGH")
        if log and ends[0] <= 0:
            raise InputError(f"{name}: a logarithmic range must begin above 0, got {low}")
        return cls(name, (), *ends, log=log, whole=whole, levels=levels)

    def at(self, share: float) -> Any:
        """The value at a share in [0, 1] of the way from the first to the last."""
        if self.values:
            return self.values[min(int(share * len(self.values)), len(self.values) - 1)]
        if self.log:
            value = math.exp(math.log(self.low) + share * math.log(self.high / self.low))
        else:
            value = self.low + share * (self.high - self.low)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else float(f"{value:.12g}")

    def grid(self) -> list[Any]:
        """The values that a grid takes, without repeats."""
        if self.values:
            return list(self.values)
        levels = 5 if self.levels is None else self.levels
        shares = [0.5] if levels == 1 else [k / (levels - 1) for k in range(levels)]
        return list(dict.fromkeys(self.at(share) for share in shares))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text.strip()


def points(
    parameters: Sequence[Parameter], method: str = "grid", *, samples: int = 64, seed: int = 0
) -> list[Point]:
    """The settings to try.

    Args:
        parameters: distinct names.
        method: "grid": every combination; "random", "lhs" (Latin hypercube) or "sobol" (a
            scrambled Sobol sequence): ``samples`` points of the box.
        samples: ignored by a grid.
        seed: of the sample.

    Raises InputError for a name that comes twice, an unknown method, or no samples.
    """
    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise InputError(f"a parameter is swept twice: {', '.join(names)}")
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}; known: {', '.join(METHODS)}")
    if not parameters:
        return [{}]
    if method == "grid":
        grids = [parameter.grid() for parameter in parameters]
        return [dict(zip(names, values, strict=True)) for values in itertools.product(*grids)]
    if samples < 1:
        raise InputError(f"samples must be at least 1, got {samples}")
    size = len(parameters)
    if method == "sobol":
        power = max(0, math.ceil(math.log2(samples)))
        shares = qmc.Sobol(size, rng=seed).random_base2(power)[:samples]
    elif method == "lhs":
        shares = qmc.LatinHypercube(size, rng=seed).random(samples)
    else:
        shares = np.random.default_rng(seed).random((samples, size))
    return [
        {one.name: one.at(float(share)) for one, share in zip(parameters, row, strict=True)}
        for row in shares
    ]


@dataclass(frozen=True)
class Sweep:
    """A plan: points, and the comparison that each of them changes.

    Attributes:
        preset: of ``cobasim compare``.
        settings, chosen: what holds at every point; see ``comparison.settle``.
        points: settings by flat name; they win over ``settings`` and ``chosen``.
    """

    preset: str
    settings: dict[str, Any]
    chosen: dict[str, Any]
    points: tuple[Point, ...]

    def config(self, point: Point) -> CompareConfig:
        """The comparison of a point. Raises InputError, naming the point, if it cannot be."""
        chosen = {name: value for name, value in self.chosen.items() if name not in point}
        try:
            values = settle(self.preset, self.settings | point, **chosen)
            return with_pool(validated(CompareConfig, values))
        except InputError as error:
            shown = ", ".join(f"{name}={value}" for name, value in point.items())
            raise InputError(f"at {shown}: {error}" if shown else str(error)) from None

    def runs(self) -> Iterator[tuple[int, Point, RunConfig]]:
        """(number of the point, point, run) in the order of the table."""
        for number, point in enumerate(self.points):
            for one in plan(self.config(point)):
                yield number, point, one

    @property
    def num_runs(self) -> int:
        """Runs of the whole plan; every point is checked."""
        return sum(self.config(point).num_runs for point in self.points)

    def to_json(self) -> str:
        """The plan itself: what a folder belongs to."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"


def read_plan(file: Path) -> tuple[list[str], dict[str, Any]]:
    """(texts for ``Parameter.parse``, settings) of a YAML plan: ``param:`` and ``set:``.

    Raises InputError for a file that is missing, malformed, or has other keys.
    """
    import yaml

    try:
        content = yaml.safe_load(file.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict) or not isinstance(content.get("param"), dict):
        raise InputError(f"{file}: expected a key 'param' with names and values below it")
    if others := set(content) - {"param", "set"}:
        raise InputError(f"{file}: unknown keys {', '.join(sorted(map(str, others)))}")
    texts = []
    for name, given in content["param"].items():
        values = given if isinstance(given, list) else [given]
        texts.append(
            f"{name}=" + ",".join(v if isinstance(v, str) else json.dumps(v) for v in values)
        )
    return texts, dict(content.get("set") or {})


def seconds_per_run(sweep: Sweep) -> float:
    """How long the first run of the plan takes here, in seconds: it is run, and thrown away."""
    return float(execute_row(next(sweep.runs())[2])["seconds"])


def execute_row(config: RunConfig, measure: Measure | None = None) -> dict[str, Any]:
    """Run one config in memory; its scores as one flat row, and what ``measure`` adds to it."""
    began = time.perf_counter()
    allocator = make_allocator(config.base_allocator, **config.parameters)
    with one_thread():
        loop = build_loop(config, measured_pool(config.pass_rates))
        records = run(loop, allocator)
    finished_run = Run(run_header(config), tuple(records), Path())
    scores = asdict(summarise(finished_run))
    return {
        "allocator": scores.pop("allocator"),
        "weighting": scores.pop("weighting"),
        "world": config.world.world,
        "seed": scores.pop("seed"),
        **scores,
        "seconds": time.perf_counter() - began,
        **({} if measure is None else measure(finished_run, loop)),
    }


def claim(sweep: Sweep, out: Path) -> None:
    """Make the folder of a sweep, or go on in it.

    Raises InputError if it holds another plan, or anything that is no sweep.
    """
    file = out / PLAN
    if file.exists():
        if file.read_text() != sweep.to_json():
            raise InputError(
                f"{out} holds another plan ({PLAN} differs); choose another --out, or give the "
                "very same parameters and settings to go on"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists and holds no sweep; choose another --out")
    (out / ROWS).mkdir(parents=True, exist_ok=True)
    if not file.exists():
        write_atomically(file, sweep.to_json())


def finished(out: Path) -> set[int]:
    """Numbers of the runs that are stored."""
    return {int(file.stem) for file in (out / ROWS).glob("*.json")}


def run_sweep(
    sweep: Sweep,
    out: Path,
    *,
    jobs: int | None = None,
    backend: Literal["loky", "ray"] = "loky",
    ray_address: str | None = None,
    on_finished: Callable[[int], None] = lambda _: None,
    measure: Measure | None = None,
) -> pa.Table:
    """Do what is missing of a plan, and write the table.

    Args:
        sweep: the plan.
        out: its folder, claimed.
        jobs: processes at a time; None: one per processor, or all that Ray has. The table does
            not depend on it.
        backend: "loky" (processes here) or "ray" (joblib's backend of Ray).
        ray_address: of a running cluster; None starts a local one with ``jobs`` workers.
        on_finished: gets the number of runs just stored, those of an earlier start included.
        measure: adds columns to each row; the same one whenever the sweep goes on.
    """
    done = finished(out)
    twins: dict[str, list[int]] = {}  # runs of one config, at points that do not touch it
    configs: dict[str, RunConfig] = {}
    for number, (_, _, one) in enumerate(sweep.runs()):
        key = one.model_dump_json()
        twins.setdefault(key, []).append(number)
        configs[key] = one
    work: list[_Work] = []
    for key, numbers in twins.items():
        stored = [number for number in numbers if number in done]
        on_finished(len(stored))
        if stored:
            _store(out, set(numbers) - set(stored), _row_file(out, stored[0]).read_text())
            on_finished(len(numbers) - len(stored))
        else:
            work.append((numbers[0], configs[key]))
    same = {numbers[0]: numbers for numbers in twins.values()}
    for first, row in _executed(work, jobs, backend, ray_address, measure):
        _store(out, same[first], json.dumps(row) + "\n")
        on_finished(len(same[first]))
    return collect(sweep, out)


_Work = tuple[int, RunConfig]


def _row_file(out: Path, number: int) -> Path:
    return out / ROWS / f"{number:07d}.json"


def _store(out: Path, numbers: Iterable[int], text: str) -> None:
    for number in numbers:
        write_atomically(_row_file(out, number), text)


def _executed(
    work: Sequence[_Work],
    jobs: int | None,
    backend: str,
    ray_address: str | None,
    measure: Measure | None,
) -> Iterator[tuple[int, dict[str, Any]]]:
    if not work:
        return
    if backend == "ray":
        yield from _with_ray(work, jobs, ray_address, measure)
        return
    workers = min(jobs or joblib.cpu_count(), len(work))
    tasks = (joblib.delayed(_numbered)(*item, measure) for item in work)
    yield from joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(tasks)


def _numbered(
    number: int, config: RunConfig, measure: Measure | None
) -> tuple[int, dict[str, Any]]:
    return number, execute_row(config, measure)


def _with_ray(
    work: Sequence[_Work], jobs: int | None, address: str | None, measure: Measure | None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Blocks of runs through Ray's joblib backend: it hands back whole calls only."""
    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise InputError("Ray is not installed; pip install 'coba-testbed[ray]'") from None
    try:
        if address is None:
            ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False)
        else:
            ray.init(address=address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray does not start ({' '.join(str(error).split())[:300]})") from None
    try:
        register_ray()
        workers = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        block = 8 * workers
        with joblib.parallel_config(backend="ray", n_jobs=workers):
            for first in range(0, len(work), block):
                part = work[first : first + block]
                yield from joblib.Parallel()(
                    joblib.delayed(_numbered)(*item, measure) for item in part
                )
    finally:
        ray.shutdown()


def collect(sweep: Sweep, out: Path) -> pa.Table:
    """The table of all stored runs, in the order of the plan; also written, with a summary."""
    rows = []
    done = finished(out)
    names = list(dict.fromkeys(name for point in sweep.points for name in point))
    absent = dict.fromkeys(names)  # points may set different things
    for number, (place, point, _) in enumerate(sweep.runs()):
        if number in done:
            row = json.loads(_row_file(out, number).read_text())
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

    Raises InputError for a folder that holds no sweep.
    """
    try:
        plan_ = json.loads((folder / PLAN).read_text())
        rows = pq.read_table(folder / TABLE).to_pylist()
        names = list(dict.fromkeys(name for point in plan_["points"] for name in point))
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
        out: dict[str, Any] = {name: first[name] for name in names}
        out |= {"weighting": weighting, "allocator": allocator, "seeds": len(seeds)}
        out |= _interval("heldout", [row["final_heldout"] for row in seeds.values()])
        shared = [seed for seed in seeds if seed in base and allocator != "uniform"]
        out |= _interval(
            "minus_uniform",
            [_minus(seeds[s]["final_heldout"], base[s]["final_heldout"]) for s in shared],
        )
        rows.append(out)
    return rows


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def _interval(name: str, values: Iterable[float | None]) -> dict[str, float | None]:
    known = [100 * value for value in values if value is not None]
    if not known:
        return {name: None, f"{name}_±": None}
    found = mean_interval(known)
    half = None if found.high is None else found.high - found.mean
    return {name: found.mean, f"{name}_±": half}


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()
