"""Everything that a config names, opened on every rank: task, policy, engine, learner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.engines import make_engine, sync_engines
from cobatrain.learner import LanguageModelLearner, fitting_prompts, load_policy
from cobatrain.parallel import (
    Parallel,
    Single,
    load_checkpoint,
    release_memory,
    replicate,
    shard,
    together,
)
from cobatrain.planning import check_engine
from cobatrain.tasks import Task, make_task

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@contextmanager
def open_learner(
    config: TrainConfig, *, checkpoint: Path | None = None, parallel: Parallel | None = None
) -> Iterator[tuple[LanguageModelLearner, dict[str, Any] | None]]:
    """Open the learner of a config; its engine and workers end with the block.

    Yields the learner, and the state of the checkpoint whose weights were loaded (None without
    one), which ``Loop.load_state_dict`` takes. The engine has the policy's weights. With
    ``parallel`` every rank has a learner, and the policy is replicated or sharded over them.

    Raises InputError, before an engine is started, if the config cannot be used; EngineError if the
    engine fails; PeerError if another rank fails.
    """
    ranks = parallel or Single()
    check_engine(config, ranks.world)
    with ExitStack() as hold:
        loaded = together(ranks, lambda: _load(config, checkpoint, hold))
        if ranks.world > 1:
            policies = [loaded.model]
            if loaded.reference is not None and loaded.reference is not loaded.model:
                policies.append(loaded.reference)
            for policy in policies:
                if ranks.sharded:
                    shard(policy, bf16=config.update.bf16)
                else:
                    replicate(policy)
        release_memory()  # of whole weights: the engine takes its share next
        engine = together(
            ranks, lambda: hold.enter_context(make_engine(config.engine, config.model.path))
        )
        sync_engines(engine, loaded.model, ranks)
        learner = LanguageModelLearner(
            loaded.model,
            loaded.tokenizer,
            engine,
            loaded.task,
            config,
            tokens=loaded.tokens,
            reference=loaded.reference,
            parallel=ranks,
        )
        yield learner, loaded.state


@dataclass(frozen=True)
class _Loaded:
    """What needs no other rank and no engine."""

    task: Task
    tokens: dict[str, list[int]]
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    reference: PreTrainedModel | None
    state: dict[str, Any] | None


def _load(config: TrainConfig, checkpoint: Path | None, hold: ExitStack) -> _Loaded:
    task = make_task(config.task, config.task_seed)
    hold.callback(task.close)
    model, tokenizer = load_policy(config)
    task, tokens = fitting_prompts(task, tokenizer, config)
    if config.loop.batch_size > len(task.train):
        raise InputError(
            f"loop.batch_size is {config.loop.batch_size}, but the task has only "
            f"{len(task.train)} prompts to train on"
        )
    reference = None
    if config.update.kl_coef > 0:  # LoRA: the model itself, which is run with its adapters off
        reference = load_policy(config)[0] if config.model.lora is None else model
    state = None if checkpoint is None else load_checkpoint(checkpoint, model)
    return _Loaded(task, tokens, model, tokenizer, reference, state)
