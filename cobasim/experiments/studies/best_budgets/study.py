"""The study: the best budgets of a step in a measured world, and how near allocators come."""

from __future__ import annotations

from typing import Any

from cobasim.errors import InputError
from cobasim.experiments.studies.best_budgets.answer import answer
from cobasim.experiments.studies.best_budgets.full_runs import LONG, ORACLES, run_row
from cobasim.experiments.studies.best_budgets.states import Plan, state_rows
from cobasim.experiments.studies.study import Options, Study
from cobasim.runs import CompareConfig, RunConfig, Sweep, in_parallel, plan, settle, with_pool
from cobasim.settings import validated
from cobasim.world import MEASURED

NAMES = ("uniform", "knapsack", "coba", "signal", "signal-skip", "oracle-signal")


def comparison(options: Options) -> CompareConfig:
    """The allocators in the measured world, under both weightings.

    Raises InputError for another world, and for bad settings.
    """
    if options.world is None or not options.world.startswith(MEASURED):
        raise InputError(
            "the study best-budgets needs a measured world: add --world measured:FILE, a file of "
            f"`cobatrain gradients`; got {options.world}"
        )
    sizes = {} if options.preset != "tiny" else {"steps": options.size.steps}
    names = options.names(*NAMES)
    values = settle(
        "quick", sizes | dict(options.settings), world=options.world, allocators=names,
        seeds=options.size.seeds,
    )  # fmt: skip
    return with_pool(validated(CompareConfig, values))


def check(options: Options) -> dict[str, Sweep]:
    """No sweep; raises InputError for what cannot be run."""
    comparison(options)
    return {}


def compute(options: Options, jobs: int | None = None) -> list[dict[str, Any]]:
    """Rows of states, checks and runs; ``part`` says which."""
    config = comparison(options)
    steps = config.loop.steps
    at = tuple(sorted({steps * quarter // 4 for quarter in range(4)}))
    states = Plan(
        config.allocators, at, options.pick(4, 8, tiny=1), options.pick(200, 400, tiny=40)
    )
    runs = list(plan(config))
    uniform = [one for one in runs if one.allocator == "uniform"]
    arms = ORACLES if options.preset == "full" else tuple(set(ORACLES) - {LONG})
    tasks: list[tuple[RunConfig, Plan | str]] = [(one, states) for one in uniform]
    tasks += [(one, arm) for one in uniform for arm in ORACLES if arm in arms]
    tasks += [(one, one.allocator) for one in runs]
    rows: list[dict[str, Any]] = []
    for made in in_parallel(task, tasks, jobs=jobs, ordered=True):
        rows += made
    return rows


def task(config: RunConfig, what: Plan | str) -> list[dict[str, Any]]:
    """Rows of the states of one uniform run, or of one whole run of an arm."""
    return [run_row(config, what)] if isinstance(what, str) else state_rows(config, what)


BEST_BUDGETS = Study(
    "best-budgets",
    "Which budgets would be best, and how near do allocators come? (measured worlds)",
    answer,
    check,
    compute,
    needs_world=True,
    notes=(
        "Best: the budgets with the largest expected gain of held-out accuracy of one step, to "
        "second order, found by exchanges of rollouts; an oracle that reads every prompt's "
        "gradient, its true pass rate, and the held-out prompts. Allocators are told what they "
        "learned in a uniform run up to that step, and get the batches that come next. Gains are "
        "for steps whose length Adam sets by these budgets' own gradient norms ('own'), or by the "
        "norms of the run so far ('state'): a longer gradient is then a longer step. "
        "Where every gradient is clipped, the two are the same.",
        "Intervals of gains are over batches; those of runs over seeds, paired.",
        "best by pass rate: the same search by somebody who knows pass rates, and of all else only "
        "the mean of prompts of that pass rate; and level: also by level of difficulty. best from "
        "validation: the search with every second held-out prompt, its gain on the others. best "
        "prompts: equal budgets, prompts chosen from 4 batches. from the pool: the search with "
        "1,000 prompts of the pool in place of held-out ones.",
    ),
)
