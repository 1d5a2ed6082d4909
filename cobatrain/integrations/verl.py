"""Budgets in verl 0.9.1 by configuration: three classes that verl loads by name (docs/verl.md).

``SaveBudgets`` is made first, and checks the config before any model is loaded.
``BudgetAgentLoopManager`` owns the ledger and gives each prompt its number of rollouts.
``BudgetReplayBuffer`` tells the ledger what they got, before verl trains on them. All three live in
the process that runs verl's trainer, and find each other through it.

What is inherited from is not a public interface, so other versions of verl are refused.
"""

from __future__ import annotations

import inspect
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from cobasim.errors import InputError
from cobatrain.integrations.verl_budgets import (
    HOME,
    HOOKS,
    Plan,
    PromptBudgets,
    index_key,
    read_plan,
    text_key,
)

try:
    import transfer_queue
    import verl
except ImportError as error:
    raise ImportError(
        f"{HOME} needs verl 0.9.1 and its TransferQueue ({error}): pip install "
        "'verl[verl-core]==0.9.1'"
    ) from error

KNOWN: Final = ("0.9.1",)


def check_version(found: str) -> None:
    """Raise ImportError for a verl that this was not written for."""
    if found not in KNOWN:
        raise ImportError(
            f"{HOME} hooks into parts of verl that are not public, as they are in "
            f"{', '.join(KNOWN)}; found verl {found}: pip install verl=={KNOWN[-1]}"
        )


check_version(verl.__version__)

from omegaconf import DictConfig, OmegaConf
from tensordict import TensorDict
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer
from verl.utils import tensordict_utils
from verl.utils.checkpoint.checkpoint_manager import find_latest_ckpt_path
from verl.utils.import_utils import load_class_from_fqn, load_extern_object

logger = logging.getLogger(__name__)

SIGNATURES: Final[tuple[tuple[Callable[..., Any], str], ...]] = (
    (AgentLoopManagerTQ.__init__, "self args kwargs"),
    (AgentLoopManagerTQ.generate_sequences, "self prompts"),
    (
        ReplayBuffer.__init__,
        "self trainer_mode trainer_config max_off_policy_threshold max_off_policy_strategy "
        "sampler_kwargs poll_interval refill_fn filter_groups_metric train_batch_size "
        "gen_batch_size max_inflight_gen_batches sync_refill_failed_groups",
    ),
    (ReplayBuffer.sample, "self global_steps partition_id batch_size"),
    (CheckpointCallback.__init__, "self config"),
    (CheckpointCallback.on_save, "self trainer global_step checkpoint_dir async_save kwargs"),
    (find_latest_ckpt_path, "path directory_format"),
    (transfer_queue.kv_batch_get, "keys partition_id select_fields"),
    (transfer_queue.kv_clear, "keys partition_id"),
)
"""What is called or inherited from, and the names of its parameters."""


def check_signatures(signatures: Iterable[tuple[Callable[..., Any], str]] = SIGNATURES) -> None:
    """Raise ImportError where verl takes other arguments: a fork under the same number."""
    for function, expected in signatures:
        found = " ".join(inspect.signature(function).parameters)
        if found != expected:
            raise ImportError(
                f"{function.__module__}.{function.__qualname__} takes ({found}), where verl "
                f"{KNOWN[-1]} takes ({expected}): {HOME} does not know this verl"
            )


check_signatures()


def plan_of(config: DictConfig) -> Plan:
    """The plan of verl's whole config.

    Raises InputError as ``read_plan``, and for a hook that is some other class.
    """
    plan = read_plan(OmegaConf.to_container(config, resolve=True))
    path, name, manager, callback = map(str, (OmegaConf.select(config, key) for key in HOOKS))
    for found, kind in (
        (load_extern_object(path, name), BudgetReplayBuffer),
        (load_class_from_fqn(manager, "AgentLoopManager"), BudgetAgentLoopManager),
        (load_class_from_fqn(callback, "CheckpointCallback"), SaveBudgets),
    ):
        if not (isinstance(found, type) and issubclass(found, kind)):
            raise InputError(
                f"{getattr(found, '__name__', found)} is no {HOME}.{kind.__name__}, which budgets "
                "in verl need: inherit from it"
            )
    return plan


def resumed_folder(config: DictConfig) -> Path | None:
    """The checkpoint that verl's trainer has gone on from; None: from scratch.

    As ``PPOTrainer._load_checkpoint`` of verl 0.9.1 finds it.
    """
    trainer = config.trainer
    if trainer.resume_mode == "disable":
        return None
    if trainer.resume_mode == "resume_path":
        return Path(os.path.abspath(trainer.resume_from_path))
    found = find_latest_ckpt_path(os.path.abspath(trainer.default_local_dir))
    return None if found is None else Path(found)


