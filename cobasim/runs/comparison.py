"""Many runs, paired by seed: who does better than whom, under both weightings of the loss."""

from __future__ import annotations

import dataclasses
import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import joblib
from pydantic import Field, model_validator
from threadpoolctl import ThreadpoolController

from cobasim.allocation import (
    ALLOCATORS,
    PEERS,
    find_allocator,
    make_allocator,
    own_parameters,
)
from cobasim.arrays import FloatArray
from cobasim.data import read_pass_rates
from cobasim.errors import InputError, unknown_name
from cobasim.loop import Loop, LoopConfig, run
from cobasim.records import (
    Run,
    RunHeader,
    RunWriter,
    folder_name,
    read_run,
    write_atomically,
)
from cobasim.report import write_report
from cobasim.runs.config import ORACLE, RunConfig
from cobasim.scores import Row, comparison_table, verdict
from cobasim.settings import Frozen
from cobasim.world import WorldConfig, find_world

BASELINE = "uniform"
OWN = tuple(name for name in ALLOCATORS if name not in PEERS)  # of the CoBA and Knapsack papers
REPORT, NUMBERS = "report.html", "comparison.json"


class CompareConfig(Frozen):
    """A comparison: allocators x weightings x seeds in one world."""

    allocators: Annotated[tuple[str, ...], Field(min_length=1)]
    weightings: Annotated[tuple[str, ...], Field(min_length=1)] = ("rollout", "prompt")
    seeds: Annotated[int, Field(ge=1, le=10_000)] = 8
    first_seed: Annotated[int, Field(ge=0)] = 0
    parameters: dict[str, Any] = {}  # of allocators; each gets those that it takes
    pass_rates: str | None = None  # file of measured pass rates: the pool of prompts
    # allocator whose budgets weigh the prompts in the loss; None: those that are spent
    weigh_as: str | None = None
    loop: LoopConfig = LoopConfig()
    world: WorldConfig = WorldConfig()

    @model_validator(mode="after")
    def _known(self) -> CompareConfig:
        find_world(self.world.world)
        for name in self.allocators:
            find_allocator(name.removeprefix(ORACLE))
        if len(set(self.allocators)) < len(self.allocators):
            raise InputError(f"an allocator is named twice: {', '.join(self.allocators)}")
        for name in self.allocators:
            base = name.removeprefix(ORACLE)
            make_allocator(base, **own_parameters(base, self.parameters))
        if self.weigh_as is not None:
            find_allocator(self.weigh_as)
        return self

    @property
    def num_runs(self) -> int:
        """How many runs the comparison takes."""
        return len(self.allocators) * len(self.weightings) * self.seeds


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "allocators": (
            "uniform",
            "knapsack",
            "fixed-exploit",
            "fixed-explore",
            "linear-decay",
            "coba",
            "coba-explore-first",
        ),
        "seeds": 8,
        "loop": {"steps": 300},
    },
    "paper": {
        "allocators": (*OWN, *(ORACLE + name for name in OWN if name != BASELINE)),
        "seeds": 16,
        "loop": {"steps": 500},
    },
    "peers": {
        "allocators": (BASELINE, "knapsack", "coba", *PEERS),
        "seeds": 8,
        "loop": {"steps": 300},
    },
}


