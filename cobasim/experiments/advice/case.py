"""One's own case: the prompts, the sizes of the planned run, and what was observed of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import special

from cobasim.allocation import Limits
from cobasim.arrays import FloatArray
from cobasim.data import MeasuredRates, read_measured
from cobasim.errors import InputError, unknown_name
from cobasim.gradients import CLASSES, DOUBT, read_measured_files
from cobasim.records import Run, StepRecord
from cobasim.runs import BASELINE
from cobasim.world import measured_loop

Weighting = Literal["rollout", "token", "prompt"]
WEIGHTINGS: tuple[Weighting, ...] = ("rollout", "token", "prompt")
PER_TOKEN = (
    "Simulated responses have no lengths, so the answer for a loss per token is that per rollout: "
    "the same where responses are equally long."
)

BLOCKS = 4
"""Parts of a run over which its failure rates are averaged."""
MOST_VISITS = 100
"""Of a prompt in a planned run."""
MOST_UNEVEN = 0.1
"""Share of a uniform run's steps that may have unequal budgets: rollouts get lost."""
BOUNDS = ("low", "high")
FEW = 100
"""Prompts below which a pool says little of the population."""


@dataclass(frozen=True)
class Sizes:
    """The planned run; None: from the source, else a default (``usual_sizes`` and 3 visits).

    Attributes:
        batch_size: prompts a step, M.
        total_budget: rollouts a step, B_total.
        low, high: bounds of a prompt's budget.
        visits: times that each prompt of the pool comes up in the run.
        weighting: what counts equally in the loss.
        pool_size: prompts of the pool.
    """

    batch_size: int | None = None
    total_budget: int | None = None
    low: int | None = None
    high: int | None = None
    visits: float | None = None
    weighting: str = "rollout"
    pool_size: int | None = None

    def __post_init__(self) -> None:
        if self.weighting not in WEIGHTINGS:
            raise unknown_name("weighting", self.weighting, WEIGHTINGS)
        for name in ("batch_size", "total_budget", "low", "high", "pool_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; expected at least 1")
        if self.visits is not None and not 0 < self.visits <= MOST_VISITS:
            raise InputError(
                f"visits is {self.visits}; expected a number above 0, at most {MOST_VISITS}: "
                "longer runs are not simulated"
            )

    def filled(self, **found: float | None) -> Sizes:
        """With what a source knows in place of what is not given; its mean budget is kept."""
        batch, budget = found.get("batch_size"), found.get("total_budget")
        if batch and budget:
            if self.batch_size is not None:
                found["total_budget"] = round(self.batch_size * budget / batch)
            elif self.total_budget is not None:
                found["batch_size"] = max(1, round(self.total_budget * batch / budget))
        own: dict[str, Any] = {
            n: v for n, v in found.items() if v is not None and getattr(self, n) is None
        }
        return replace(self, **own)


@dataclass(frozen=True, eq=False)
class Observed:
    """What a uniform run showed.

    Attributes:
        failure: (BLOCKS,) mean failure rates of its parts.
        heldout: held-out accuracy gained from its first evaluation to its last; None if it was not
            evaluated twice.
        span: shares of its steps at which these were; a run of a ledger has none at step 0.
    """

    failure: FloatArray
    heldout: float | None
    span: tuple[float, float] = (0.0, 1.0)

    @classmethod
    def of(cls, steps: Sequence[StepRecord]) -> Observed:
        """Of the records of a run with at least BLOCKS steps.

        Raises InputError for fewer, and for accuracies that are no shares.
        """
        rates = [s.failure_rate for s in steps if s.failure_rate is not None]
        if len(rates) < BLOCKS:
            raise InputError(
                f"the run has {len(rates)} steps with a failure rate; expected at least {BLOCKS}"
            )
        known = [
            (s.step, float(s.evaluation["heldout"]))
            for s in steps
            if s.evaluation is not None and s.evaluation.get("heldout") is not None
        ]
        for step, value in known:
            if not 0.0 <= value <= 1.0:
                raise InputError(
                    f"the held-out accuracy at step {step} is {value:g}; expected a share from 0 "
                    "to 1 (percent?)"
                )
        failure = np.array([np.mean(part) for part in np.array_split(rates, BLOCKS)])
        if len(known) < 2:
            return cls(failure, None)
        (first, before), (last, after) = known[0], known[-1]
        return cls(failure, after - before, (first / steps[-1].step, last / steps[-1].step))


