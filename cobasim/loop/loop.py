"""The step that simulation and training share.

    batch of prompts -> pass-rate estimates -> capability -> budgets -> rollouts and pass counts
    -> policy update -> estimates and capability updated, one record

Only the learner differs: a simulated policy, or a language model with vLLM and GRPO.

An allocator may spend in rounds, skip or replace prompts, and train on a part of its rollouts;
then steps cost different amounts. Runs are compared at equal rollouts, or at equal tokens with a
budget of tokens: a run ends with the step that brings it to steps x the total of a step, so one
that spends less makes more updates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cobasim.account import Account
from cobasim.allocation import (
    Allocator,
    Limits,
    Observation,
    PassRateEstimator,
    check_needs,
    served_by,
)
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.loop.belief_error import belief_error
from cobasim.loop.config import LoopConfig
from cobasim.loop.learner import (
    CountsTokens,
    EvaluatesPool,
    KnowsFeatures,
    KnowsGradients,
    KnowsParts,
    Learner,
    TrainsOnPart,
    WeighsAsTold,
)
from cobasim.loop.order import BatchOrder
from cobasim.loop.spending import Spent, spend
from cobasim.loop.token_budget import TokenBudget
from cobasim.loop.truth import build_estimator, build_lengths
from cobasim.records import StepRecord


class Loop:
    """The state between steps: what was seen of the prompts and of the policy.

    Args:
        learner: who acts and learns.
        config: sizes, bounds and rules of the loop.
        seed: fixes the order of prompts.
        estimator: pass-rate rule, a name in ESTIMATORS, or "truth" for an oracle.
        weigh_as: an allocator whose budgets weigh the prompts in the loss; None: those spent.
        counts: attempts and passes (P,) of the pool from before the run, from which beliefs start;
            None: every prompt is unseen.
    """

    def __init__(
        self,
        learner: Learner,
        config: LoopConfig,
        *,
        seed: int,
        estimator: str = "last",
        weigh_as: Allocator | None = None,
        counts: tuple[IntArray, IntArray] | None = None,
    ) -> None:
        if weigh_as is not None and not isinstance(learner, WeighsAsTold):
            raise InputError(
                f"weigh_as needs a learner with a method weigh, which {type(learner).__name__} "
                "has not (the simulated worlds have it)"
            )
        self.learner, self.config, self._limits = learner, config, config.limits
        self.seed, self.weigh_as = seed, weigh_as
        size = learner.num_prompts
        self.account = Account(
            build_estimator(estimator, learner, config),
            size,
            window=config.window,
            seed=seed,
            share_spent=config.share_spent,
            weighting=getattr(learner, "weighting", None),
        )
        if counts is not None:
            self.estimator.start(*counts)
        self.lengths = build_lengths(estimator, learner)
        self.token_budget = self._token_budget()
        clusters = getattr(learner, "cluster", None)
        self.order = BatchOrder(
            size,
            config.batch_size,
            seed,
            mix=config.mix,
            clusters=None if clusters is None else clusters[:size],
        )
        self.drawn = 0  # batches drawn so far beyond one a step

    @property
    def step(self) -> int:
        """Policy updates made so far."""
        return self.account.step

    @property
    def rollouts(self) -> int:
        """Rollouts sampled so far."""
        return self.account.rollouts

    @property
    def tokens(self) -> float:
        """Tokens of the responses so far, if the learner counts them."""
        return self.account.tokens

    @property
    def estimator(self) -> PassRateEstimator:
        """The beliefs about prompts."""
        return self.account.estimator

    @property
    def done(self) -> bool:
        """Whether the run is at its end; see ``LoopConfig.finished``."""
        return self.config.finished(self.step, self.rollouts, self.tokens)

    @property
    def limits(self) -> Limits:
        """Total and bounds of the next step.

        With a budget of tokens the total is what they buy on the next batch, within the bounds;
        before any length is known it is that of the config.
        """
        if self.token_budget is None or self.lengths is None:
            return self._limits
        batch = self.order.batch(self.step, self.drawn)
        lengths = self.lengths.estimate(batch)
        if lengths is None:
            return self._limits
        low, high = self._limits.low, self._limits.high
        total = self.token_budget.rollouts(lengths)
        return Limits(min(max(total, batch.size * low, 1), batch.size * high), low, high)

    def _token_budget(self) -> TokenBudget | None:
        tokens = self.config.token_budget
        if tokens is None:
            return None
        if self.lengths is None:
            raise InputError(
                f"token_budget={tokens:g} needs a learner that counts tokens, and "
                f"{type(self.learner).__name__} does not: leave it out, or give responses lengths "
                "(in a simulated world length_spread above 0)"
            )
        return TokenBudget(tokens)

    def start(self) -> StepRecord:
        """The record of step 0: the evaluation before any update."""
        return StepRecord(step=0, rollouts=0, evaluation=self._evaluate())

    def advance(self, allocator: Allocator) -> StepRecord:
        """One whole step with an allocator.

        Raises InputError if the learner cannot serve the allocator, or if the allocator spends
        nothing, or not what it says it spends (``Allocator.exact``).
        """
        obs, limits = self.observe(allocator), self.limits
        shape = allocator.shape(obs)
        spent = spend(self.learner, allocator, obs, limits)
        spent.tokens = self._count_tokens(obs)
        trained = self._select(allocator, obs, spent)
        if self.weigh_as is not None:
            assert obs.prompts is not None
            assert isinstance(self.learner, WeighsAsTold)
            self.learner.weigh(obs.prompts, self.weigh_as(obs, limits))
        numbers: dict[str, Any] = {"learner": self._update(obs)}
        if allocator.needs & {"rounds", "part"}:
            numbers |= {"rounds": spent.rounds, "trained_rollouts": trained}
        allocator.learn(obs, limits, spent.budgets, spent.passes)
        obs, spent = self._used(allocator, obs, spent)
        numbers["allocate_ms"] = 1e3 * spent.seconds
        return self._finish(obs, spent, shape, numbers)

    def act(
        self,
        obs: Observation,
        budgets: IntArray,
        shape: tuple[float, float] | None = None,
        on_passes: Callable[[IntArray], None] = lambda _: None,
    ) -> StepRecord:
        """One whole step with given ``budgets`` (m,) for the observed prompts.

        ``on_passes`` gets the outcomes (m,), before the update.
        """
        assert obs.prompts is not None
        passes = self.learner.rollout(obs.prompts, budgets)
        on_passes(passes)
        spent = Spent(budgets, passes, self._count_tokens(obs))
        return self._finish(obs, spent, shape, {"learner": self._update(obs)})

    def _count_tokens(self, obs: Observation) -> FloatArray | None:
        """Tokens (m,) of the responses of the step under way; None: not counted."""
        if self.lengths is None:
            return None
        assert obs.prompts is not None
        assert isinstance(self.learner, CountsTokens)
        return self.learner.response_tokens(obs.prompts)

    def _update(self, obs: Observation) -> dict[str, float]:
        """One policy update; its numbers, and the parts that the allocator saw."""
        seen = {} if obs.parts is None else obs.parts.numbers()
        return seen | self.learner.update()

    # -- the way of a pass rate: counts -> beliefs and capability -> an observation -------------

    def observe(self, allocator: Allocator | None = None) -> Observation:
        """What an allocator may know of the next prompts (m,); changes no belief.

        With an allocator: as many batches as it chooses from, and what it needs of loop and
        learner. Prompts are distinct: of a further batch, which may fall into the next epoch, only
        those that are new follow.
        """
        prompts, batch = self.draw(1 if allocator is None else allocator.candidates())
        if allocator is None:
            return self.account.observe(prompts, None, batch=batch)
        return self.seen(prompts, batch, self.estimator, allocator, self._remember(allocator))

    def draw(self, batches: int = 1, ahead: int = 0) -> tuple[IntArray, IntArray | None]:
        """Distinct prompts (m,) of the batches that come ``ahead`` batches after the next one.

        Returns also which of the batches each is from (m,); None if there is only one.
        """
        parts = [self.order.batch(self.step, self.drawn + ahead + k) for k in range(batches)]
        if batches == 1:
            return parts[0], None
        prompts = np.concatenate(parts)
        first = np.sort(np.unique(prompts, return_index=True)[1])
        return prompts[first], first // parts[0].size

    def seen(
        self,
        prompts: IntArray,
        batch: IntArray | None,
        estimator: PassRateEstimator,
        allocator: Allocator,
        memory: dict[str, NDArray[Any]],
        ahead: int = 0,
    ) -> Observation:
        """What an allocator with these beliefs and this memory may know; changes nothing.

        Args:
            prompts, batch: (m,) as ``draw`` gives them.
            estimator: whose beliefs.
            allocator: what it needs of loop and learner is served.
            memory: the allocator's.
            ahead: batches between the next one and these.
        """
        served = self._serve(allocator, prompts, ahead)
        return self.account.observe(prompts, memory, batch=batch, estimator=estimator, **served)

    def _serve(self, allocator: Allocator, prompts: IntArray, ahead: int) -> dict[str, Any]:
        """The fields of ``Observation`` that an allocator needs beside beliefs and memory."""
        learner, needs = self.learner, allocator.needs
        served: dict[str, Any] = {}
        if "randomness" in needs:
            served["rng"] = self.account.rng(ahead)
        if "features" in needs:
            assert isinstance(learner, KnowsFeatures)
            served["features"] = learner.prompt_features(prompts)
        if "lengths" in needs and self.lengths is not None:
            served["lengths"] = self.lengths.estimate(prompts)
        if "gradient_norms" in needs and isinstance(learner, KnowsGradients):
            served["gradient_norms"] = learner.gradient_norms(prompts)
        if "parts" in needs and isinstance(learner, KnowsParts):
            served["parts"] = learner.gradient_parts()
        return served

    def _remember(self, allocator: Allocator) -> dict[str, NDArray[Any]]:
        """The memory of ``allocator``: new at the start of a run, checked after a restore."""
        if allocator != self.account.memory_of:
            learner = self.learner
            name = type(allocator).__name__
            check_needs(name, allocator.needs, served_by(learner), type(learner).__name__)
        return self.account.remember(allocator)

    def _select(self, allocator: Allocator, obs: Observation, spent: Spent) -> int:
        """Leave out what the update should not see; returns the rollouts that it gets."""
        if "part" in allocator.needs:
            kept = allocator.keep(obs, spent.budgets, spent.passes)
            if kept is not None and kept.budgets.any():  # else no group can move the policy
                assert isinstance(self.learner, TrainsOnPart)
                assert obs.prompts is not None
                self.learner.keep(obs.prompts, kept)
                return int(kept.budgets.sum())
        return int(spent.budgets.sum())

    def _used(
        self, allocator: Allocator, obs: Observation, spent: Spent
    ) -> tuple[Observation, Spent]:
        """The prompts of the step: its own batch, and what was taken of further batches."""
        if allocator.candidates() == 1:
            return obs, spent
        self.drawn += int(obs.batches[spent.budgets > 0].max())  # batches up to the last one used
        used = (obs.batches == 0) | (spent.budgets > 0)
        return obs.take(used), spent.take(used)

    def _finish(
        self,
        obs: Observation,
        spent: Spent,
        shape: tuple[float, float] | None,
        numbers: dict[str, Any],
    ) -> StepRecord:
        """Update the beliefs with the step's outcomes (m,), evaluate if due, and record."""
        assert obs.prompts is not None
        self._count_lengths(obs.prompts, spent)
        known = self.account.count(obs, spent.budgets, spent.passes, shape, spent.tokens)
        due = self.step % self.config.eval_every == 0 or self.done
        evaluation = self._evaluate() if due else None
        return StepRecord(**known, **numbers, evaluation=evaluation)

    def _evaluate(self) -> dict[str, Any]:
        """The learner's scores; and how far beliefs are from true pass rates, if it computed any.

        The estimator is asked for the whole pool at once. The beliefs are those of the next step.
        """
        scores, learner = self.learner.evaluate(), self.learner
        true = learner.evaluated_pass_rates() if isinstance(learner, EvaluatesPool) else None
        if true is None:
            return scores
        believed = self.estimator.estimate(np.arange(learner.num_prompts))
        return scores | belief_error(believed, true)

    def _count_lengths(self, prompts: IntArray, spent: Spent) -> None:
        """Update the beliefs of lengths, and the price of a rollout, with a step's tokens."""
        if self.lengths is None or spent.tokens is None:
            return
        believed = self.lengths.estimate(prompts)
        if self.token_budget is not None and believed is not None:
            self.token_budget.update(believed, int(spent.budgets.sum()), float(spent.tokens.sum()))
        self.lengths.update(prompts, spent.budgets, spent.tokens)

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Loop and learner, for a checkpoint from which a resumed run equals an unbroken one."""
        own = {"drawn": self.drawn, "learner": self.learner.state_dict()}
        if self.lengths is not None:
            own["lengths"] = self.lengths.state_dict()
        if self.token_budget is not None:
            own["token_budget"] = self.token_budget.state_dict()
        return self.account.state_dict() | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; config, seed and allocator must be the same."""
        self.drawn = int(state.get("drawn", 0))
        self.account.load_state_dict(state)
        self.learner.load_state_dict(state["learner"])
        for name in ("lengths", "token_budget"):
            part = getattr(self, name)
            if part is not None and name in state:
                part.load_state_dict(state[name])


def run(
    loop: Loop,
    allocator: Allocator,
    *,
    on_step: Callable[[StepRecord], None] | None = None,
) -> list[StepRecord]:
    """Run ``loop`` from where it is to its last step; returns the records, in order.

    ``on_step`` gets each record as it comes, for example ``RunWriter.append``.
    """
    records: list[StepRecord] = []
    while not loop.done:
        if loop.step == 0 and not records:
            records.append(loop.start())
            if on_step is not None:
                on_step(records[-1])
        records.append(loop.advance(allocator))
        if on_step is not None:
            on_step(records[-1])
    return records
