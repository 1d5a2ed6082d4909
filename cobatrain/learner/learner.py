"""What the loop calls: rollouts, update, evaluation of a language model."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cobasim.arrays import FloatArray, IntArray
from cobasim.gradients import GradientParts
from cobatrain.config import TrainConfig
from cobatrain.engines import Engine, Rollouts, end_token_ids, sync_engines
from cobatrain.exact import ExactAnswers, check_exact, exact_answers
from cobatrain.learner.exact_evaluation import ExactEvaluation
from cobatrain.learner.heldout import evaluate_heldout
from cobatrain.learner.pending import Pending
from cobatrain.learner.sampler import (
    GRADIENTS,
    MEASUREMENT,
    ROLLOUTS,
    Sampled,
    Sampler,
    SampleRequest,
)
from cobatrain.learner.samples import Sample
from cobatrain.learner.tokens import prompt_tokens
from cobatrain.parallel import (
    Parallel,
    Single,
    load_optimiser,
    release_memory,
    whole,
)
from cobatrain.tasks import Prompt, Task, passed
from cobatrain.update import (
    PartsMeter,
    make_optimiser,
    make_schedule,
    rehearse,
    set_learning_rate,
    update,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


class SyncError(RuntimeError):
    """The engine's log-probs are not the model's: its weights are stale or its numerics off."""


class LanguageModelLearner:
    """Samples with an engine, is rewarded by a task, learns by ``cobatrain.update.update``.

    Args:
        model: a causal language model of transformers, on its device.
        tokenizer: its tokenizer.
        engine: an engine that was started on the same model folder.
        task: prompts and rewards; prompt i of the loop is ``task.train[i]``.
        config: the run.
        tokens: what ``prompt_tokens`` gave for the task; made here if not given.
        reference: the policy that the KL term holds on to; needed if ``update.kl_coef`` is above 0.
            A model with LoRA adapters is its own: it is run with them off.
        parallel: the other ranks, each with its own learner and engine. The
            rollouts of a step are dealt to them whatever the budgets, and every method but
            ``generate`` is collective: all ranks must go through the same steps.

    Attributes:
        on_samples: gets a few of this rank's rollouts of each step as text, if it is set.
        pending: the rollouts since the last update.
        meter: measures what gradients are made of, if the config wants it.

    Raises InputError for a prompt that leaves no room for a completion, PeerError if another rank
    failed.
    """

    counts_tokens = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        engine: Engine,
        task: Task,
        config: TrainConfig,
        *,
        tokens: Mapping[str, list[int]] | None = None,
        reference: PreTrainedModel | None = None,
        parallel: Parallel | None = None,
    ) -> None:
        self.parallel: Parallel = parallel or Single()
        self.model, self.engine, self.task, self.config = model, engine, task, config
        self.on_samples: Callable[[list[Sample]], None] | None = None
        self.num_prompts = len(task.train)
        self.weighting = config.weighting  # of prompts in the loss, for allocators to know
        self.optimiser = make_optimiser(
            model, config.update.learning_rate, config.update.weight_decay, config.update.betas
        )
        self.schedule = make_schedule(self.optimiser, config.update.warmup_steps)
        self.step = 0
        self.reference = reference
        self.pending = Pending()
        self.meter = (
            PartsMeter(model, config.seed, self.parallel) if config.measures_parts else None
        )
        self._update_config = config.update
        if self.parallel.sharded:  # bfloat16 is then FSDP's own policy: see ``shard``
            self._update_config = config.update.model_copy(update={"bf16": False})
        if tokens is None:
            tokens = prompt_tokens(task, tokenizer, config)
        self._tokenizer, self._tokens = tokenizer, tokens
        self._sampler = Sampler(engine, tokenizer, task, tokens, config.seed, self.parallel)
        self._exact = (
            ExactEvaluation(task, config, self.exact_answers, self.parallel)
            if config.evaluation.exact
            else None
        )

    def rollout(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """Passes (m,) of ``budgets`` completions of each prompt; see cobasim's ``Learner``."""
        self.pending = Pending()
        return self.rollout_more(prompts, budgets)

    def rollout_more(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """As ``rollout``, but these rollouts join those made since the last update.

        The rollouts of a prompt are numbered across rounds: a group made in rounds is the group
        that one round would have made.
        """
        first_round = self.pending.batch is None
        request = self._request(prompts, budgets, ROLLOUTS, self.pending.counts(prompts))
        sampled = self._sampler.sample(request)
        outcomes = self._sampler.everywhere(sampled)
        self.pending = self.pending.joined(sampled, prompts, outcomes, self.config.sampling)
        if first_round and self.on_samples is not None:
            self.on_samples(self._samples(request, sampled))
        weights = passed(outcomes.rewards)
        passes = np.bincount(outcomes.prompt, weights=weights, minlength=len(prompts))
        return passes.astype(np.int64)

    def response_tokens(self, prompts: IntArray) -> FloatArray:
        """Sampled tokens (m,) of all responses to prompts since the last update, of all ranks."""
        return self.pending.tokens_of(prompts)

    def generate(
        self, prompts: IntArray, budgets: IntArray, before: IntArray | None = None
    ) -> Rollouts:
        """This rank's share of ``budgets[i]`` completions of each train prompt ``prompts[i]``.

        ``before[i]`` completions of this step were made already.
        """
        return self._sampler.generate(
            self._request(prompts, budgets, ROLLOUTS, 0 if before is None else before)
        )

    def measure(self, prompts: IntArray, rollouts: int) -> IntArray:
        """Passes (m,) of ``rollouts`` fresh completions of each train prompt; no learning."""
        budgets = np.full(len(prompts), rollouts, dtype=np.int64)
        rewards = self._sampler.rewards(self._request(prompts, budgets, MEASUREMENT))
        passes: IntArray = passed(rewards).sum(axis=1)
        return passes

    def sample_apart(
        self, prompts: IntArray, rollouts: int, *, heldout: str | None = None, before: int = 0
    ) -> Sampled:
        """This rank's share of ``rollouts`` completions of prompts (m,) with their rewards.

        For measurements: neither the run nor ``measure`` samples the same again. Prompts are places
        in the train set, or in the held-out set of that name. ``before`` completions of each were
        sampled already, and others follow.
        """
        budgets = np.full(len(prompts), rollouts, dtype=np.int64)
        return self._sampler.sample(self._request(prompts, budgets, GRADIENTS, before, heldout))

    def exact_answers(self, prompts: Sequence[Prompt]) -> ExactAnswers:
        """The one passing response of each of the task's prompts (m,).

        Raises InputError for a task or an answer of which no true pass rate can be computed.
        """
        check_exact(self.task)
        config = self.config
        ends = end_token_ids(config.model.path)
        return exact_answers(prompts, self._tokens, self._tokenizer, ends, config.sampling)

    def update(self) -> dict[str, float]:
        """Update the policy from the pending rollouts and send the new weights to the engine.

        Raises SyncError if the engine sampled from other weights than the model's, NonFiniteError
        (with the batch) for NaN or Inf.
        """
        pending, self.pending = self.pending, Pending()
        if pending.batch is None:
            raise RuntimeError("update() needs rollouts: call rollout() first")
        self.engine.sleep()
        began = time.perf_counter()
        metrics = update(
            self.model,
            self.optimiser,
            pending.batch,
            self._update_config,
            weighting=self.weighting,
            schedule=self.schedule,
            reference=self.reference,
            parallel=self.parallel,
            meter=self.meter if self.step % self.config.update.measure_every == 0 else None,
        )
        self._check_sync(metrics.get("log_prob_gap_mean"))
        trained = time.perf_counter()
        if not self.engine.shares_memory:
            release_memory()  # the engine is about to wake
        seconds_sync = sync_engines(self.engine, self.model, self.parallel)
        self.step += 1
        numbers = {name: float(value) for name, value in metrics.items() if value is not None}
        parts = self.gradient_parts()
        return {
            **numbers,
            **({} if parts is None else parts.numbers()),
            **pending.seconds,
            "seconds_train": trained - began,
            "seconds_sync": seconds_sync,
            "reward": float(pending.rewards.mean()),
            "response_length": numbers["tokens"] / numbers["rollouts"],
        }

    def rehearse(self) -> int:
        """Run the largest micro-batch that an update may meet, with the engine asleep.

        Returns its tokens; nothing is learned. Raises InputError if it does not fit.
        """
        self.engine.sleep()
        response = self.config.sampling.max_tokens
        longest = max(len(tokens) for tokens in self._tokens.values()) + response
        tokens = rehearse(
            self.model, self._update_config, longest, response, reference=self.reference
        )
        release_memory()
        sync_engines(self.engine, self.model, self.parallel)
        return tokens

    def gradient_parts(self) -> GradientParts | None:
        """What gradients are made of, from the last steps; None if it is not (yet) measured."""
        return None if self.meter is None else self.meter.running.parts()

    def evaluate(self) -> dict[str, Any]:
        """avg@k and pass@k on every held-out data set; "heldout" is their mean accuracy.

        Computed from log-probs where ``evaluation.exact`` says so, otherwise sampled.
        """
        if self._exact is not None:
            return self._exact(self.model)
        return evaluate_heldout(self._sampler, self.task, self.config, self.step)

    def evaluated_pass_rates(self) -> FloatArray | None:
        """True pass rates (P,) of the train prompts that the last ``evaluate`` computed.

        None without ``evaluation.pool``.
        """
        return None if self._exact is None else self._exact.pool_rates

    def state_dict(self) -> dict[str, Any]:
        """Step, optimiser, schedule and meter; the model's weights are stored separately.

        The optimiser's tensors are whole, on rank 0 only: any number of processes can resume.
        """
        return {
            "step": self.step,
            "optimiser": whole(self.optimiser.state_dict(), keep=self.parallel.rank == 0),
            "schedule": self.schedule.state_dict(),
            **({} if self.meter is None else {"parts": self.meter.state_dict()}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; load the weights first. The engine gets them here.

        The optimiser's tensors are rank 0's (see ``load_state`` of ``cobatrain.parallel``).
        The learning rate is the config's, which may be another one than before.
        """
        self.step = int(state["step"])
        load_optimiser(self.optimiser, state["optimiser"], self.parallel)
        self.schedule.load_state_dict(state["schedule"])
        set_learning_rate(self.optimiser, self.schedule, self.config.update.learning_rate)
        if self.meter is not None:
            self.meter.load_state_dict(state["parts"])
        self.pending = Pending()
        sync_engines(self.engine, self.model, self.parallel)

    def _request(
        self,
        prompts: IntArray,
        budgets: IntArray,
        stream: int,
        before: IntArray | int = 0,
        heldout: str | None = None,
    ) -> SampleRequest:
        known, number = self.task.train, 0
        if heldout is not None:
            known = self.task.heldout[heldout]
            number = 1 + sorted(self.task.heldout).index(heldout)
        return SampleRequest(
            prompts=[known[int(i)] for i in prompts],
            numbers=prompts + (number << 40),  # each data set has its own seeds
            budgets=budgets,
            sampling=self.config.sampling,
            stream=stream,
            step=self.step,
            before=before,
        )

    def _samples(self, request: SampleRequest, sampled: Sampled) -> list[Sample]:
        """Up to ``recorded_samples`` of this rank's rollouts, evenly spaced."""
        rollouts = sampled.rollouts
        count = min(self.config.recorded_samples, len(rollouts))
        picked = np.linspace(0, len(rollouts) - 1, count).astype(int)
        samples = []
        for j in picked:
            prompt = request.prompts[rollouts.prompt[j]]
            samples.append(
                Sample(
                    step=self.step + 1,
                    prompt=prompt.text,
                    answer=prompt.answer,
                    response=sampled.texts[j],
                    reward=float(sampled.rewards[j]),
                    finished=bool(rollouts.finished[j]),
                )
            )
        return samples

    def _check_sync(self, gap: float | None) -> None:
        bound = self.config.log_prob_bound
        if gap is not None and gap > bound:
            raise SyncError(
                f"the engine's log-probs differ from the model's by {gap:.3g} nats on average, "
                f"above log_prob_bound = {bound:g}: its weights are stale, or its dtype is too "
                "coarse; check engine.dtype, or raise the bound"
            )
