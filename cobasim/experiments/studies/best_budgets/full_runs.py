"""Whole runs in which every step has the best budgets, beside those of allocators."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.allocation import Allocator, make_allocator
from cobasim.errors import InputError
from cobasim.experiments.studies.best_budgets.oracle import BestBudgets
from cobasim.experiments.studies.best_budgets.states import (
    BEST,
    BOTH,
    BOTH_POOLED,
    BOTH_VALIDATED,
    CHOICE,
    POOLED,
    VALIDATED,
    halves,
)
from cobasim.loop import run
from cobasim.runs import ORACLE, RunConfig, build_loop, one_thread
from cobasim.world import MeasuredPolicy

LONG = BEST + ", Adam's scale as found"
ORACLES = (BEST, LONG, VALIDATED, POOLED, BOTH, BOTH_VALIDATED, BOTH_POOLED)
SAMPLE = 1000  # prompts of the pool by whose accuracy somebody without held-out prompts goes


def run_row(config: RunConfig, arm: str) -> dict[str, Any]:
    """One run: held-out accuracy at the end, and of the half that validation did not see.

    Args:
        config: of the run; its allocator says what beliefs are made of.
        arm: one of ORACLES, or the allocator of ``config``.
    """
    with one_thread():
        loop = build_loop(config)
        policy = loop.learner
        if not isinstance(policy, MeasuredPolicy):
            raise InputError(f"the best budgets need a measured world, got {config.world.world}")
        seen, unseen = halves(policy)
        rows = seen if arm in (VALIDATED, BOTH_VALIDATED) else None
        if arm in (POOLED, BOTH_POOLED):
            size = min(SAMPLE, policy.num_prompts)
            rng = np.random.default_rng(config.seed)
            rows = np.sort(rng.choice(policy.num_prompts, size, replace=False))
        allocator: Allocator
        if arm in ORACLES:
            allocator = BestBudgets(
                policy=policy,
                scale="state" if arm == LONG else "own",
                batches=CHOICE if arm in (BOTH, BOTH_VALIDATED, BOTH_POOLED) else 1,
                rows=rows,
            )
        else:
            allocator = make_allocator(arm.removeprefix(ORACLE))
        records = run(loop, allocator)
        rates = policy.all_pass_rates()
    norms = [record.learner["grad_norm"] for record in records if record.step > 0]
    evaluated = [record for record in records if record.evaluation is not None]
    return {
        "part": "run", "seed": config.seed, "weighting": config.world.weighting, "arm": arm,
        "final": float(rates[policy.sets["heldout"]].mean()),
        "unseen": float(rates[unseen].mean()),
        "norm": float(np.mean(norms)),
        "at": [record.step for record in evaluated],
        "curve": [record.evaluation["heldout"] for record in evaluated if record.evaluation],
    }  # fmt: skip
