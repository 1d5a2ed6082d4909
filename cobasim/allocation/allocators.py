"""Allocators: what is believed of a batch, and limits -> a budget for every prompt.

Each allocator is a frozen dataclass: its fields are its parameters, their metadata the bounds.
Register a new one in ALLOCATORS; one that has a value function only needs ``value``.
"""

from __future__ import annotations

import dataclasses
import math
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cobasim.allocation.beliefs.capability import beta_shape
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Kept, Observation
from cobasim.allocation.solving.solvers import SOLVERS, solve
from cobasim.allocation.solving.spread import spread_evenly, spread_proportionally
from cobasim.allocation.solving.values import CobaValue, KnapsackValue, ValueFunction
from cobasim.arrays import FloatArray, IntArray, as_pass_rates
from cobasim.errors import InputError, unknown_name
from cobasim.plugins import import_class


def parameter(
    default: Any,
    doc: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    choices: tuple[str, ...] | None = None,
) -> Any:
    """A dataclass field with a description and bounds; None as default means: derived."""
    bounds = {"above": above, "at_least": at_least, "at_most": at_most, "choices": choices}
    metadata = {"doc": doc} | {k: v for k, v in bounds.items() if v is not None}
    return dataclasses.field(default=default, metadata=metadata)


def _check_parameter(owner: str, field: dataclasses.Field[Any], value: Any) -> None:
    bounds = field.metadata
    if value is None and field.default is None:
        return
    if "choices" in bounds:
        if value not in bounds["choices"]:
            raise unknown_name(field.name, str(value), bounds["choices"])
        return
    whole = field.type == "int"
    kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, kinds):
        what = "a whole number" if whole else "a number"
        raise InputError(f"{owner}: {field.name} must be {what}, got {value!r}")
    wanted = []
    if "above" in bounds and not value > bounds["above"]:
        wanted.append(f"above {bounds['above']:g}")
    if "at_least" in bounds and not value >= bounds["at_least"]:
        wanted.append(f"at least {bounds['at_least']:g}")
    if "at_most" in bounds and not value <= bounds["at_most"]:
        wanted.append(f"at most {bounds['at_most']:g}")
    if not _is_finite(value):
        wanted.append("finite")
    if wanted:
        raise InputError(f"{owner}: {field.name} must be {' and '.join(wanted)}, got {value}")


def _is_finite(number: Any) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # a whole number beyond all floats
        return False


def uniform_budgets(num_prompts: int, limits: Limits) -> IntArray:
    """Equal budgets (m,) under ``limits``; what does not divide is spaced over the batch."""
    limits = limits.for_batch(num_prompts)
    room = np.full(num_prompts, limits.high - limits.low, dtype=np.int64)
    return limits.low + spread_evenly(limits.total - num_prompts * limits.low, room)


@dataclass(frozen=True, kw_only=True)
class Allocator(ABC):
    """Budgets for a batch: integers, low <= B_i <= high, summing to exactly the total.

    Frozen and without state. One that remembers prompts across visits declares arrays in
    ``memory`` and fills them in ``learn``; the loop owns, stores and restores them. One that looks
    at outcomes before it spends more overrides ``rounds``; one that trains on part of what it
    generated overrides ``keep``. What departs from exact totals says so in a class attribute.
    """

    source: ClassVar[str] = ""
    estimator: ClassVar[str] = "last"  # the pass-rate rule of its publication
    exact: ClassVar[bool] = True  # False: may skip prompts, and spend another total than asked
    in_rounds: ClassVar[bool] = False  # True: spends in several rounds, so it needs outcomes
    selects: ClassVar[bool] = False  # True: the update gets part of the rollouts (``keep``)
    uses_beliefs: ClassVar[bool] = True  # False: pass-rate estimates do not change what it does
    # of an observation, besides beliefs: "lengths", "gradient_norms" (where known), "rng"
    reads: ClassVar[tuple[str, ...]] = ()
    wants_features: ClassVar[bool] = False  # True: needs ``Observation.features``

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_parameter(type(self).__name__, field, getattr(self, field.name))

    @abstractmethod
    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Budgets (m,) for the observed batch. Raises InputError for an infeasible total."""

    def shape(self, obs: Observation) -> tuple[float, float] | None:
        """(alpha, beta) of the preference density in use; None where there is none."""
        return None

    def memory(self, num_prompts: int) -> dict[str, NDArray[Any]]:
        """What it remembers at the start of a run over a pool of prompts, as arrays by name.

        The loop hands these very arrays in as ``Observation.memory``.
        """
        return {}

    def learn(  # noqa: B027  (nothing to learn unless there is memory)
        self, obs: Observation, limits: Limits, budgets: IntArray, passes: IntArray
    ) -> None:
        """Update ``obs.memory`` in place after a step that spent ``budgets`` (m,) on ``obs``."""

    def candidates(self) -> int:
        """How many batches of prompts it is shown: more than 1 lets it draw further prompts."""
        return 1

    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """Yield the budgets (m,) of each round, 0 allowed; get its passes (m,) sent back."""
        yield self(obs, limits)

    def keep(self, obs: Observation, budgets: IntArray, passes: IntArray) -> Kept | None:
        """Which of the step's rollouts (m,) the update gets; None: all of them."""
        return None