class BudgetAgentLoopManager(AgentLoopManagerTQ):
    """verl's manager of agent loops, which tells each prompt how many rollouts to make.

    ``actor_rollout_ref.rollout.agent.agent_loop_manager_class``. Batches of validation pass
    unchanged.
    """

    def __init__(self, config: DictConfig, *args: Any, **kwargs: Any) -> None:
        super().__init__(config, *args, **kwargs)
        self.budgets = PromptBudgets(plan_of(config))
        folder = resumed_folder(config)
        if folder is not None:
            self.budgets.restore(folder)

    def generate_sequences(self, prompts: TensorDict) -> None:
        """Ask for budgets, and start the rollouts of a batch without waiting for them.

        Raises InputError if the outcomes of the last batch were not told.
        """
        if not tensordict_utils.get_non_tensor_data(prompts, "validate", False):
            if "__rollout_n__" in prompts:
                raise InputError("the data has a column __rollout_n__, which budgets set: drop it")
            budgets = self.budgets.ask(list(prompts["uid"]), self._keys(prompts))
            tensordict_utils.assign_non_tensor_stack(prompts, "__rollout_n__", budgets.tolist())
        super().generate_sequences(prompts)

    def _keys(self, prompts: TensorDict) -> list[str]:
        if self.budgets.plan.settings.key == "text":
            return [text_key(messages) for messages in column(prompts["raw_prompt"])]
        sources, extras = column(prompts["data_source"]), column(prompts["extra_info"])
        return [index_key(*row) for row in zip(sources, extras, strict=True)]


class BudgetReplayBuffer(ReplayBuffer):
    """verl's replay buffer, which tells what the rollouts of each batch got.

    ``trainer.v1.sampler.custom_sampler``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._trainer: Any = getattr(self.refill_fn, "__self__", None)  # whose method it is
        if self._trainer is None:
            raise InputError(
                "BudgetReplayBuffer belongs into verl's trainer: name it in "
                "trainer.v1.sampler.custom_sampler"
            )
        self._plan = plan_of(self._trainer.config)

    def sample(
        self, global_steps: int, partition_id: str, batch_size: int
    ) -> tuple[KVBatchMeta, dict[str, Any]]:
        """The batch that verl's own buffer gives, once its outcomes are told.

        Groups of which failures left one rollout are told, and taken out: verl would take the raw
        reward as the advantage. Raises InputError as ``PromptBudgets.tell``.
        """
        batch, metrics = super().sample(global_steps, partition_id, batch_size)
        if partition_id != "train":
            return batch, metrics
        budgets: PromptBudgets = self._trainer.agent_loop_manager.budgets
        ends = last_outputs(batch.keys)
        uids = [key.rsplit("_", 2)[0] for key in ends]
        told = budgets.tell(uids, self._scores(ends, partition_id), batch_size)
        return without(batch, told.alone), {**metrics, **told.metrics}

    def _scores(self, keys: list[str], partition_id: str) -> list[float]:
        """What the rollouts with these keys are judged by."""
        metric = self._plan.settings.metric
        field = "rm_scores" if metric == "reward" else "extra_fields"
        data = transfer_queue.kv_batch_get(
            keys=keys, partition_id=partition_id, select_fields=[field]
        )
        if field not in data:
            raise InputError("rollouts came without a reward: give verl a reward function")
        if metric == "reward":
            return data["rm_scores"].sum(dim=1).tolist()  # type: ignore[no-any-return]
        found = [extra.get("reward_extra_info") or {} for extra in column(data["extra_fields"])]
        if lacking := [info for info in found if metric not in info]:
            raise InputError(
                f"the reward function returned no {metric!r}: it returned "
                f"{', '.join(lacking[0]) or 'a number only'}"
            )
        return [float(info[metric]) for info in found]


class SaveBudgets(CheckpointCallback):
    """Puts what is believed of prompts into each of verl's checkpoints.

    ``trainer.checkpoint_callback_class``. The manager reads it when verl resumes.
    """

    def __init__(self, config: DictConfig) -> None:
        super().__init__(config)
        plan_of(config)

    def on_save(
        self,
        trainer: Any,
        global_step: int,
        checkpoint_dir: str,
        async_save: bool = False,
        **kwargs: Any,
    ) -> None:
        """Write ``budgets.json`` beside the other files of the checkpoint."""
        trainer.agent_loop_manager.budgets.save(Path(checkpoint_dir))


def column(values: Iterable[Any]) -> list[Any]:
    """What a column of a TensorDict holds, however tensordict wraps it."""
    return [tensordict_utils.unwrap_non_tensor_data(value) for value in values]


def last_outputs(keys: Iterable[str]) -> list[str]:
    """The keys of rollouts (``uid_session_index``) whose index is the last of its session.

    An agent loop may store several outputs for a session; verl scores and compares the last.
    """
    last: dict[str, int] = {}
    for key in keys:
        session, index = key.rsplit("_", 1)
        last[session] = max(int(index), last.get(session, 0))
    return [f"{session}_{index}" for session, index in last.items()]


def without(batch: KVBatchMeta, alone: frozenset[str]) -> KVBatchMeta:
    """The batch without groups of one rollout, which are cleared from the TransferQueue."""
    if not alone:
        return batch
    kept = [key.rsplit("_", 2)[0] not in alone for key in batch.keys]
    dropped = [key for key, keep in zip(batch.keys, kept, strict=True) if not keep]
    logger.warning(
        "%d prompts have one rollout left after failures and are not trained on", len(alone)
    )
    if len(dropped) == len(batch.keys):
        raise InputError("failures left no group with two rollouts: see the errors above")
    transfer_queue.kv_clear(keys=dropped, partition_id=batch.partition_id)
    return KVBatchMeta(
        partition_id=batch.partition_id,
        keys=[key for key, keep in zip(batch.keys, kept, strict=True) if keep],
        tags=[tag for tag, keep in zip(batch.tags, kept, strict=True) if keep],
    )
