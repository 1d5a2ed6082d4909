"""Completions of prompts with their rewards, made by all ranks together."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobatrain.engines import Engine, Rollouts, SamplingConfig
from cobatrain.parallel import Parallel, balance, first_rollouts, together
from cobatrain.tasks import Prompt, Task

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLLOUTS, EVALUATION, MEASUREMENT, GRADIENTS = 1, 2, 3, 4  # streams of engine seeds


@dataclass(frozen=True)
class SampleRequest:
    """``budgets[i]`` completions of ``prompts[i]``, m prompts.

    The seed of a completion depends on the run's seed, the stream, the step, the prompt's number
    and the completion's place in its group. So it depends neither on the rest of the request nor
    on the number of ranks.
    """

    prompts: Sequence[Prompt]
    """m prompts."""
    numbers: IntArray
    """(m,) what tells the prompts of a stream apart: a prompt's place in its data set."""
    budgets: IntArray
    """(m,) completions of each prompt, over all ranks."""
    sampling: SamplingConfig
    stream: int
    """ROLLOUTS, EVALUATION, MEASUREMENT or GRADIENTS."""
    step: int
    """Updates of the policy so far."""
    before: IntArray | int = 0
    """(m,) completions of each prompt that were made already with this stream and step."""


@dataclass(frozen=True)
class Sampled:
    """This rank's share of a request: n completions, their rewards and texts."""

    rollouts: Rollouts
    rewards: FloatArray
    """(n,)"""
    texts: list[str]
    """n completions, special tokens left out."""
    seconds_generate: float
    seconds_reward: float


@dataclass(frozen=True)
class Outcomes:
    """What n completions of all ranks came to."""

    prompt: IntArray
    """(n,) places of their prompts in the request, non-decreasing."""
    rewards: FloatArray
    """(n,)"""
    lengths: IntArray
    """(n,) in sampled tokens."""


class Sampler:
    """An engine, a tokenizer and a task that answer requests; each rank has its own."""

    def __init__(
        self,
        engine: Engine,
        tokenizer: PreTrainedTokenizerBase,
        task: Task,
        tokens: Mapping[str, list[int]],
        seed: int,
        parallel: Parallel,
    ) -> None:
        self._engine, self._tokenizer, self._task = engine, tokenizer, task
        self._tokens, self._seed, self._parallel = tokens, seed, parallel

    def generate(self, request: SampleRequest) -> Rollouts:
        """This rank's share of the completions, without rewards."""
        seeds = np.array([self._seed_of(request, int(i)) for i in request.numbers], dtype=np.int64)
        tokens = [self._tokens[prompt.shown] for prompt in request.prompts]
        assigned = balance(request.budgets, self._parallel.world)
        first = first_rollouts(assigned) + request.before
        own = self._parallel.rank
        return self._engine.generate(tokens, assigned[own], seeds, request.sampling, first[own])

    def sample(self, request: SampleRequest) -> Sampled:
        """This rank's share of the completions, with rewards. Collective.

        Raises PeerError if another rank failed.
        """
        began = time.perf_counter()

        def act() -> tuple[Rollouts, FloatArray, list[str], float]:
            rollouts = self.generate(request)
            generated = time.perf_counter()
            return rollouts, *self._score(request.prompts, rollouts), generated

        rollouts, rewards, texts, generated = together(self._parallel, act)
        return Sampled(
            rollouts=rollouts,
            rewards=rewards,
            texts=texts,
            seconds_generate=generated - began,
            seconds_reward=time.perf_counter() - generated,
        )

    def everywhere(self, sampled: Sampled) -> Outcomes:
        """The outcomes of all ranks' completions, by prompt, then by completion. Collective."""
        rollouts = sampled.rollouts
        own = rollouts.prompt, sampled.rewards, rollouts.lengths
        if self._parallel.world == 1:
            return Outcomes(*own)
        parts = self._parallel.gather(own)
        prompt, rewards, lengths = (np.concatenate([part[k] for part in parts]) for k in range(3))
        order = np.argsort(prompt, kind="stable")
        return Outcomes(prompt[order], rewards[order], lengths[order])

    def rewards(self, request: SampleRequest) -> FloatArray:
        """Rewards (m, samples) of a request with ``samples`` completions of every prompt.

        From all ranks. Collective.
        """
        rewards = self.everywhere(self.sample(request)).rewards
        return rewards.reshape(len(request.prompts), -1)

    def _seed_of(self, request: SampleRequest, number: int) -> int:
        entropy = [self._seed, request.stream, request.step, number]
        state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
        return int(state >> np.uint64(2))

    def _score(self, prompts: Sequence[Prompt], rollouts: Rollouts) -> tuple[FloatArray, list[str]]:
        texts = [
            str(self._tokenizer.decode(row, skip_special_tokens=True)) for row in rollouts.tokens
        ]
        if not texts:  # more ranks than rollouts
            return np.zeros(0), texts
        asked = [prompts[i] for i in rollouts.prompt]
        rewards = self._task.score(asked, texts, rollouts.finished)
        return rewards, texts
