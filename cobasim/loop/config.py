"""Settings of the loop."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cobasim.allocation import ESTIMATORS, Limits
from cobasim.errors import unknown_name
from cobasim.settings import Frozen

LONGEST = 10  # updates of a run, in its steps, at most: however little each of them spends


class MixStep(Frozen):
    """From ``step`` on, prompts of cluster (or chain) k are drawn with weight ``weights[k]``."""

    step: Annotated[int, Field(ge=0)]
    weights: Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], Field(min_length=1)]


class LoopConfig(Frozen):
    """The step that simulation and training share."""

    steps: Annotated[int, Field(ge=1)] = 200
    batch_size: Annotated[int, Field(ge=1)] = 512  # M, prompts per step
    total_budget: Annotated[int, Field(ge=1)] = 8192  # B_total, rollouts per step
    # response tokens per step, converted to rollouts (TokenBudget); total_budget is then that of
    # steps before any length is known. In a simulated world the unit is the mean response.
    token_budget: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] | None = None
    low: Annotated[int, Field(ge=0)] = 2
    high: Annotated[int, Field(ge=1)] = 128
    window: Annotated[int, Field(ge=1)] = 3  # k, steps in the moving average of the failure rate
    estimator: str | None = None  # None: the rule of the allocator's publication
    estimator_parameters: dict[str, float] = {}
    # what estimators know at the start: nothing, or the counts of the file of pass rates
    first_beliefs: Literal["unseen", "measured"] = "unseen"
    eval_every: Annotated[int, Field(ge=1)] = 10
    mix: tuple[MixStep, ...] = ()  # schedule of task mixes; empty: epochs over the whole pool

    @model_validator(mode="after")
    def _feasible(self) -> LoopConfig:
        self.limits.for_batch(self.batch_size)
        if self.estimator is not None and self.estimator not in ESTIMATORS:
            raise unknown_name("estimator", self.estimator, ESTIMATORS)
        return self

    @property
    def limits(self) -> Limits:
        """Total and bounds of a step."""
        return Limits(self.total_budget, self.low, self.high)

    def share_spent(self, rollouts: int, tokens: float | None = None) -> float:
        """Share of what a run may spend, steps x rollouts or tokens of a step; 1 or more: all."""
        if self.token_budget is not None:
            return (tokens or 0.0) / (self.steps * self.token_budget)
        return rollouts / (self.steps * self.total_budget)

    def finished(self, step: int, rollouts: int, tokens: float | None = None) -> bool:
        """Whether a run that made ``step`` updates is at its end, by what it spent.

        All runs spend steps x total rollouts, or steps x the tokens of a step where there is a
        budget of tokens: an allocator that spends less a step makes more updates (at most LONGEST
        times the steps), one that spends more makes fewer.
        """
        return self.share_spent(rollouts, tokens) >= 1.0 or step >= LONGEST * self.steps
