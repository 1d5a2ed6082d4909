"""The language model as a learner of cobasim's loop: engine, verifier and GRPO update."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.engines import Engine, Rollouts, SamplingConfig
from cobatrain.evaluation import summarise
from cobatrain.parallel.distributed import (
    Parallel,
    Single,
    balance,
    first_rollouts,
    load_optimiser,
    together,
    whole,
)
from cobatrain.tasks import Prompt, Task, format_prompt
from cobatrain.update.update import Batch, make_optimiser, make_schedule, update

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ROLLOUTS, EVALUATION, MEASUREMENT = 1, 2, 3  # streams of engine seeds


class SyncError(RuntimeError):
    """The engine's log-probs are not the model's: its weights are stale or its numerics off."""


@dataclass(frozen=True)
class Sample:
    """One rollout as text, for people."""

    step: int
    prompt: str
    answer: str
    response: str
    reward: float


class LanguageModelLearner:
    """Samples with an engine, is rewarded by a task, learns by ``cobatrain.update.update``.

    Args:
        model: a causal language model of transformers, on its device.
        tokenizer: its tokenizer.
        engine: an engine that was started on the same model folder.
        task: prompts and rewards; prompt i of the loop is ``task.train[i]``.
        config: the run.
        on_samples: gets a few of this rank's rollouts of each step.
        tokens: what ``prompt_tokens`` gave for the task; made here if not given.
        reference: the policy that ``update.kl_coef`` above 0 holds on to.
        parallel: the other ranks, where there are some, each with a learner like this one and an
            engine of its own. The rollouts of a step are dealt to them whatever the budgets, and
            every method is collective: all ranks go through the same steps.

    Raises InputError for a prompt that leaves no room for a completion, PeerError when another
    rank failed.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        engine: Engine,
        task: Task,
        config: TrainConfig,
        on_samples: Callable[[list[Sample]], None] | None = None,
        tokens: Mapping[str, list[int]] | None = None,
        reference: PreTrainedModel | None = None,
        parallel: Parallel | None = None,
    ) -> None:
        self.parallel: Parallel = parallel or Single()
        self.model, self.tokenizer, self.engine = model, tokenizer, engine
        self.task, self.config, self.on_samples = task, config, on_samples
        self.num_prompts = len(task.train)
        self.weighting = config.weighting  # of prompts in the loss, for allocators to know
        self.optimiser = make_optimiser(
            model, config.update.learning_rate, config.update.weight_decay, config.update.betas
        )
        self.schedule = make_schedule(self.optimiser, config.update.warmup_steps)
        self.step = 0
        self.reference = reference
        self._settings = config.update_config()
        if self.parallel.sharded:  # bfloat16 is then FSDP's own policy: see ``shard``
            self._settings = replace(self._settings, bf16=False)
        self._tokens = prompt_tokens(task, tokenizer, config) if tokens is None else tokens
        self._batch: Batch | None = None
        self._made: dict[int, int] = {}  # rollouts of each prompt since the last update
        self._seconds: dict[str, float] = {}
        self._rewards: FloatArray = np.zeros(0)

    def rollout(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """Passes (m,) of ``budgets`` completions of each prompt; see cobasim's ``Learner``."""
        self._batch, self._made, self._seconds = None, {}, {}
        return self.rollout_more(prompts, budgets)

    def rollout_more(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """As ``rollout``, joined with the rollouts since the last update.

        Rollouts of a prompt are numbered on, so that a group made in rounds is the group that one
        round would have made.
        """
        before = np.array([self._made.get(int(i), 0) for i in prompts], dtype=np.int64)
        chosen = [self.task.train[int(i)] for i in prompts]
        began = time.perf_counter()

        def act() -> tuple[Rollouts, FloatArray, list[str], float]:
            made = self.generate(prompts, budgets, before)
            generated = time.perf_counter()
            return made, *self._score(chosen, made), generated

        rollouts, rewards, texts, generated = together(self.parallel, act)
        for name, seconds in (
            ("seconds_generate", generated - began),
            ("seconds_reward", time.perf_counter() - generated),
        ):
            self._seconds[name] = self._seconds.get(name, 0.0) + seconds
        batch = Batch(
            prompts=[rollouts.prompt_tokens[i] for i in rollouts.prompt],
            responses=rollouts.tokens,
            log_probs=rollouts.log_probs,
            rewards=rewards,
            group=prompts[rollouts.prompt],
        )
        first = self._batch is None
        self._batch = batch if self._batch is None else _joined(self._batch, batch)
        self._made |= dict(zip(prompts.tolist(), (before + budgets).tolist(), strict=True))
        if first and self.on_samples is not None:
            count = min(self.config.recorded_samples, len(rollouts))
            picked = np.linspace(0, len(rollouts) - 1, count).astype(int)
            self.on_samples(
                [
                    Sample(
                        step=self.step + 1,
                        prompt=chosen[rollouts.prompt[j]].text,
                        answer=chosen[rollouts.prompt[j]].answer,
                        response=texts[j],
                        reward=float(rewards[j]),
                    )
                    for j in picked
                ]
            )
        owner, found = self._everywhere(rollouts, rewards)
        self._rewards = found if first else np.concatenate([self._rewards, found])
        passed = (found > 0.5).astype(np.float64)
        return np.bincount(owner, weights=passed, minlength=len(chosen)).astype(np.int64)

    def _everywhere(self, rollouts: Rollouts, rewards: FloatArray) -> tuple[IntArray, FloatArray]:
        """Prompt (n,) and reward (n,) of all ranks' rollouts, by prompt, then by rollout."""
        if self.parallel.world == 1:
            return rollouts.prompt, rewards
        parts = self.parallel.gather((rollouts.prompt, rewards))
        owner, found = (np.concatenate([part[k] for part in parts]) for k in range(2))
        order = np.argsort(owner, kind="stable")
        return owner[order], found[order]

    def _sampled(
        self,
        prompts: Sequence[Prompt],
        samples: int,
        purpose: int,
        index: IntArray,
        sampling: SamplingConfig,
    ) -> FloatArray:
        """Rewards (m, samples) of ``samples`` completions of each prompt, made by all ranks."""
        budgets = np.full(len(prompts), samples, dtype=np.int64)

        def act() -> tuple[Rollouts, FloatArray]:
            made = self._generate(prompts, budgets, purpose, index, sampling)
            return made, self._score(prompts, made)[0]

        _, rewards = self._everywhere(*together(self.parallel, act))
        return rewards.reshape(len(prompts), samples)

    def generate(
        self, prompts: IntArray, budgets: IntArray, before: IntArray | None = None
    ) -> Rollouts:
        """This rank's share of ``budgets[i]`` completions of each train prompt ``prompts[i]``.

        ``before[i]`` completions of this step were made already.
        """
        chosen = [self.task.train[int(i)] for i in prompts]
        return self._generate(chosen, budgets, ROLLOUTS, prompts, self.config.sampling, before)

    def measure(self, prompts: IntArray, rollouts: int) -> IntArray:
        """Passes (m,) of ``rollouts`` fresh completions of each train prompt; nothing is learnt."""
        chosen = [self.task.train[int(i)] for i in prompts]
        rewards = self._sampled(chosen, rollouts, MEASUREMENT, prompts, self.config.sampling)
        passed: IntArray = (rewards > 0.5).sum(axis=1)
        return passed

    def _generate(
        self,
        prompts: Sequence[Prompt],
        budgets: IntArray,
        purpose: int,
        index: IntArray,
        sampling: SamplingConfig,
        before: IntArray | None = None,
    ) -> Rollouts:
        """This rank's rollouts; their seeds depend on seed, purpose, step, prompt and number."""
        seeds = np.array(
            [
                np.random.SeedSequence(
                    [self.config.seed, purpose, self.step, int(i)]
                ).generate_state(1, np.uint64)[0]
                >> np.uint64(2)
                for i in index
            ],
            dtype=np.int64,
        )
        tokens = [self._tokens[prompt.text] for prompt in prompts]
        assigned = balance(budgets, self.parallel.world)
        first = first_rollouts(assigned) + (0 if before is None else before)
        own = self.parallel.rank
        return self.engine.generate(tokens, assigned[own], seeds, sampling, first[own])

    def _score(self, prompts: Sequence[Prompt], rollouts: Rollouts) -> tuple[FloatArray, list[str]]:
        texts = [
            str(self.tokenizer.decode(row, skip_special_tokens=True)) for row in rollouts.tokens
        ]
        if not texts:  # more ranks than rollouts
            return np.zeros(0), texts
        rewards = self.task.score([prompts[i] for i in rollouts.prompt], texts)
        return rewards, texts

    def update(self) -> dict[str, float]:
        """One policy update from the last rollouts, and the new weights to the engine.

        Raises SyncError when the engine sampled from other weights than the model's,
        ``NonFiniteError`` (with the batch) for NaN or Inf.
        """
        if self._batch is None:
            raise RuntimeError("update() needs rollouts: call rollout() first")
        batch, self._batch = self._batch, None
        self.engine.sleep()
        began = time.perf_counter()
        metrics = update(
            self.model,
            self.optimiser,
            batch,
            self._settings,
            schedule=self.schedule,
            reference=self.reference,
            parallel=self.parallel,
        )
        gap = metrics.get("log_prob_gap_mean")
        if gap is not None and gap > self.config.log_prob_bound:
            raise SyncError(
                f"the engine's log-probs differ from the model's by {gap:.3g} nats on average, "
                f"above log_prob_bound = {self.config.log_prob_bound:g}: its weights are stale, "
                "or its dtype is too coarse; check engine.dtype, or raise the bound"
            )
        trained = time.perf_counter()
        seconds = together(self.parallel, lambda: self.engine.sync(self.model))
        self._seconds |= {"seconds_train": trained - began, "seconds_sync": seconds}
        self.step += 1
        numbers = {name: float(value) for name, value in metrics.items() if value is not None}
        return (
            numbers
            | self._seconds
            | {
                "reward": float(self._rewards.mean()),
                "response_length": numbers["tokens"] / numbers["rollouts"],
            }
        )

    def evaluate(self) -> dict[str, Any]:
        """avg@k and pass@k on every held-out data set; "heldout" is their mean accuracy."""
        settings = self.config.evaluation
        sampling = self.config.sampling.model_copy(
            update={"temperature": settings.temperature, "top_p": settings.top_p}
        )
        began = time.perf_counter()
        sets: dict[str, Any] = {}
        for number, (name, prompts) in enumerate(sorted(self.task.heldout.items())):
            count = min(settings.prompts, len(prompts))
            picked = np.linspace(0, len(prompts) - 1, count).astype(np.int64)  # all levels
            chosen = [prompts[int(i)] for i in picked]
            index = picked + (number << 40)
            table = self._sampled(chosen, settings.samples, EVALUATION, index, sampling)
            sets[name] = summarise(table, [prompt.level for prompt in chosen])
        heldout = float(np.mean([scores["accuracy"] for scores in sets.values()]))
        return {"heldout": heldout, "sets": sets, "seconds": time.perf_counter() - began}

    def state_dict(self) -> dict[str, Any]:
        """Step, optimiser and schedule; the model's weights are stored beside them.

        The optimiser's tensors are whole, on rank 0 only: any number of processes can go on.
        """
        return {
            "step": self.step,
            "optimiser": whole(self.optimiser.state_dict(), keep=self.parallel.rank == 0),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; load the weights first. The engine gets them here."""
        self.step = int(state["step"])
        load_optimiser(self.optimiser, state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self._batch = None
        together(self.parallel, lambda: self.engine.sync(self.model))


def _joined(one: Batch, other: Batch) -> Batch:
    """The rollouts of two rounds; groups may be scattered over the rows."""
    return Batch(
        prompts=[*one.prompts, *other.prompts],
        responses=[*one.responses, *other.responses],
        log_probs=[*one.log_probs, *other.log_probs],
        rewards=np.concatenate([one.rewards, other.rewards]),
        group=np.concatenate([one.group, other.group]),
    )


def prompt_tokens(
    task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> dict[str, list[int]]:
    """Token ids of every prompt of a task by its text, chat template applied where there is one.

    Raises InputError for a prompt that has no tokens, or that leaves no room for a completion of
    ``sampling.max_tokens``.
    """
    found: dict[str, list[int]] = {}
    for prompt in chain(task.train, *task.heldout.values()):
        if prompt.text in found:
            continue
        text = format_prompt(prompt, tokenizer, system=config.model.system)
        special = text == prompt.text  # a template brings its own special tokens
        ids = [int(token) for token in tokenizer(text, add_special_tokens=special)["input_ids"]]
        room, length = config.engine.max_model_len, config.sampling.max_tokens
        if not ids or len(ids) + length > room:
            raise InputError(
                f"the prompt {prompt.text[:60]!r} ({prompt.source}) has {len(ids)} tokens; with "
                f"sampling.max_tokens = {length} it needs between 1 and {room - length}, as "
                f"engine.max_model_len is {room}: raise it, lower max_tokens or leave the "
                "prompt out"
            )
        found[prompt.text] = ids
    return found


def load_policy(config: TrainConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model and tokenizer of a local folder, the model on its device.

    Raises InputError for a folder without config, weights or tokenizer.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = config.model.path
    vocabularies = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
    if not Path(path).exists() and config.model.tiny is not None:
        raise InputError(f"{path} does not exist; `cobatrain prepare` makes this tiny model")
    if Path(path).is_dir() and not any((Path(path) / name).is_file() for name in vocabularies):
        raise InputError(f"{path} has no tokenizer: expected one of {', '.join(vocabularies)}")
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=getattr(torch, config.model.dtype), local_files_only=True
        )
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{path} is no folder with a causal language model and its tokenizer in the Hugging "
            f"Face format: {reason}"
        ) from None
    device = config.model.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.nn.Module.to(model, device)  # in place
    torch.nn.Module.train(model, False)
    return model, tokenizer
