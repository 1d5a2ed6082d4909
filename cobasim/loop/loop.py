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

from cobasim.allocation import (
    Allocator,
    CapabilityWindow,
    Limits,
    Observation,
    PassRateEstimator,
    check_needs,
    measured_failure_rate,
    served_by,
)
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.loop.account import Coverage, step_numbers
from cobasim.loop.config import LoopConfig
from cobasim.loop.learner import (
    CountsTokens,
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
from cobasim.streams import ALLOCATION, stream


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
        self.estimator = build_estimator(estimator, learner, config)
        if counts is not None:
            self.estimator.start(*counts)
        self.capability = CapabilityWindow(config.window)
        self.lengths = build_lengths(estimator, learner)
        self.token_budget = self._token_budget()
        self.weighting: str | None = getattr(learner, "weighting", None)
        clusters = getattr(learner, "cluster", None)
        self.order = BatchOrder(
            size,
            config.batch_size,
            seed,
            mix=config.mix,
            clusters=None if clusters is None else clusters[:size],
        )
        self.step, self.rollouts = 0, 0
        self.tokens = 0.0  # of responses, if the learner counts them
        self.drawn = 0  # batches drawn so far beyond one a step
        self.memory: dict[str, NDArray[Any]] | None = None  # the allocator's
        self._memory_of: Allocator | None = None
        self.coverage = Coverage(size)

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
        return StepRecord(step=0, rollouts=0, evaluation=self.learner.evaluate())

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
        memory = None if allocator is None else self._remember(allocator)
        return self.seen(prompts, batch, self.estimator, allocator, memory)

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
        allocator: Allocator | None,
        memory: dict[str, NDArray[Any]] | None,
        ahead: int = 0,
    ) -> Observation:
        """What somebody with these beliefs and this memory may know of prompts; changes nothing.

        Args:
            prompts, batch: (m,) as ``draw`` gives them.
            estimator: whose beliefs.
            allocator: what it needs of loop and learner is served; None: nothing.
            memory: the allocator's.
            ahead: batches between the next one and these.
        """
        belief = estimator.estimate(prompts)
        return Observation(
            pass_rate=belief.pass_rate,
            attempts=belief.attempts,
            failure_rate=self.capability.mean,
            progress=min(self.config.share_spent(self.rollouts, self.tokens), 1.0),
            posterior=belief.posterior,
            weighting=self.weighting,
            prompts=prompts,
            batch=batch,
            memory=memory,
            **({} if allocator is None else self._serve(allocator, prompts, ahead)),
        )

    def _serve(self, allocator: Allocator, prompts: IntArray, ahead: int) -> dict[str, Any]:
        """The fields of ``Observation`` that an allocator needs beside beliefs and memory."""
        learner, needs = self.learner, allocator.needs
        served: dict[str, Any] = {}
        if "randomness" in needs:
            served["rng"] = stream(self.seed, ALLOCATION, self.step + ahead)
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
        if self.memory is not None and allocator == self._memory_of:
            return self.memory
        name = type(allocator).__name__
        check_needs(name, allocator.needs, served_by(self.learner), type(self.learner).__name__)
        fresh = allocator.memory(self.learner.num_prompts)
        if self.memory is None or self._memory_of is not None:
            self.memory = fresh
        shapes, stored = (
            {key: array.shape for key, array in memory.items()} for memory in (fresh, self.memory)
        )
        if shapes != stored:
            raise InputError(
                f"the stored memory {stored} is not that of {name}, {shapes}: resume with the "
                "same allocator and prompts"
            )
        self._memory_of = allocator
        return self.memory

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
        budgets, passes = spent.budgets, spent.passes
        failure_rate = measured_failure_rate(passes, budgets)
        self.estimator.update(obs.prompts, budgets, passes)
        if failure_rate is not None:
            self.capability.append(failure_rate)
        self._count_lengths(obs.prompts, spent)
        self.coverage.add(obs.prompts, budgets, passes)
        self.step += 1
        self.rollouts += int(budgets.sum())
        due = self.step % self.config.eval_every == 0 or self.done
        alpha, beta = (None, None) if shape is None else shape
        return StepRecord(
            step=self.step,
            rollouts=self.rollouts,
            alpha=alpha,
            beta=beta,
            failure_rate=failure_rate,
            never_mixed=self.coverage.never_mixed,
            evaluation=self.learner.evaluate() if due else None,
            tokens=None if spent.tokens is None else self.tokens,
            **step_numbers(obs, budgets, passes, spent.tokens),
            **numbers,
        )

    def _count_lengths(self, prompts: IntArray, spent: Spent) -> None:
        """Update the beliefs of lengths, and the price of a rollout, with a step's tokens."""
        if self.lengths is None or spent.tokens is None:
            return
        tokens = float(spent.tokens.sum())
        self.tokens += tokens
        believed = self.lengths.estimate(prompts)
        if self.token_budget is not None and believed is not None:
            self.token_budget.update(believed, int(spent.budgets.sum()), tokens)
        self.lengths.update(prompts, spent.budgets, spent.tokens)

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Loop and learner, for a checkpoint from which a resumed run equals an unbroken one."""
        return {
            "step": self.step,
            "rollouts": self.rollouts,
            "drawn": self.drawn,
            "memory": {name: array.copy() for name, array in (self.memory or {}).items()},
            "visited": self.coverage.visited.copy(),
            "ever_mixed": self.coverage.ever_mixed.copy(),
            "estimator": self.estimator.state_dict(),
            "capability": self.capability.state_dict(),
            "learner": self.learner.state_dict(),
            "tokens": self.tokens,
            **({} if self.lengths is None else {"lengths": self.lengths.state_dict()}),
            **(
                {}
                if self.token_budget is None
                else {"token_budget": self.token_budget.state_dict()}
            ),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; config, seed and allocator must be the same."""
        self.step, self.rollouts = int(state["step"]), int(state["rollouts"])
        self.drawn = int(state.get("drawn", 0))
        memory = state.get("memory") or None
        self.memory = memory and {name: np.array(array) for name, array in memory.items()}
        self._memory_of = None
        self.coverage.visited[...] = state["visited"]
        self.coverage.ever_mixed[...] = state["ever_mixed"]
        self.estimator.load_state_dict(state["estimator"])
        self.capability.load_state_dict(state["capability"])
        self.learner.load_state_dict(state["learner"])
        # an older checkpoint has no tokens: what was spent before it is not known
        self.tokens = float(state.get("tokens", np.nan))
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
