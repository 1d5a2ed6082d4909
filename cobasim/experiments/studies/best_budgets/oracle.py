"""The best budgets as an allocator: in every step of a run, from the policy itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cobasim.allocation import Allocator, Limits, Observation
from cobasim.arrays import IntArray
from cobasim.errors import InputError
from cobasim.experiments.studies.best_budgets.heldout import Heldout
from cobasim.experiments.studies.best_budgets.problem import step_problem
from cobasim.experiments.studies.best_budgets.search import best_budgets
from cobasim.world import MeasuredPolicy


@dataclass(frozen=True, kw_only=True, eq=False)
class BestBudgets(Allocator):
    """Maximises the expected gain of each step: an oracle that reads features and pass rates.

    It spends the total; the prompts of further batches that it does not choose get 0.

    Attributes:
        policy: the learner of the loop.
        scale: a name in SCALES.
        batches: how many batches it chooses its prompts from; 1: it takes the batch as it is.
        rows: (n,) of the world's table, the held-out prompts whose accuracy it maximises; None: all
            of them.
    """

    exact: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    policy: MeasuredPolicy
    scale: str = "own"
    batches: int = 1
    rows: IntArray | None = None

    def __post_init__(self) -> None:
        """Nothing: a policy is no number to check."""

    def candidates(self) -> int:
        """``batches``."""
        return self.batches

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class. Raises InputError outside a loop, where prompts have no numbers."""
        if obs.prompts is None:
            raise InputError("the best budgets are those of a policy's own prompts: use a loop")
        places = int(np.count_nonzero(obs.batches == 0))
        heldout = Heldout(self.policy, self.rows)
        return best_budgets(
            step_problem(
                self.policy, obs.prompts, limits, places=places, scale=self.scale, heldout=heldout
            )
        )
