"""Timings of the solvers, of a million prompts, and of a simulated training step.

Every figure is a median of repeats, in one process with one thread of linear algebra. Ratios are
between medians of the same run.
"""

from __future__ import annotations

import itertools
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from cobasim.allocation import CobaValue, Limits, Observation, make_allocator, solve
from cobasim.arrays import FloatArray
from cobasim.budgets import BudgetLedger
from cobasim.loop import Loop, LoopConfig
from cobasim.streams import stream
from cobasim.world import LogisticPolicy, WorldConfig, draw_pass_rates

ALPHA, BETA, TAU = 5.5, 5.5, 8.0
MEBIBYTE = 2.0**20
MILLION = 1_000_000


@dataclass(frozen=True)
class SolverRow:
    """One solver on one batch."""

    case: str
    prompts: int
    rollouts: int
    solver: str
    milliseconds: float
    ratio: float | None = None
    """Milliseconds of the solver ``reference`` on this batch, divided by ``milliseconds``."""
    reference: str = ""


@dataclass(frozen=True)
class LedgerRow:
    """A step of a trainer that asks a ledger for the budgets of 512 prompts."""

    allocator: str
    ask_ms: float
    allocate_ms: float
    """What the allocator alone takes of ``ask_ms``."""
    tell_ms: float
    """Without records."""


@dataclass(frozen=True)
class Benchmark:
    """All figures of one run: times in milliseconds, memory in MiB; None where left out."""

    solvers: list[SolverRow]
    million_value_ms: float | None
    """One evaluation of the value function on a million prompts."""
    million_threshold_ms: float | None
    million_evaluations: float | None
    """``million_threshold_ms`` in units of ``million_value_ms``."""
    million_peak_mib: float | None
    """Peak memory that allocating a million budgets adds, value function included."""
    step_ms: float
    """A simulated training step: CoBA, 512 prompts, 8192 rollouts, 32 features."""
    step_floor_ms: float
    """What no simulation can do without: gathering the features, one matrix-vector product and
    one binomial draw."""
    step_ratio: float
    """Step over floor: the median over pairs measured one after the other."""
    ledger: list[LedgerRow]
    ledger_keys: int | None
    """Keys of the ledger whose memory was measured."""
    ledger_mib: float | None
    """Memory that this ledger holds, keys included; the estimator is posterior."""
    ledger_peak_mib: float | None
    """Its largest memory on the way there."""

    def sentences(self) -> list[str]:
        """The figures that are not in the table, in words."""
        lines = []
        if self.million_threshold_ms is not None:
            lines.append(
                f"threshold on a million prompts: {self.million_threshold_ms:.0f} ms, that is "
                f"{self.million_evaluations:.1f} evaluations of the value function "
                f"({self.million_value_ms:.1f} ms each); peak memory {self.million_peak_mib:.0f} "
                "MiB"
            )
        lines.append(
            f"simulated training step: {self.step_ms:.3f} ms, {self.step_ratio:.1f} x its floor "
            f"({self.step_floor_ms:.3f} ms)"
        )
        for row in self.ledger:
            lines.append(
                f"ledger with {row.allocator}, 512 prompts: ask {row.ask_ms:.3f} ms, of which the "
                f"allocator takes {row.allocate_ms:.3f} ms; tell {row.tell_ms:.3f} ms"
            )
        if self.ledger_keys is not None:
            lines.append(
                f"ledger of {self.ledger_keys:,} keys: {self.ledger_mib:.0f} MiB, at most "
                f"{self.ledger_peak_mib:.0f} MiB on the way"
            )
        return lines


def measure(*, million: bool = True, seed: int = 0) -> Benchmark:
    """Run all measurements, which takes about half a minute.

    million: also allocate to a million prompts. seed: of the pass rates and of the world.
    """
    with threadpool_limits(1):
        rows = _solver_rows(seed)
        value_ms = threshold_ms = evaluations = peak = None
        if million:
            value_ms, threshold_ms, peak = _million(seed)
            evaluations = threshold_ms / value_ms
            rows.append(SolverRow("a million", 1_000_000, 16_000_000, "threshold", threshold_ms))
        step_ms, floor_ms, ratio = _step(seed)
        ledger = [_ledger(name, seed) for name in ("coba", "signal")]
        keys, held, most = (MILLION, *_ledger_memory()) if million else (None, None, None)
    return Benchmark(
        solvers=rows,
        million_value_ms=value_ms,
        million_threshold_ms=threshold_ms,
        million_evaluations=evaluations,
        million_peak_mib=peak,
        step_ms=step_ms,
        step_floor_ms=floor_ms,
        step_ratio=ratio,
        ledger=ledger,
        ledger_keys=keys,
        ledger_mib=held,
        ledger_peak_mib=most,
    )


def median_ms(act: Callable[[], object], repeats: int) -> float:
    """Median milliseconds of ``act()`` over ``repeats`` calls, after one call to warm up."""
    act()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        act()
        times.append(1e3 * (time.perf_counter() - began))
    return statistics.median(times)


def allocate_coba(rates: FloatArray, total: int, solver: str) -> None:
    """Budgets of CoBA's value at a fixed shape for pass rates (m,), bounds 2 to 128."""
    value = CobaValue(rates, alpha=ALPHA, beta=BETA, tau=TAU)
    solve(value, Limits(total, 2, 128), solver)