@dataclass(frozen=True, kw_only=True)
class RoundsAllocator(Allocator):
    """An allocator whose budgets depend on the outcomes of earlier rounds of the same step."""

    in_rounds: ClassVar[bool] = True

    @abstractmethod
    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """See ``Allocator``."""

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Raises InputError: no budgets without outcomes."""
        limits.for_batch(obs.pass_rate.size)
        raise InputError(
            f"{type(self).__name__} spends in rounds and has to see outcomes in between: run it "
            "in the loop (`cobasim compare`), or drive its method `rounds`"
        )


@dataclass(frozen=True, kw_only=True)
class Uniform(Allocator):
    """The same number of rollouts for every prompt: plain GRPO."""

    source: ClassVar[str] = "GRPO, arXiv 2402.03300"

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Equal budgets; see ``uniform_budgets``."""
        return uniform_budgets(obs.pass_rate.size, limits)


@dataclass(frozen=True, kw_only=True)
class ValueAllocator(Allocator):
    """Maximises the sum of a value function; subclasses give ``value``.

    Prompts without rollouts get the uniform budget until they are seen, and the others share
    the rest.
    """

    solver: str = parameter("threshold", "how the maximum is found", choices=tuple(SOLVERS))

    @abstractmethod
    def value(self, obs: Observation) -> ValueFunction:
        """The value function of the seen prompts of a batch."""

    def allocate_seen(self, obs: Observation, limits: Limits) -> IntArray:
        """Budgets for prompts that have all been seen."""
        return solve(self.value(obs), limits, self.solver)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Uniform for unseen prompts, optimal for the seen ones."""
        seen = obs.seen
        if seen.all():
            return self.allocate_seen(obs, limits)
        budgets = uniform_budgets(obs.pass_rate.size, limits)
        if seen.any():
            share = Limits(int(budgets[seen].sum()), limits.low, limits.high)
            budgets[seen] = self.allocate_seen(obs.take(seen), share)
        return budgets


@dataclass(frozen=True, kw_only=True)
class Knapsack(ValueAllocator):
    """Knapsack-RL: the chance of a mixed group times the expected gain of one update.

    Fallback, as in its public code: a mixed prompt needs no more than c(p) = ln 0.1 /
    ln max(p, 1-p) rollouts for a 90 % chance of both outcomes. When the total exceeds what the
    mixed prompts can use by that measure, the excess is split evenly over the prompts with
    p = 0; what these cannot take, or all of it where there are none, over the other prompts that
    are not mixed; what is left after that goes back to the mixed ones.
    """

    source: ClassVar[str] = "Knapsack-RL, arXiv 2509.25849"

    def value(self, obs: Observation) -> ValueFunction:
        """See ``KnapsackValue``."""
        return KnapsackValue(obs.pass_rate)

    def allocate_seen(self, obs: Observation, limits: Limits) -> IntArray:
        """The solver on the mixed prompts, after the fallback for the excess."""
        p = obs.pass_rate
        limits = limits.for_batch(p.size)
        low, high = limits.low, limits.high
        mixed = (p > 0.0) & (p < 1.0)
        others = ~mixed
        if not others.any():
            return super().allocate_seen(obs, limits)
        budgets = np.full(p.size, low, dtype=np.int64)
        available = limits.total - low * int(others.sum())  # for the mixed prompts, at most
        with np.errstate(over="ignore"):
            cost = np.log(0.1) / np.log1p(-np.minimum(p[mixed], 1.0 - p[mixed]))
        usable = int(np.clip(np.ceil(np.fmin(cost, high)), low, high).sum())
        excess = max(available - usable, 0)
        for fallback in (p == 0.0, others):
            room = np.where(fallback & (budgets < high), high - budgets, 0)
            extra = spread_evenly(min(excess, int(room.sum())), room)
            budgets += extra
            excess -= int(extra.sum())
            available -= int(extra.sum())
        if mixed.any():
            value = KnapsackValue(p[mixed])
            budgets[mixed] = solve(value, Limits(available, low, high), self.solver)
        return budgets


@dataclass(frozen=True, kw_only=True)
class ShapeAllocator(ValueAllocator):
    """CoBA-RL's value function under some rule for (alpha, beta); subclasses give ``shape``."""

    tau: float = parameter(8.0, "saturation scale of Eq. 8, in rollouts times p (1-p)", above=0)

    @abstractmethod
    def shape(self, obs: Observation) -> tuple[float, float]:
        """(alpha, beta) of the preference density."""

    def value(self, obs: Observation) -> ValueFunction:
        """See ``CobaValue``."""
        alpha, beta = self.shape(obs)
        return CobaValue(obs.pass_rate, alpha=alpha, beta=beta, tau=self.tau)