def settle(preset: str, settings: Mapping[str, Any], **chosen: Any) -> dict[str, Any]:
    """Values of a CompareConfig: a preset, changed by what was ``chosen`` and by ``settings``.

    Args:
        preset: a name in PRESETS.
        settings: flat names and values; each goes to the world, to the loop, or to the
            allocators that take a parameter of that name.
        chosen: values by the same flat names, or fields of CompareConfig; None: not chosen.

    Raises InputError for an unknown preset or name.
    """
    if preset not in PRESETS:
        raise unknown_name("preset", preset, PRESETS)
    values: dict[str, Any] = dict(PRESETS[preset])
    nested: dict[str, dict[str, Any]] = {
        "loop": dict(values.get("loop", {})),
        "world": dict(values.get("world", {})),
    }
    parameters: dict[str, Any] = {}
    given = {name: value for name, value in chosen.items() if value is not None} | dict(settings)
    allocators = given.get("allocators", values["allocators"])
    taken = {
        field.name
        for name in allocators
        for field in dataclasses.fields(find_allocator(name.removeprefix(ORACLE)))
    }
    for name, value in given.items():
        if name in CompareConfig.model_fields and name not in ("loop", "world", "parameters"):
            values[name] = value
        elif name == "weighting":
            raise InputError("choose weightings with --weighting rollout|prompt|both")
        elif name in WorldConfig.model_fields:
            nested["world"][name] = value
        elif name in LoopConfig.model_fields:
            nested["loop"][name] = value
        elif name in taken:
            parameters[name] = value
        else:
            known = [*WorldConfig.model_fields, *LoopConfig.model_fields, *sorted(taken)]
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"
            raise InputError(f"unknown setting {name!r}{hint}")
    return values | nested | {"parameters": parameters}


def plan(config: CompareConfig) -> Iterator[RunConfig]:
    """All runs of a comparison. Seeds vary slowest, so that an early stop leaves whole pairs."""
    for seed in range(config.first_seed, config.first_seed + config.seeds):
        for weighting in config.weightings:
            for name in config.allocators:
                yield RunConfig(
                    allocator=name,
                    parameters=own_parameters(name.removeprefix(ORACLE), config.parameters),
                    seed=seed,
                    pass_rates=config.pass_rates,
                    weigh_as=config.weigh_as,
                    loop=config.loop,
                    world=config.world.model_copy(update={"weighting": weighting}),
                )


def run_directory(out: Path, config: RunConfig) -> Path:
    """Where a run of a comparison is written below ``out``."""
    return out / config.world.weighting / folder_name(config.allocator) / f"seed-{config.seed:03d}"


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all that is loaded: once, not every run


def one_thread() -> AbstractContextManager[Any]:
    """One thread of linear algebra inside, so that numbers do not depend on how many runs go."""
    limiter: AbstractContextManager[Any] = _libraries().limit(limits=1)
    return limiter


def build_loop(config: RunConfig, pass_rates: FloatArray | None = None) -> Loop:
    """The simulated policy and the loop of one run, at its first step."""
    policy = find_world(config.world.world)(config.world, config.seed, pass_rates)
    weigh_as = None if config.weigh_as is None else make_allocator(config.weigh_as)
    return Loop(
        policy, config.loop, seed=config.seed, estimator=config.estimator, weigh_as=weigh_as
    )


def run_header(config: RunConfig) -> RunHeader:
    """The header of a simulated run's records."""
    return RunHeader.create(
        source="sim",
        seed=config.seed,
        allocator=config.allocator,
        estimator=config.estimator,
        weighting=config.world.weighting,
        world=config.world.world,
        config=config.model_dump(mode="json"),
    )


def execute(config: RunConfig, out: Path, pass_rates: FloatArray | None = None) -> Path:
    """Run one config and record it in its directory below ``out``; returns the directory.

    One thread of linear algebra, so that numbers do not depend on how many runs go at a time.
    """
    path = run_directory(out, config)
    allocator = make_allocator(config.base_allocator, **config.parameters)
    with one_thread():
        loop = build_loop(config, pass_rates)
        with RunWriter(path, run_header(config)) as writer:
            run(loop, allocator, on_step=writer.append)
    return path


@cache
def measured_pool(source: str | None) -> FloatArray | None:
    """The pass rates of a file, read once; None for None. Raises as ``read_pass_rates``."""
    return None if source is None else read_pass_rates(source)


