"""Expected gains of one step at several points of a uniform run, by who gives the budgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobasim.experiments.studies.best_budgets.drawn import drawn_gains
from cobasim.experiments.studies.best_budgets.heldout import Heldout
from cobasim.experiments.studies.best_budgets.problem import SCALES, StepProblem, step_problem
from cobasim.experiments.studies.best_budgets.search import best_budgets, best_prompts
from cobasim.experiments.studies.best_budgets.watching import WatchedRun
from cobasim.runs import RunConfig, build_loop, one_thread
from cobasim.world import MeasuredPolicy

CHOICE = 4  # batches from which prompts are chosen, as many as greso looks at
RATE_CLASSES = 8  # of equal size, by which somebody who knows pass rates tells prompts apart
FIFTHS = 5
CHECKS = 99  # random stream of the drawn steps

BEST = "best budgets"
BY_RATE = "best by pass rate"
BY_LEVEL = "best by rate and level"
VALIDATED = "best from validation"
PROMPTS = "best prompts"
BOTH = "best prompts and budgets"
BOTH_VALIDATED = "best of both from validation"
POOLED = "best from the pool"
BOTH_POOLED = "best of both from the pool"


class Plan(NamedTuple):
    """What is measured at which steps of a run.

    Attributes:
        names: of allocators, beside the best budgets.
        at: steps.
        batches: how many of the batches that follow are tried at each.
        draws: of steps that check an expected gain.
    """

    names: tuple[str, ...]
    at: tuple[int, ...]
    batches: int
    draws: int


def halves(policy: MeasuredPolicy) -> tuple[IntArray, IntArray]:
    """Every second held-out prompt, and the others: rows of the world's table."""
    part = policy.sets["heldout"]
    rows = np.arange(part.start, part.stop)
    return rows[::2], rows[1::2]


def state_rows(config: RunConfig, plan: Plan) -> list[dict[str, Any]]:
    """One row a state, batch, scale and arm; and rows of part "check"."""
    with one_thread():
        run = WatchedRun(build_loop(config), plan.names)
        rows: list[dict[str, Any]] = []
        for step in range(max(plan.at) + 1):
            if step in plan.at:
                known = {"seed": config.seed, "weighting": config.world.weighting, "step": step}
                rows += [known | row for row in _at_state(run, plan)]
            run.advance()
    return rows