@dataclass(frozen=True, eq=False)
class Case:
    """The question in numbers.

    Attributes:
        source: what it was made from, in words.
        kind: "pass rates", "run" or "measured".
        pass_rates: (P,) of the pool, in [0, 1].
        attempts: (P,) rollouts behind each; None: not known, or exact.
        prompts: of the pool, from which visits are counted; P unless the source says more.
        batch_size, total_budget, low, high, visits, weighting: as in ``Sizes``, all known.
        measured: the files of a measured world.
        observed: what a uniform run showed.
        seen: the case of that run, with its own sizes.
        notes: what a reader of the answer should know.
        gradients_tell: whether a measurement of gradients could narrow the answer.

    Raises InputError if no allocator could change anything, or the sizes do not fit the pool.
    """

    source: str
    kind: Literal["pass rates", "run", "measured"]
    pass_rates: FloatArray
    attempts: FloatArray | None
    prompts: int
    batch_size: int
    total_budget: int
    low: int
    high: int
    visits: float
    weighting: Weighting
    measured: str | None = None
    observed: Observed | None = None
    seen: Case | None = None
    notes: tuple[str, ...] = ()
    gradients_tell: bool = True

    def __post_init__(self) -> None:
        size = self.pass_rates.size
        for value, remedy in ((0.0, "easier prompts or a warm-up"), (1.0, "harder prompts")):
            if np.all(self.pass_rates == value):
                raise InputError(
                    f"all {size:,} pass rates are {value:.0f}: no group has two outcomes, so none "
                    f"teaches anything and no allocator can help; more rollouts a prompt may, or "
                    f"{remedy}"
                )
        if self.batch_size > self.prompts:
            raise InputError(
                f"a step of {self.batch_size:,} prompts needs a pool of at least that many, got "
                f"{self.prompts:,}: give a smaller --batch-size"
            )
        Limits(self.total_budget, self.low, self.high).for_batch(self.batch_size)
        if self.steps < BLOCKS:
            raise InputError(
                f"{self.visits:g} visits of {self.prompts:,} prompts make only {self.steps} "
                f"step(s) of {self.batch_size:,}: too few for a run to learn anything; give more "
                "--visits, or a smaller --batch-size"
            )

    @property
    def mean_budget(self) -> float:
        """Rollouts a prompt under uniform."""
        return self.total_budget / self.batch_size

    @property
    def simulated_weighting(self) -> Literal["rollout", "prompt"]:
        """The weighting that stands for the case's in simulated worlds; see ``PER_TOKEN``."""
        return "rollout" if self.weighting == "token" else self.weighting

    @property
    def steps(self) -> int:
        """Of the planned run."""
        return max(1, round(self.visits * self.prompts / self.batch_size))

    def _one_outcome(self, n: int) -> FloatArray:
        """(P,) chance that a group of n has one outcome; 1 for n = 0, which teaches nothing."""
        p = self.pass_rates
        if n == 0:
            return np.ones(p.size)
        if self.attempts is None:
            return np.asarray(p**n + (1 - p) ** n)
        return one_outcome(p * self.attempts + 0.5, (1 - p) * self.attempts + 0.5, n)

    def silent(self) -> list[tuple[str, int, float]]:
        """Groups of one outcome under uniform now, which teach nothing.

        Of all prompts and by class of pass rate: name, prompts, and the expected share of groups
        with one outcome, E[p^n + (1-p)^n], n the mean budget (rounded down for some prompts and
        up for others if it is no whole number). Where attempts are known, over a Beta posterior
        with half a pass and half a failure before; else at the rate.
        """
        mean, p = self.mean_budget, self.pass_rates
        more = mean - math.floor(mean)  # of the prompts get one rollout more
        one = (1 - more) * self._one_outcome(math.floor(mean))
        one = one + more * self._one_outcome(math.floor(mean) + 1)
        rows = [("all", p.size, float(one.mean()))]
        for low, high in CLASSES:
            at = (p >= low) & ((p < high) if high < 1 else (p <= high))
            if at.any():
                rows.append((f"{low:g} to {high:g}", int(at.sum()), float(one[at].mean())))
        return rows