def _solver_rows(seed: int) -> list[SolverRow]:
    rows = []
    for case, prompts, repeats in (("the paper's", 512, 41), ("large", 8192, 11)):
        rates = draw_pass_rates(stream(seed, 0), prompts, "math")
        total = 16 * prompts
        # in turn, so that a change of the machine's speed affects both
        times: dict[str, list[float]] = {"heap": [], "threshold": []}
        for _ in range(5):
            for solver, medians in times.items():
                count = repeats if solver == "threshold" else max(3, repeats // 5)
                medians.append(median_ms(partial(allocate_coba, rates, total, solver), count))
        milliseconds = {solver: statistics.median(medians) for solver, medians in times.items()}
        if prompts == 512:  # the dynamic program takes too long for more
            dp_ms = median_ms(partial(allocate_coba, rates, total, "dp"), 1)
            milliseconds = {"dp": dp_ms, **milliseconds}
        slower = ""
        for solver, own in milliseconds.items():  # each compared with the one before it
            ratio = milliseconds[slower] / own if slower else None
            rows.append(SolverRow(case, prompts, total, solver, own, ratio, slower))
            slower = solver
    return rows


def solver_seconds(prompts: int, total: int, seed: int = 0) -> dict[str, float]:
    """Seconds of one allocation by each solver (Table 4 of arXiv 2602.03048), medians of repeats.

    The dynamic program is timed once: it takes a second at the paper's size.
    """
    rates = draw_pass_rates(stream(seed, 0), prompts, "math")
    with threadpool_limits(1):
        return {
            solver: median_ms(partial(allocate_coba, rates, total, solver), repeats) / 1e3
            for solver, repeats in (("dp", 1), ("heap", 5), ("threshold", 21))
        }


def _million(seed: int) -> tuple[float, float, float]:
    rates = draw_pass_rates(stream(seed, 0), 1_000_000, "math")
    value = CobaValue(rates, alpha=ALPHA, beta=BETA, tau=TAU)
    value_ms = median_ms(partial(value.value, 16), 5)
    threshold_ms = median_ms(lambda: allocate_coba(rates, 16_000_000, "threshold"), 5)
    tracemalloc.start()
    allocate_coba(rates, 16_000_000, "threshold")
    peak = tracemalloc.get_traced_memory()[1] / MEBIBYTE
    tracemalloc.stop()
    return value_ms, threshold_ms, peak


def _step(seed: int) -> tuple[float, float, float]:
    """Milliseconds of a step of the loop, milliseconds of its floor, and their ratio."""
    world = WorldConfig(features=32)
    policy = LogisticPolicy(world, seed)
    loop = Loop(policy, LoopConfig(steps=1_000_000, eval_every=1_000_000), seed=seed)
    allocator = make_allocator("coba")
    for _ in range(100):  # every prompt seen three times
        loop.advance(allocator)
    # as a step does, the floor gets new prompts every time: their features are not in a cache
    batches = []
    for step in range(world.num_prompts // loop.config.batch_size):
        prompts = loop.order.batch(step)
        belief = loop.estimator.estimate(prompts)
        obs = Observation(belief.pass_rate, belief.attempts, loop.account.capability.mean)
        batches.append((prompts, allocator(obs, loop.limits), policy.pass_rates(prompts)))
    endless = itertools.cycle(batches)
    rng = stream(seed, 1)

    def floor() -> None:
        prompts, budgets, rates = next(endless)
        policy.features[prompts] @ policy.theta
        rng.binomial(budgets, rates)

    steps, floors = [], []
    for _ in range(9):  # in turn, so that a change of the machine's speed affects both
        steps.append(median_ms(lambda: loop.advance(allocator), 60))
        floors.append(median_ms(floor, 60))
    ratio = statistics.median(step / base for step, base in zip(steps, floors, strict=True))
    return statistics.median(steps), statistics.median(floors), ratio


def _ledger(allocator: str, seed: int) -> LedgerRow:
    """Medians of steps with 512 of 17,000 keys, every one seen three times before."""
    truth = draw_pass_rates(stream(seed, 0), 17_000, "math")
    keys = [f"prompt {number}" for number in range(truth.size)]
    ledger = BudgetLedger(8192, allocator=allocator, high=128)
    rng = stream(seed, 1)
    asks, tells, allocations = [], [], []
    for _ in range(160):
        some = rng.choice(truth.size, 512, replace=False)
        batch = [keys[number] for number in some]
        began = time.perf_counter()
        budgets = ledger.ask(batch)
        asked = time.perf_counter()
        passes = rng.binomial(budgets, truth[some])
        told = time.perf_counter()
        record = ledger.tell(batch, budgets, passes)
        tells.append(time.perf_counter() - told)
        asks.append(asked - began)
        allocations.append(record.allocate_ms or 0.0)
    ask, tell = (1e3 * statistics.median(times[100:]) for times in (asks, tells))
    return LedgerRow(allocator, ask, statistics.median(allocations[100:]), tell)


def _ledger_memory() -> tuple[float, float]:
    """MiB that a ledger of a million keys holds, and its peak on the way there."""
    tracemalloc.start()
    ledger = BudgetLedger(16 * 20_000, allocator="uniform", estimator="posterior")
    for first in range(0, MILLION, 20_000):
        keys = np.arange(first, first + 20_000)
        budgets = ledger.ask(keys)
        ledger.tell(keys, budgets, budgets // 2)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return held / MEBIBYTE, peak / MEBIBYTE
