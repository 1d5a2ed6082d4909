"""Everything that a config names, opened on every rank: task, policy, engine, learner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.engines import make_engine, sync_engines
from cobatrain.heap import keep_freed_memory
from cobatrain.learner import (
    LanguageModelLearner,
    fitting_prompts,
    load_policy,
    load_reference,
)
from cobatrain.parallel import (
    Parallel,
    Ranks,
    Single,
    load_state,
    load_weights,
    release_memory,
    replicate,
    shard,
    together,
    usable_device,
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
    if usable_device(config.model.device) == "cpu":
        keep_freed_memory()
    with ExitStack() as hold:
        loaded = together(ranks, lambda: _load(config, checkpoint, ranks, hold))
        _place(loaded.model, config, ranks)
        reference = None
        if config.update.kl_coef > 0:  # LoRA: the model itself, which is run with its adapters off
            reference = loaded.model if config.model.lora else _open_reference(config, ranks)
        state = None if checkpoint is None else load_state(checkpoint, ranks)
        release_memory()  # of whole layers: the engine takes its share next
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
            reference=reference,
            parallel=ranks,
        )
        yield learner, state


@dataclass(frozen=True)
class _Loaded:
    """What needs no other rank and no engine."""

    task: Task
    tokens: dict[str, list[int]]
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def _load(
    config: TrainConfig, checkpoint: Path | None, ranks: Parallel, hold: ExitStack
) -> _Loaded:
    task = make_task(config.task, config.task_seed)
    hold.callback(task.close)
    model, tokenizer = load_policy(config, **_of_rank(ranks))
    task, tokens = fitting_prompts(task, tokenizer, config)
    if config.loop.batch_size > len(task.train):
        raise InputError(
            f"loop.batch_size is {config.loop.batch_size}, but the task has only "
            f"{len(task.train)} prompts to train on"
        )
    if checkpoint is not None and ranks.rank == 0:
        load_weights(checkpoint, model)
    return _Loaded(task, tokens, model, tokenizer)


def _open_reference(config: TrainConfig, ranks: Parallel) -> PreTrainedModel:
    """Read once the policy is in its place, so that two whole models never exist. Collective."""
    reference = together(
        ranks, lambda: load_reference(config, sharded=ranks.sharded, **_of_rank(ranks))
    )
    _place(reference, config, ranks, trained=False)
    return reference


class _OfRank(TypedDict, total=False):
    empty: bool
    device: str


def _of_rank(ranks: Parallel) -> _OfRank:
    """How a rank loads a model: alone, to its device; of several the first, to main memory."""
    return {} if ranks.world == 1 else {"empty": ranks.rank > 0, "device": "cpu"}


def _place(
    model: PreTrainedModel, config: TrainConfig, ranks: Parallel, *, trained: bool = True
) -> None:
    """From rank 0 to all ranks, replicated or sharded, on their devices. Collective."""
    device = usable_device(config.model.device)
    if isinstance(ranks, Ranks) and ranks.sharded:
        shard(model, bf16=config.update.bf16, ranks=ranks, device=device, trained=trained)
    elif isinstance(ranks, Ranks) and ranks.world > 1:
        replicate(model, device)