def one_outcome(a: FloatArray, b: FloatArray, n: float) -> FloatArray:
    """E[p^n + (1-p)^n] for p of Beta distributions (a, b): the chance that n rollouts agree."""
    whole = special.betaln(a, b)
    sides = (special.betaln(a + n, b), special.betaln(a, b + n))
    return np.asarray(sum(np.exp(side - whole) for side in sides))


def usual_sizes(prompts: int) -> tuple[int, int]:
    """Prompts and rollouts a step where nobody says: a quarter of the pool or 512, 16 a prompt."""
    batch = max(min(2, prompts), min(512, prompts // 4))
    return batch, 16 * batch


def starting_pool(rates: FloatArray, attempts: FloatArray | None, seed: int) -> FloatArray:
    """(P,) pass rates that measured ones may come from, drawn.

    Few attempts spread measured rates, and put many at 0 and 1, where nothing is learned. So each
    is drawn from its posterior under a Beta distribution whose mean and spread are those of the
    rates less the spread of attempts: Var(k / n) = m (1-m) (r + (1-r) E[1/n]) over prompts with n
    attempts, r = 1 / (a + b + 1). As measured where attempts are not known.
    """
    if attempts is None:
        return rates
    alone, mean = float(np.mean(1.0 / attempts)), float(np.mean(rates))
    share = 0.5  # one attempt each does not tell the spread
    if alone < 1 and 0 < mean < 1:
        share = (float(np.var(rates)) / (mean * (1 - mean)) - alone) / (1 - alone)
    strength = 1 / min(max(share, 0.002), 0.95) - 1
    passes = rates * attempts
    rng = np.random.default_rng([seed, 2])
    a, b = mean * strength + passes, (1 - mean) * strength + attempts - passes
    return np.asarray(rng.beta(np.maximum(a, 1e-6), np.maximum(b, 1e-6)))


def of_pass_rates(pool: MeasuredRates, sizes: Sizes) -> Case:
    """The case of measured pass rates. Raises InputError, also if some were not measured."""
    unseen = 0 if pool.attempts is None else int(np.count_nonzero(pool.attempts == 0))
    if unseen:
        raise InputError(
            f"{unseen:,} of {pool.pass_rate.size:,} prompts were not measured, and a simulated one "
            "has to start somewhere: leave them out (--missing skip)"
        )
    notes: tuple[str, ...] = ()
    if sizes.pool_size is not None and sizes.pool_size != pool.pass_rate.size:
        notes = (
            f"{pool.pass_rate.size:,} pass rates stand for a pool of {sizes.pool_size:,} prompts.",
        )
    return _planned(
        _case(
            pool.source, "pass rates", pool.pass_rate, pool.attempts, sizes, sizes.pool_size, notes
        )
    )


def of_run(run: Run, sizes: Sizes) -> Case:
    """The case of a uniform run: its sizes, its first failure rates, how it learned.

    Its pool is a Beta distribution with the failure rate and the share of mixed groups of the first
    visits. Worlds are weighed at the sizes of the run, whatever is planned (``Case.seen``).

    Raises InputError if budgets were not uniform, or the run is too short to say anything.
    """
    header, steps = run.header, [step for step in run.steps if step.step > 0]
    name = run.path.name or "the run"
    only = "advice needs a uniform run, which shows how the model learns without an allocator"
    if header.allocator != BASELINE:
        raise InputError(f"{name} was made with {header.allocator}: {only}")
    uneven = _uneven(steps)
    if len(uneven) > MOST_UNEVEN * len(steps):
        first = uneven[0]
        raise InputError(
            f"{name} has unequal budgets in {len(uneven)} of {len(steps)} steps (step "
            f"{first.step}: {first.budget_min} to {first.budget_max}): {only}; if it was one, are "
            "rollouts lost or prompts named twice in its log?"
        )
    observed = Observed.of(run.steps)
    loop = _loop_of(steps)
    batch, budget = loop["batch_size"], loop["total_budget"]
    said = header.config.get("loop")
    said = said if isinstance(said, dict) else {}
    own = Sizes(weighting=sizes.weighting)
    # a log says nothing of bounds: those in its header are the budgets that there were
    bounds = {name: None if header.source == "import" else said.get(name) for name in BOUNDS}
    pool, prompts = _beta_pool(steps, budget / batch), _pool_of(steps)
    rates = run.path / "pass_rates.csv"
    if rates.is_file():  # of an imported run: how many prompts there are, not where they began
        prompts = max(prompts or 0, read_measured(str(rates), None).pass_rate.size)
    notes: tuple[str, ...] = (
        "Pass rates of single prompts at the start are not in a run: its pool is taken to be a "
        "Beta distribution with the failure rate and the share of mixed groups of its first "
        "visits.",
    )
    if uneven:
        notes += (
            f"{len(uneven)} of {len(steps)} steps have unequal budgets, taken for rollouts that "
            "were lost.",
        )
    if sizes.pool_size is not None:
        prompts = sizes.pool_size
        if prompts < batch:
            raise InputError(
                f"a pool of {prompts:,} prompts cannot fill the {batch:,} prompts of a step of "
                f"{name}: give a larger --pool-size"
            )
    elif prompts is None:
        prompts = batch * len(steps)
        notes += (
            "No prompt is known to have come up twice: the pool is taken to be what was visited. "
            "If it is larger, give --pool-size.",
        )
    found = {"batch_size": batch, "total_budget": budget, **bounds}
    found["visits"] = min(MOST_VISITS, batch * len(steps) / prompts)
    seen = _case(str(run.path), "run", pool, None, own.filled(**found), prompts, notes)
    case = _case(str(run.path), "run", pool, None, sizes.filled(**found), prompts, notes)
    return replace(_planned(case), observed=observed, seen=seen)


def _uneven(steps: Sequence[StepRecord]) -> list[StepRecord]:
    """Steps whose budgets differ by more than a remainder."""
    return [
        step
        for step in steps
        if step.budget_min is not None
        and step.budget_max is not None
        and step.budget_max - step.budget_min > 1
    ]


def _loop_of(steps: Sequence[StepRecord]) -> dict[str, int]:
    sizes = [s.prompts for s in steps if s.prompts]
    if not sizes:
        raise InputError("the run does not say how many prompts a step had")
    spent = np.diff([0, *(s.rollouts for s in steps)])
    return {"batch_size": int(np.median(sizes)), "total_budget": int(np.median(spent))}


def _pool_of(steps: Sequence[StepRecord]) -> int | None:
    """Distinct prompts that were visited; None if none came up twice."""
    first = [s.bins["prompts"][-1] for s in steps if s.bins is not None]
    seen = [s.prompts or 0 for s in steps if s.bins is not None]
    return int(sum(first)) if sum(first) < sum(seen) else None


def _beta_pool(steps: Sequence[StepRecord], n: float) -> FloatArray:
    """(1024,) quantiles of the Beta distribution of first visits' failure rate and mixed share."""
    first = [s for s in steps if s.bins is not None and s.bins["prompts"][-1] == s.prompts]
    first = first or list(steps[: max(1, len(steps) // 10)])
    known = [(s.failure_rate, s.mixed_share) for s in first if s.mixed_share is not None]
    if not known:
        raise InputError("the run recorded no shares of mixed groups, so its pool is not known")
    mean = 1 - float(np.mean([f for f, _ in known if f is not None]))
    mixed = float(np.mean([m for _, m in known]))
    mean = min(max(mean, 1e-3), 1 - 1e-3)

    def share(log: float) -> float:  # of mixed groups for a + b = exp(log)
        a, b = np.array([mean, 1 - mean]) * math.exp(log)
        return 1 - float(one_outcome(a, b, n))

    from scipy import optimize  # slow to import, and pages that only ask for sizes wait for it

    low, high = math.log(0.05), math.log(500.0)
    if share(low) >= mixed:
        strength = low
    elif share(high) <= mixed:
        strength = high
    else:
        strength = optimize.brentq(lambda x: share(x) - mixed, low, high)
    a, b = mean * math.exp(strength), (1 - mean) * math.exp(strength)
    return np.asarray(special.betaincinv(a, b, (np.arange(1024) + 0.5) / 1024))


def of_measured(files: str, sizes: Sizes) -> Case:
    """The case of measured gradients: sizes and pool of the config that was measured.

    Of features that were made from rollouts only the pass rates are taken: see ``DOUBT``.

    Raises InputError for files that cannot be used.
    """
    measured = read_measured_files(files)[0]
    training = ~measured.heldout
    loop = measured_loop(f"measured:{files}")
    config = measured.info.get("config", {})
    size = config.get("task", {}).get("train_size") if isinstance(config, dict) else None
    prompts = sizes.pool_size or (int(size) if isinstance(size, int) else int(training.sum()))
    given = sizes.filled(**{n: loop.get(n) for n in ("batch_size", "total_budget", "low", "high")})
    if "steps" in loop and given.batch_size is not None:
        visits = min(MOST_VISITS, loop["steps"] * given.batch_size / prompts)
        given = given.filled(visits=visits)
    rates = np.asarray(measured.rate[training], dtype=np.float64)
    notes: tuple[str, ...] = ()
    if prompts > rates.size:
        notes = (f"{rates.size:,} of the {prompts:,} prompts were measured; copies fill the pool.",)
    if measured.from_rollouts:
        passes, rollouts = measured.sampled()
        attempts = np.full(rates.size, float(rollouts))
        notes = (f"{DOUBT} This answer is from the file's pass rates.", *notes)
        rates = passes[training] / rollouts
        case = _case(files, "pass rates", rates, attempts, given, prompts, notes)
        return replace(_planned(case), gradients_tell=False)
    case = _case(files, "measured", rates, None, given, prompts, notes)
    return replace(_planned(case), measured=files)


def _planned(case: Case) -> Case:
    """The case. Raises InputError if there is nothing to divide."""
    if case.batch_size == 1:
        raise InputError(
            "a step of one prompt leaves nothing to divide, so every allocator is uniform: give "
            "the prompts of a whole step as --batch-size"
        )
    return case


def _case(
    source: str,
    kind: Literal["pass rates", "run", "measured"],
    rates: FloatArray,
    attempts: FloatArray | None,
    sizes: Sizes,
    prompts: int | None = None,
    notes: tuple[str, ...] = (),
) -> Case:
    """With defaults for what is not known."""
    size = prompts or rates.size
    batch = sizes.batch_size if sizes.batch_size is not None else usual_sizes(size)[0]
    budget = sizes.total_budget if sizes.total_budget is not None else 16 * batch
    mean = budget / batch
    low = sizes.low if sizes.low is not None else max(1, min(2, int(mean)))
    high = sizes.high if sizes.high is not None else max(8, low, math.ceil(8 * mean))
    known = size if kind == "run" else rates.size
    if known < FEW:
        notes += (
            f"{known} prompts say little of those that you test on: treat the answer as a guess.",
        )
    if budget in (batch * low, batch * high):
        notes += (
            f"Budgets of {low} to {high} that sum to {budget:,} for {batch:,} prompts leave "
            "nothing to divide: give --low and --high.",
        )
    weighting = next(name for name in WEIGHTINGS if name == sizes.weighting)
    if weighting == "token":
        notes += (PER_TOKEN,)
    visits = sizes.visits or 3.0
    if visits <= 1:
        notes += (
            "No prompt comes up twice: nothing is known of a prompt before its rollouts, so these "
            "allocators spend them as uniform does, unless beliefs start from a measurement.",
        )
    return Case(
        source=source,
        kind=kind,
        pass_rates=rates,
        attempts=attempts,
        prompts=size,
        batch_size=batch,
        total_budget=budget,
        low=low,
        high=high,
        visits=visits,
        weighting=weighting,
        notes=notes,
    )