def _at_state(run: WatchedRun, plan: Plan) -> Iterator[dict[str, Any]]:
    loop, policy, limits = run.loop, run.loop.learner, run.loop.limits
    assert isinstance(policy, MeasuredPolicy)
    given = [
        {name: run.budgets(name, ahead) for name in plan.names} for ahead in range(plan.batches)
    ]
    wide = [loop.draw(CHOICE, ahead)[0] for ahead in range(plan.batches)]
    asked = [prompts for each in given for prompts, _ in each.values()]
    union = np.unique(np.concatenate([*wide, *asked]))
    size = loop.config.batch_size
    heldout = Heldout(policy)
    whole = step_problem(policy, union, limits, places=size, heldout=heldout)
    parts = [
        step_problem(policy, union, limits, places=size, heldout=Heldout(policy, rows))
        for rows in halves(policy)
    ]
    classes = _classes(whole.rate)
    level = np.unique(policy.cluster[union], return_inverse=True)[1]
    blurred = {
        BY_RATE: whole.blurred(classes),
        BY_LEVEL: whole.blurred(classes // 2 + RATE_CLASSES * level),
    }
    for ahead in range(plan.batches):
        batch = np.searchsorted(union, loop.draw(1, ahead)[0])
        for scale in SCALES:
            problem = replace(whole, scale=scale)

            def row(
                arm: str, gain: float, budgets: IntArray, scale: str = scale, ahead: int = ahead
            ) -> dict[str, Any]:
                return {
                    "part": "state", "scale": scale, "ahead": ahead, "arm": arm, "gain": gain,
                    "rollouts": int(budgets.sum()),
                }  # fmt: skip

            for name, (prompts, budgets) in given[ahead].items():
                chosen = budgets > 0
                some = np.searchsorted(union, prompts[chosen])
                yield row(name, problem.take(some).gain(budgets[chosen]), budgets)
            own = problem.take(batch)
            best = best_budgets(own)
            yield row(BEST, own.gain(best), best) | profile(own, best)
            if scale == "state":
                if ahead == 0:
                    yield from _checks(run, own, best, plan.draws, heldout)
                continue
            for arm, seen in blurred.items():
                budgets = best_budgets(replace(seen, scale=scale).take(batch))
                yield row(arm, own.gain(budgets), budgets)
            halved = [replace(part, scale=scale) for part in parts]
            yield row(VALIDATED, *validated(halved, batch))
            wider = np.searchsorted(union, wide[ahead])
            yield row(BOTH_VALIDATED, *validated(halved, wider))
            candidates = problem.take(wider)
            equal = best_prompts(candidates)
            yield row(PROMPTS, candidates.gain(equal), equal)
            both = best_budgets(candidates, [equal])
            yield row(BOTH, candidates.gain(both), both)


def validated(parts: Sequence[StepProblem], some: IntArray) -> tuple[float, IntArray]:
    """Mean gain of held-out halves with the best budgets of the other one, and budgets (m,)."""
    a, b = (part.take(some) for part in parts)
    from_a, from_b = best_budgets(a), best_budgets(b)
    return (b.gain(from_a) + a.gain(from_b)) / 2, from_a


def _classes(rate: FloatArray) -> IntArray:
    """(m,) classes of pass rates, of equal size."""
    edges = np.quantile(rate, np.arange(1, RATE_CLASSES) / RATE_CLASSES)
    return np.searchsorted(edges, rate)


def _checks(
    run: WatchedRun, problem: StepProblem, best: IntArray, draws: int, heldout: Heldout
) -> Iterator[dict[str, Any]]:
    """Drawn gains of uniform and of the best budgets beside the expected ones."""
    loop, policy = run.loop, run.loop.learner
    assert isinstance(policy, MeasuredPolicy)
    prompts = loop.draw()[0]
    rng = np.random.default_rng([loop.seed, CHECKS, loop.step])
    equal = best_prompts(problem)
    for arm, budgets in (("uniform", equal), (BEST, best)):
        gains = drawn_gains(policy, prompts, budgets, draws, rng, heldout)
        yield {
            "part": "check", "arm": arm, "gain": problem.gain(budgets), "draws": draws,
            "drawn": float(gains.mean()), "error": float(gains.std(ddof=1) / draws**0.5),
        }  # fmt: skip


def profile(problem: StepProblem, budgets: IntArray) -> dict[str, Any]:
    """Who gets the budget: mean budgets by fifths of two orders, and how concentrated it is.

    ``by_rise``: by h.x, how far a unit of the prompt's logit raises held-out accuracy, the lowest
    first. ``by_rate``: by pass rate in the classes 0 to 0.2, ... 0.8 to 1; None: no prompt.
    """
    order = np.argsort(problem.rise, kind="stable")
    by_rise = [float(budgets[part].mean()) for part in np.array_split(order, FIFTHS) if part.size]
    kind = np.minimum((problem.rate * FIFTHS).astype(np.int64), FIFTHS - 1)
    by_rate = [
        float(budgets[kind == one].mean()) if (kind == one).any() else None for one in range(FIFTHS)
    ]
    ordered = np.sort(budgets)[::-1]
    eighth = max(1, budgets.size // 8)
    return {
        "by_rise": by_rise,
        "by_rate": by_rate,
        "least": float(np.mean(budgets == problem.limits.low)),
        "eighth": float(ordered[:eighth].sum() / budgets.sum()),
        "harmful": float(np.mean(problem.rise < 0.0)),
    }
