"""The contract of allocators: beliefs about a batch, and limits -> a budget for every prompt.

An allocator is a frozen dataclass; its fields are its parameters. One that has a value function
derives from ``ValueAllocator`` and gives ``value`` only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import NDArray

from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Kept, Observation
from cobasim.allocation.parameters import check_parameters, parameter
from cobasim.allocation.solving import SOLVERS, ValueFunction, solve, uniform_budgets
from cobasim.arrays import IntArray
from cobasim.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Allocator(ABC):
    """Budgets for a batch: whole numbers, low <= B_i <= high, summing to exactly the total.

    Allocators are frozen and have no state. One that remembers prompts across visits declares
    arrays in ``memory`` and fills them in ``learn``; the loop owns, stores and restores them. One
    that looks at outcomes before it spends more overrides ``rounds``; one that trains on a part of
    its rollouts overrides ``keep``. Class attributes say how an allocator departs from this.

    Attributes:
        source: where the rule was published.
        estimator: the pass-rate rule of its publication, a name in ESTIMATORS.
        exact: whether it spends exactly the total; False: it may skip prompts, and spend another
            total.
        needs: names in ``needs.NEEDS``: what it needs of the loop and of the learner.
    """

    source: ClassVar[str] = ""
    estimator: ClassVar[str] = "last"
    exact: ClassVar[bool] = True
    needs: ClassVar[frozenset[str]] = frozenset({"beliefs"})

    def __post_init__(self) -> None:
        check_parameters(self)

    @abstractmethod
    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Budgets (m,) for the observed batch. Raises InputError if the total is infeasible."""

    def shape(self, obs: Observation) -> tuple[float, float] | None:
        """(alpha, beta) of the preference density in use; None if there is none."""
        return None

    def memory(self, num_prompts: int) -> dict[str, NDArray[Any]]:
        """What it remembers at the start of a run over a pool of prompts, as arrays by name.

        The loop passes these very arrays to it as ``Observation.memory``.
        """
        return {}

    def learn(  # noqa: B027  (without memory there is nothing to learn)
        self, obs: Observation, limits: Limits, budgets: IntArray, passes: IntArray
    ) -> None:
        """Update ``obs.memory`` in place after a step that spent ``budgets`` (m,) on ``obs``."""

    def candidates(self) -> int:
        """How many batches of prompts it chooses from; more than 1 lets it replace prompts."""
        return 1

    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """Yield the budgets (m,) of each round (0 allowed); receive the passes (m,) of each."""
        yield self(obs, limits)

    def keep(self, obs: Observation, budgets: IntArray, passes: IntArray) -> Kept | None:
        """The part of the step's rollouts (m,) that the update gets; None: all of them."""
        return None


@dataclass(frozen=True, kw_only=True)
class RoundsAllocator(Allocator):
    """An allocator whose budgets depend on the outcomes of earlier rounds of the same step."""

    needs: ClassVar[frozenset[str]] = frozenset({"rounds"})

    @abstractmethod
    def rounds(self, obs: Observation, limits: Limits) -> Generator[IntArray, IntArray, None]:
        """See ``Allocator``."""

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """Raises InputError: there are no budgets before the outcomes are known."""
        limits.for_batch(obs.pass_rate.size)
        raise InputError(
            f"{type(self).__name__} spends in rounds and must see outcomes in between: run it in "
            "the loop (`cobasim compare`), or drive its method `rounds`"
        )


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
        """Budgets (m,) for prompts that have all been seen."""
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