@dataclass(frozen=True, kw_only=True)
class Fixed(ShapeAllocator):
    """CoBA-RL's value function with a Beta shape that never changes."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048, Table 3"
    alpha: float = parameter(5.5, "first parameter of the preference density", above=0)
    beta: float = parameter(5.5, "second parameter of the preference density", above=0)

    def shape(self, obs: Observation) -> tuple[float, float]:
        """The parameters, as given."""
        return self.alpha, self.beta


@dataclass(frozen=True, kw_only=True)
class FixedExploit(Fixed):
    """Always prefers prompts that mostly pass: Beta(10.5, 1.5)."""

    alpha: float = parameter(10.5, "first parameter of the preference density", above=0)
    beta: float = parameter(1.5, "second parameter of the preference density", above=0)


@dataclass(frozen=True, kw_only=True)
class FixedExplore(Fixed):
    """Always prefers prompts that mostly fail: Beta(1.5, 10.5)."""

    alpha: float = parameter(1.5, "first parameter of the preference density", above=0)
    beta: float = parameter(10.5, "second parameter of the preference density", above=0)


@dataclass(frozen=True, kw_only=True)
class LinearDecay(ShapeAllocator):
    """Alpha falls in equal steps (10, 9, .., 1) over the run, whatever the policy does."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048, Table 3"
    kappa: float = parameter(11.0, "alpha + beta", above=2)
    steps: int = parameter(10, "number of equal steps over the run", at_least=1)

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Alpha from kappa - 1 down to 1 by ``obs.progress``."""
        done = min(int(obs.progress * self.steps), self.steps - 1)
        alpha = self.kappa - 1.0 - (self.kappa - 2.0) * done / max(self.steps - 1, 1)
        return alpha, self.kappa - alpha


@dataclass(frozen=True, kw_only=True)
class Coba(ShapeAllocator):
    """CoBA-RL: alpha follows the global failure rate, from exploiting to exploring."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048"
    kappa: float = parameter(11.0, "alpha + beta (Eq. 7)", above=2)
    gamma: float = parameter(10.0, "steepness of Psi below 0.5 (Eq. 6)", above=0)
    alpha: float | None = parameter(None, "hold alpha at this value (else Eq. 7)", above=0)
    alpha_min: float = parameter(1.0, "lower clip of alpha; the paper is silent", above=0)
    alpha_max: float | None = parameter(
        None, "upper clip of alpha; kappa - 1 where not given; the paper is silent", above=0
    )
    slope: float | None = parameter(
        None, "lambda of Eq. 7; kappa - 2 where not given; the paper is silent", at_least=0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        top = self.kappa - 1.0 if self.alpha_max is None else self.alpha_max
        for name, alpha in (("alpha", self.alpha), ("alpha_max", top)):
            if alpha is not None and alpha >= self.kappa:
                raise InputError(
                    f"{type(self).__name__}: {name} must be below kappa ({self.kappa:g}), since "
                    f"beta = kappa - alpha, got {alpha:g}"
                )
        if self.alpha_min > top:
            raise InputError(
                f"{type(self).__name__}: alpha_min ({self.alpha_min:g}) is above alpha_max "
                f"({top:g})"
            )

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Eq. 7 at the smoothed failure rate; before the first one, at the batch's own."""
        if self.alpha is not None:
            return self.alpha, self.kappa - self.alpha
        rate = obs.failure_rate
        if rate is None:
            seen = obs.seen
            rate = 1.0 - float(np.mean(obs.pass_rate[seen] if seen.any() else obs.pass_rate))
        return beta_shape(
            rate,
            kappa=self.kappa,
            gamma=self.gamma,
            alpha_min=self.alpha_min,
            alpha_max=self.alpha_max,
            slope=self.slope,
        )


@dataclass(frozen=True, kw_only=True)
class CobaExploreFirst(Coba):
    """CoBA-RL with alpha mirrored: it rises with capability (Table 2's first row)."""

    source: ClassVar[str] = "CoBA-RL, arXiv 2602.03048, Table 2"

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Alpha mirrored at the middle of its range."""
        if self.alpha is not None:
            return self.alpha, self.kappa - self.alpha
        alpha, _ = super().shape(obs)
        top = self.kappa - 1.0 if self.alpha_max is None else self.alpha_max
        mirrored = self.alpha_min + top - alpha
        return mirrored, self.kappa - mirrored


@dataclass(frozen=True, kw_only=True)
class CobaSignal(Coba):
    """CoBA-RL with alpha driven by another signal than the failure rate; subclasses give it.

    A signal s in [0, 1] is made from the estimates of the batch's seen prompts, without
    smoothing, and takes the place of Fbar in Eq. 6: as a success rate (F = 1 - s) it makes alpha
    fall as it grows, as a failure rate (F = s) it makes alpha rise.
    """

    source: ClassVar[str] = "a variant of CoBA-RL, arXiv 2602.03048, which leaves it open"
    read_as: str = parameter(
        "success", "whether a high signal means success or failure", choices=("success", "failure")
    )

    @abstractmethod
    def signal(self, pass_rate: FloatArray) -> float:
        """The signal in [0, 1] from estimated pass rates (m,), m >= 1."""

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Eq. 7 at the signal; before any prompt was seen, as ``Coba``."""
        seen = obs.seen
        if not seen.any():
            return super().shape(obs)
        signal = self.signal(obs.pass_rate[seen])
        rate = 1.0 - signal if self.read_as == "success" else signal
        return super().shape(dataclasses.replace(obs, failure_rate=rate))


@dataclass(frozen=True, kw_only=True)
class CobaVariance(CobaSignal):
    """CoBA-RL driven by the variance of rewards: s = 4 mean p (1-p)."""

    def signal(self, pass_rate: FloatArray) -> float:
        """1 where every prompt passes half of the time, 0 where none is in doubt."""
        return 4.0 * float(np.mean(pass_rate * (1.0 - pass_rate)))


@dataclass(frozen=True, kw_only=True)
class CobaMixed(CobaSignal):
    """CoBA-RL driven by the expected share of mixed groups under uniform budgets."""

    group_size: int = parameter(16, "rollouts of the groups that the share is expected of",
                                at_least=2)  # fmt: skip

    def signal(self, pass_rate: FloatArray) -> float:
        """s = mean of 1 - p^n - (1-p)^n, n = ``group_size``."""
        n = self.group_size
        return float(np.mean(1.0 - pass_rate**n - (1.0 - pass_rate) ** n))


@dataclass(frozen=True, kw_only=True)
class CobaUpdate(CobaSignal):
    """CoBA-RL driven by the expected size of a GRPO update: s = 2 mean sqrt(p (1-p)).

    The large-group limit of the move of a prompt's logit, sqrt(m (n-m)) / n for m passes of n
    rollouts, over its largest value.
    """

    def signal(self, pass_rate: FloatArray) -> float:
        """1 where every prompt passes half of the time, 0 where nothing is to be learned."""
        return 2.0 * float(np.mean(np.sqrt(pass_rate * (1.0 - pass_rate))))


@dataclass(frozen=True, kw_only=True)
class CobaReleased(Coba):
    """What CoBA-RL's released allocator does beyond the paper.

    Unseen prompts count as 0.5 (a batch of only unseen ones is uniform); p is clipped to
    [0.01, 0.99] in the value; tau = 3 + 9 min(1, Var(p) / 0.1667) over the explorable prompts,
    those with 0.05 <= p <= 0.99. After ``low`` for all, the solver gets a share r of what is left
    for the explorable prompts (0.8 if they are more than half of the batch, else 0.6 + 0.4 times
    their share); the rest goes to the very hard prompts (p < 0.05) in proportion to 1 - p, then
    evenly to the explorable, then evenly to the very easy ones. Departure: the released code
    underspends when all are full; here the sum is always the total.
    """

    source: ClassVar[str] = "released code of CoBA-RL, as described in docs/allocators.md"
    estimator: ClassVar[str] = "window"
    tau: float | None = parameter(  # type: ignore[assignment]
        None, "saturation scale; follows Var(p) where not given", above=0
    )

    def shape(self, obs: Observation) -> tuple[float, float]:
        """Eq. 7; alpha = kappa - 2 before anything was seen."""
        if obs.failure_rate is None and self.alpha is None and not obs.seen.any():
            return self.kappa - 2.0, 2.0
        return super().shape(obs)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        if not obs.seen.any():
            return uniform_budgets(obs.pass_rate.size, limits)
        p = np.where(obs.seen, obs.pass_rate, 0.5)
        limits = limits.for_batch(p.size)
        low, high = limits.low, limits.high
        hard, easy = p < 0.05, p > 0.99
        explorable = ~(hard | easy)
        share = float(explorable.mean())
        left = limits.total - p.size * low
        budgets = np.full(p.size, low, dtype=np.int64)
        if explorable.any():
            part = int((0.8 if share > 0.5 else 0.6 + 0.4 * share) * left)
            part = min(part, int(explorable.sum()) * (high - low))
            wanted = Limits(low * int(explorable.sum()) + part, low, high)
            budgets[explorable] = solve(self.value(obs.take(explorable)), wanted, self.solver)
            left -= part
        for group, weights in (
            (hard, 1.0 - p),
            (explorable, np.zeros_like(p)),
            (easy, np.zeros_like(p)),
        ):
            room = np.where(group, high - budgets, 0)
            extra = spread_proportionally(min(left, int(room.sum())), weights, room)
            budgets += extra
            left -= int(extra.sum())
        return budgets

    def value(self, obs: Observation) -> ValueFunction:
        """The value function of explorable prompts; tau follows the variance of their rates."""
        p = np.where(obs.seen, obs.pass_rate, 0.5)
        alpha, beta = self.shape(obs)
        tau = self.tau
        if tau is None:
            tau = 3.0 + 9.0 * min(1.0, float(np.var(p)) / 0.1667)
        return CobaValue(np.clip(p, 0.01, 0.99), alpha=alpha, beta=beta, tau=tau)


ALLOCATORS: dict[str, type[Allocator]] = {
    "uniform": Uniform,
    "knapsack": Knapsack,
    "fixed-exploit": FixedExploit,
    "fixed-explore": FixedExplore,
    "fixed": Fixed,
    "linear-decay": LinearDecay,
    "coba": Coba,
    "coba-explore-first": CobaExploreFirst,
    "coba-released": CobaReleased,
    "coba-variance": CobaVariance,
    "coba-mixed": CobaMixed,
    "coba-update": CobaUpdate,
}


LEARNED = "learned:"  # prefix of a file that `cobasim learn` wrote


def one_shot(names: Iterable[str] = ALLOCATORS) -> list[str]:
    """Of names, those whose budgets follow from pass rates alone, and meet the total.

    Raises InputError as ``find_allocator``.
    """

    def simple(kind: type[Allocator]) -> bool:
        return kind.exact and not (kind.in_rounds or kind.wants_features)

    return [name for name in names if simple(find_allocator(name))]


def find_allocator(name: str) -> type[Allocator]:
    """The class of a name in ALLOCATORS, of an import path ``module:Class``, or ``learned:FILE``.

    Raises InputError when there is none.
    """
    if name in ALLOCATORS:
        return ALLOCATORS[name]
    if str(name).startswith(LEARNED):
        from cobasim.allocation.methods.learned import learned_class

        return learned_class(str(name).removeprefix(LEARNED))
    if ":" not in str(name):
        raise unknown_name("allocator", name, ALLOCATORS)
    return import_class("allocator", name, Allocator)


def make_allocator(name: str, **parameters: Any) -> Allocator:
    """Build an allocator by its name in ALLOCATORS or its import path ``module:Class``.

    Raises InputError for an unknown name or parameter (the nearest is suggested), or a value out
    of bounds.
    """
    kind = find_allocator(name)
    known = [field.name for field in dataclasses.fields(kind)]
    for given in parameters:
        if given not in known:
            if not known:
                raise InputError(f"allocator {name!r} takes no parameters, got {given!r}")
            raise unknown_name(f"parameter of allocator {name!r}", given, known)
    return kind(**parameters)


def own_parameters(name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``parameters`` that the allocator of this name takes. Raises as find_allocator."""
    own = {field.name for field in dataclasses.fields(find_allocator(name))}
    return {key: value for key, value in parameters.items() if key in own}


def describe_allocators(names: Iterable[str] = ALLOCATORS) -> list[dict[str, Any]]:
    """Each allocator's name, one line, source, estimator, and parameters with bounds.

    Args:
        names: as for ``find_allocator``, which see for errors; all registered ones by default.
    """
    rows = []
    for name in names:
        kind = find_allocator(name)
        parameters = [
            {"name": f.name, "default": f.default, **f.metadata} for f in dataclasses.fields(kind)
        ]
        summary = (kind.__doc__ or "").strip().splitlines()[0]
        rows.append(
            {
                "name": name,
                "summary": summary,
                "source": kind.source,
                "estimator": kind.estimator,
                "exact": kind.exact,
                "in_rounds": kind.in_rounds,
                "selects": kind.selects,
                "parameters": parameters,
            }
        )
    return rows


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
        attempts: (m,) rollouts behind each estimate, 0 = never tried; None: all were tried.
        progress: share of the training run that is done, in [0, 1] (for "linear-decay").
        parameters: the allocator's own, such as kappa, tau, gamma or alpha.

    Returns a numpy int64 array (m,).

    Raises InputError (a ValueError) for anything that cannot be used, saying what can.
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
    try:
        tried = np.ones_like(p) if attempts is None else np.asarray(attempts, dtype=np.float64)
    except (TypeError, ValueError):
        tried = np.empty(0)
    if tried.shape != p.shape or not bool(np.all(tried >= 0.0)):
        raise InputError("attempts must be one number >= 0 for each pass rate")
    if solver not in SOLVERS:
        raise unknown_name("solver", solver, SOLVERS)
    if issubclass(find_allocator(allocator), ValueAllocator):
        parameters = {"solver": solver, **parameters}
    built = make_allocator(allocator, **parameters)
    rate = 1.0 - float(p.mean()) if failure_rate is None else float(failure_rate)
    return Observation(p, tried, failure_rate=rate, progress=progress), built


def _check_share(name: str, given: object) -> None:
    kinds = (int, float, np.integer, np.floating)
    if not (isinstance(given, kinds) and 0.0 <= given <= 1.0):
        raise InputError(f"{name} must be a number in [0, 1], got {given!r}")
