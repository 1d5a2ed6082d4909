"""Budgets for one batch, in one call."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cobasim.allocation.base import Allocator, ValueAllocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.needs import check_evidence
from cobasim.allocation.observation import Observation
from cobasim.allocation.registry import find_allocator, make_allocator
from cobasim.allocation.solving import SOLVERS
from cobasim.arrays import FloatArray, IntArray, as_pass_rates
from cobasim.errors import InputError, unknown_name


def allocate(
    pass_rates: ArrayLike,
    total: int,
    *,
    allocator: str = "coba",
    low: int = 2,
    high: int = 128,
    failure_rate: float | None = None,
    solver: str = "threshold",
    attempts: ArrayLike | None = None,
    progress: float = 0.0,
    **parameters: Any,
) -> IntArray:
    """Budgets for one batch: how many rollouts each prompt should get.

    Args:
        pass_rates: (m,) estimates in [0, 1].
        total: rollouts to spend; the budgets sum to exactly this.
        allocator: a name in ALLOCATORS, or the import path ``module:Class`` of your own.
        low, high: bounds of each budget.
        failure_rate: the policy's global failure rate in [0, 1]; None: 1 - mean(pass_rates).
        solver: "threshold" (fast), "heap" (Algorithm 1) or "dp" (slow reference).
        attempts: rollouts behind each estimate, (m,) or one number for all; 0 = never tried. None:
            all were tried, nobody knows how often.
        progress: share of the training run that is done, in [0, 1] (for "linear-decay").
        parameters: the allocator's own, such as kappa, tau, gamma or alpha.

    Returns a numpy int64 array (m,).

    Raises InputError (a ValueError) for anything that cannot be used, saying what can; also if the
    allocator weighs the evidence behind the estimates ("evidence" in its ``needs``, such as
    "signal") and ``attempts`` is None.
    """
    obs, built = prepare(
        pass_rates,
        allocator=allocator,
        failure_rate=failure_rate,
        solver=solver,
        attempts=attempts,
        progress=progress,
        **parameters,
    )
    return built(obs, Limits(total, low, high))


def prepare(
    pass_rates: ArrayLike,
    *,
    allocator: str,
    failure_rate: float | None = None,
    solver: str = "threshold",
    attempts: ArrayLike | None = None,
    progress: float = 0.0,
    **parameters: Any,
) -> tuple[Observation, Allocator]:
    """The checked observation and allocator behind ``allocate``; arguments as there."""
    p = as_pass_rates(pass_rates)
    _check_share("progress", progress)
    if failure_rate is not None:
        _check_share("failure_rate", failure_rate)
    tried = _attempts(attempts, p.size)
    check_evidence(allocator, find_allocator(allocator).needs, known=attempts is not None)
    if solver not in SOLVERS:
        raise unknown_name("solver", solver, SOLVERS)
    if issubclass(find_allocator(allocator), ValueAllocator):
        parameters = {"solver": solver, **parameters}
    built = make_allocator(allocator, **parameters)
    if built.memory(p.size) and "features" not in built.needs:
        raise InputError(
            f"allocator {allocator!r} acts on what it remembers of earlier steps, which one batch "
            "has not: run it in the loop (`cobasim compare`)"
        )
    rate = 1.0 - float(p.mean()) if failure_rate is None else float(failure_rate)
    return Observation(p, tried, failure_rate=rate, progress=progress), built


def _attempts(given: ArrayLike | None, size: int) -> FloatArray:
    """Attempts (m,); 1 each if they are not known. Raises InputError."""
    try:
        tried = np.asarray(1.0 if given is None else given, dtype=np.float64)
        if tried.ndim == 0:
            tried = np.full(size, float(tried))
    except (TypeError, ValueError):
        tried = np.empty(0)
    if tried.shape != (size,) or not bool(np.all((tried >= 0.0) & np.isfinite(tried))):
        raise InputError(
            f"attempts must be one number >= 0, or one for each of the {size} pass rates, got "
            f"{given!r}"[:300]
        )
    return tried


def _check_share(name: str, given: object) -> None:
    kinds = (int, float, np.integer, np.floating)
    if not (isinstance(given, kinds) and 0.0 <= given <= 1.0):
        raise InputError(f"{name} must be a number in [0, 1], got {given!r}")