def with_pool(config: CompareConfig) -> CompareConfig:
    """The config with the number of prompts that its file of pass rates holds.

    Raises InputError, before anything runs, for a file that cannot be used or a batch that is
    larger than the pool.
    """
    rates = measured_pool(config.pass_rates)
    if rates is not None:
        world = config.world.model_copy(update={"num_prompts": rates.size})
        config = config.model_copy(update={"world": world})
    if config.loop.batch_size > config.world.num_prompts:
        raise InputError(
            f"a batch of {config.loop.batch_size} distinct prompts needs a pool of at least that "
            f"many, got {config.world.num_prompts}; use a smaller --batch-size or more prompts"
        )
    return config


def claim(out: Path) -> None:
    """Make the folder of a comparison. Raises InputError if it holds anything already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists and is not empty; runs are never overwritten: choose another --out, or "
            "remove it"
        )
    out.mkdir(parents=True, exist_ok=True)


def run_all(
    config: CompareConfig,
    out: Path,
    *,
    jobs: int | None = None,
    on_finished: Callable[[], None] | None = None,
) -> list[Run]:
    """Run a comparison below ``out`` and read it back, in the order of the plan.

    Args:
        config: what to compare.
        out: a folder that holds nothing yet.
        jobs: processes at a time; None: one per processor that this process may use. The
            numbers do not depend on it.
        on_finished: called after each run, for a progress bar.
    """
    rates = measured_pool(config.pass_rates)
    configs = list(plan(config))
    workers = min(jobs or joblib.cpu_count(), len(configs))
    tasks = (joblib.delayed(execute)(one, out, rates) for one in configs)
    finished = joblib.Parallel(n_jobs=workers, return_as="generator_unordered")(tasks)
    for _ in finished:
        if on_finished is not None:
            on_finished()
    return [read_run(run_directory(out, one)) for one in configs]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison: rows of the table, verdicts, and what made them."""

    config: CompareConfig
    runs: list[Run]
    rows: list[Row]
    verdicts: dict[str, str]

    @property
    def statements(self) -> list[str]:
        """What a reader must know: the verdict of each weighting, and how estimates were made."""
        lines = [f"Loss weighted per {name}: {text}" for name, text in self.verdicts.items()]
        rules = {run.header.allocator: run.header.estimator for run in self.runs}
        usual = max(rules.values(), key=list(rules.values()).count)
        others = [f"{name} ({rule})" for name, rule in rules.items() if rule != usual]
        free = [name for name in rules if not find_allocator(name.removeprefix(ORACLE)).exact]
        equal = "Equal rollouts in every step"
        if free:
            equal = (
                "Equal rollouts in every run, but for the last step's; steps of "
                f"{', '.join(free)} differ in cost"
            )
        lines.append(
            f"Pass rates as estimated by rule {usual!r}"
            + (f", but for {', '.join(others)}" if others else "")
            + f". {equal}; evaluation on true pass rates, never seen by an "
            "allocator."
        )
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain values for machines: the same numbers as the table."""
        return {
            "config": self.config.model_dump(mode="json"),
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "verdicts": self.verdicts,
        }


def score(config: CompareConfig, runs: list[Run]) -> Comparison:
    """The table and the verdicts of finished runs; without uniform there are no differences."""
    rows = comparison_table(runs, BASELINE)
    return Comparison(config, runs, rows, verdict(rows))


def store(result: Comparison, out: Path, *, command: str) -> None:
    """Write the numbers (JSON) and the self-contained HTML report below ``out``."""
    write_atomically(out / NUMBERS, json.dumps(result.to_json(), indent=1) + "\n")
    config = result.config
    worlds = config.world.model_dump(mode="json", exclude={"weighting"})
    settings = worlds | config.loop.model_dump(mode="json") | config.parameters
    if config.pass_rates is not None:
        settings["pass_rates"] = config.pass_rates
    write_report(
        out / REPORT,
        result.runs,
        result.rows,
        title=f"Rollout-budget allocators in the {config.world.world} world",
        settings=settings,
        verdicts=result.verdicts,
        command=command,
    )
