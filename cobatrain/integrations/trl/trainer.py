"""A ``GRPOTrainer`` whose prompts get as many rollouts as a ledger says.

TRL reads batches ahead, so what the sampler deals cannot follow beliefs. A generation batch arrives
as ever, with ``num_generations`` rows a prompt, and its rows are dealt anew to its prompts when it
is generated; every rank keeps its number of rows. Rewards are seen where TRL has gathered those of
all ranks. Two places of TRL divide a batch into groups of ``num_generations``: advantages are
computed here instead, and a vLLM server gets every row as a prompt of its own.
"""

from __future__ import annotations

import inspect
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate.utils import broadcast_object_list, send_to_device
from torch import Tensor
from transformers import TrainerCallback
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from cobasim.arrays import IntArray
from cobasim.budgets import BudgetLedger, RewardRange
from cobasim.errors import InputError
from cobatrain.integrations.trl.compatibility import GRPOTrainer
from cobatrain.integrations.trl.groups import (
    Groups,
    advantages,
    count_passes,
    prompt_weights,
    total_rewards,
)
from cobatrain.integrations.trl.rows import EpochSampler, Numbered, fingerprint
from cobatrain.integrations.trl.settings import (
    check_config,
    check_data,
    check_passed,
    make_ledger,
)

STATE = "budgets.json"
"""In a checkpoint: what the ledger knows."""

ROLLOUTS = "rollouts-{rank}.pt"
"""In a checkpoint between two generations: rollouts of a rank that are not used up yet."""


class BudgetGRPOTrainer(GRPOTrainer):
    """TRL's ``GRPOTrainer`` with a rollout budget for every prompt.

    A generation batch has the prompts and the number of rollouts that it has in TRL; ``uniform``
    gives the losses and weights of the stock trainer, to the bit. Beliefs, budgets and records are
    those of a ``BudgetLedger``, which rank 0 holds. Prompts are known by their row in the dataset.

    Args:
        *args, **kwargs: as ``GRPOTrainer``.
        budgets: settings of the ledger, such as ``dict(allocator="signal", low=2, high=64,
            records="runs/mine")``; all but ``total`` and ``weighting``. ``seed`` is that of the
            ``GRPOConfig`` unless given, ``steps`` the generation batches of the run for allocators
            that follow its progress.
        weighting: "rollout" leaves TRL's loss as it is, so that a prompt weighs as much as it has
            rollouts (or tokens); "prompt" multiplies the advantages of prompt i by mean(B) / B_i.
            docs/trl.md says what that means for each loss type.
        passed: a rollout passes if its reward (the weighted sum of all functions) reaches this;
            with a dict, if the rewards of the functions named there reach their numbers. With a
            ``RewardRange`` there is no threshold: beliefs are about how much a prompt's rewards
            differ. Advantages use the rewards as they are.

    Attributes:
        ledger: the BudgetLedger, on rank 0; None on others.

    Raises InputError, before the model is loaded, for what cannot be served: an IterableDataset or
    no dataset, rollout_func, "normalize_then_sum", allocators that a ledger cannot serve, bounds
    that do not hold num_generations.
    """

    _name = "GRPO with rollout budgets"

    def __init__(
        self,
        *args: Any,
        budgets: Mapping[str, Any] | None = None,
        weighting: str = "rollout",
        passed: float | Mapping[str, float] | RewardRange = 0.5,
        **kwargs: Any,
    ) -> None:
        given = inspect.signature(GRPOTrainer.__init__).bind(self, *args, **kwargs).arguments
        config = given.get("args")
        if config is None:
            raise InputError(
                "give args=GRPOConfig(...): its num_generations is the mean budget of a prompt"
            )
        check_config(config, weighting)
        rows = check_data(given.get("train_dataset"), config, given.get("rollout_func"))
        check_passed(passed)
        make_ledger(budgets, config, weighting, rows)  # on every rank, for its errors
        super().__init__(*args, **kwargs)
        check_passed(passed, self.reward_func_names)
        self.weighting, self.passed = weighting, passed
        self.ledger: BudgetLedger | None = None
        if self.accelerator.is_main_process:
            self.ledger = make_ledger(
                budgets, config, weighting, rows, model=_name(self.model), records=True
            )
        self._dataset_is = fingerprint(self.train_dataset)
        self._numbered: Numbered | None = None  # what the rows of a batch come from
        self._epochs: EpochSampler | None = None
        self._rewards: Tensor | None = None  # (n, functions) of the batch that is being scored
        self.add_callback(_FollowEpochs(self))

    # -- batches --------------------------------------------------------------------------------

    def get_train_dataloader(self) -> Any:
        """As TRL's, with rows that know their number in the dataset."""
        dataset = self._remove_unused_columns(self.train_dataset, description="training")
        self._numbered = Numbered(dataset)
        return self._get_dataloader(
            dataset=self._numbered,
            description="Training",
            batch_size=self._train_batch_size * self.args.steps_per_generation,
            sampler_fn=self._get_train_sampler,
            is_training=True,
        )

    def _get_train_sampler(self, dataset: Any = None) -> EpochSampler:
        stock = super()._get_train_sampler(dataset)
        self._epochs = EpochSampler(
            stock.data_source,
            stock.mini_repeat_count,
            stock.batch_size,
            stock.repeat_count,
            stock.shuffle,
            stock.seed,
        )
        return self._epochs

    def follow_epoch(self, epoch: int) -> None:
        """The order of prompts is that of this epoch, from 0, also after resuming within it.

        The loader passes the epoch on by itself, but not through all that wraps the sampler of a
        resumed run on several ranks.
        """
        if self._epochs is not None:
            self._epochs.set_epoch(epoch)

    # -- one generation batch -------------------------------------------------------------------

    def _generate_and_score_completions(self, inputs: list[Any]) -> dict[str, Any]:
        if not self.model.training:  # evaluation has its own num_generations
            output: dict[str, Any] = super()._generate_and_score_completions(inputs)
            return output
        began = time.perf_counter()
        groups = self._ask(self._prompts(inputs))
        try:
            rows = self._deal(inputs, groups)
            asked = time.perf_counter() - began
            output = super()._generate_and_score_completions(rows)
        except BaseException:
            if self.ledger is not None:
                self.ledger.withdraw()
            raise
        began = time.perf_counter()
        rewards, self._rewards = self._rewards, None
        assert rewards is not None
        total = total_rewards(rewards, self.reward_weights)
        output["advantages"] = self._advantages(total, groups)
        self._tell(rewards, total, groups)
        self._metrics["train"]["budgets/ms"].append(1e3 * (asked + time.perf_counter() - began))
        return output

    def _calculate_rewards(self, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        rewards: Tensor = super()._calculate_rewards(inputs, *args, **kwargs)
        if self.model.training:
            self._rewards = rewards
        return rewards

    def _generate_single_turn(
        self,
        prompt_ids: Any,
        images: Any,
        multimodal_fields: Any,
        num_generations: int,
        has_tool_images: bool = False,
    ) -> Any:
        """As TRL's; in training each row is a prompt of its own: a server takes every n-th."""
        if self.model.training:
            num_generations = 1
        return super()._generate_single_turn(
            prompt_ids, images, multimodal_fields, num_generations, has_tool_images
        )

    # -- its parts ------------------------------------------------------------------------------

    def _prompts(self, inputs: Sequence[Any]) -> IntArray:
        """The prompts (m,) of the generation batch over all ranks, as rows of the dataset."""
        own = torch.tensor([number for number, _ in inputs], device=self.accelerator.device)
        numbers = self.accelerator.gather(own).cpu().numpy()
        each, size = self.num_generations, self.args.generation_batch_size
        prompts: IntArray = numbers[::each].astype(np.int64)
        if numbers.size != size or not np.array_equal(numbers, prompts.repeat(each)):
            raise InputError(
                f"a generation batch must hold {size} rows, {each} of each prompt in a row, as "
                f"TRL's sampler deals them; got {numbers.size} rows of "
                f"{np.unique(numbers).size} prompts: do not change the sampler or the data loader"
            )
        return prompts

    def _ask(self, prompts: IntArray) -> Groups:
        """Budgets of rank 0's ledger, on every rank."""
        budgets: IntArray = self._on_rank_0(lambda ledger: ledger.ask(prompts))
        return Groups(prompts, budgets)

    def _on_rank_0(self, work: Callable[[BudgetLedger], Any]) -> Any:
        """What rank 0 makes of its ledger, or its error, on every rank."""
        answer: list[Any] = [None]
        failure = None
        if self.ledger is not None:
            try:
                answer = [(work(self.ledger), None)]
            except Exception as error:
                failure = error
                answer = [(None, f"{type(error).__name__}: {error}")]
        if self.accelerator.num_processes > 1:
            broadcast_object_list(answer)
        if failure is not None:
            raise failure
        result, problem = answer[0]
        if problem is not None:
            raise InputError(f"rank 0 failed: {problem}")
        return result

    def _deal(self, inputs: Sequence[Any], groups: Groups) -> list[dict[str, Any]]:
        """This rank's rows: those that were loaded, as far as they are needed, and others."""
        assert self._numbered is not None
        wanted = groups.rows(self.accelerator.process_index, len(inputs)).tolist()
        loaded: dict[int, list[dict[str, Any]]] = {}
        for number, row in reversed(inputs):
            loaded.setdefault(number, []).append(row)
        missing = (Counter(wanted) - Counter(number for number, _ in inputs)).elements()
        more = self._numbered.__getitems__(list(missing))
        for number, row in send_to_device(more, self.accelerator.device):
            loaded.setdefault(number, []).insert(0, row)
        return [loaded[number].pop() for number in wanted]

    def _advantages(self, total: Tensor, groups: Groups) -> Tensor:
        """Advantages of this rank's rows, for the loss; those of all ranks go to the log."""
        every, no_spread = advantages(total, groups, self.scale_rewards)
        if self.weighting == "prompt":
            every = every * prompt_weights(groups, every)
        self._logs["advantages"].clear()  # TRL's, of groups of num_generations
        self._logs["advantages"].extend(every.tolist())
        self._metrics["train"]["frac_reward_zero_std"][-1] = no_spread.float().mean().item()
        rank, size = self.accelerator.process_index, len(total) // self.accelerator.num_processes
        return every[rank * size : (rank + 1) * size]

    def _tell(self, rewards: Tensor, total: Tensor, groups: Groups) -> None:
        made, passes = count_passes(rewards, total, groups, self.passed, self.reward_func_names)
        metrics = self._metrics["train"]
        metrics["budgets/min"].append(float(groups.budgets.min()))
        metrics["budgets/max"].append(float(groups.budgets.max()))
        reward = torch.nanmean(total).item()
        learner = {} if np.isnan(reward) else {"reward": reward}

        def tell(ledger: BudgetLedger) -> float | None:
            if not made.any():  # nothing is known of any rollout: no step of the ledger
                ledger.withdraw()
                return None
            return ledger.tell(groups.prompts, made, passes, learner=learner).failure_rate

        failure_rate = self._on_rank_0(tell)
        if self.ledger is not None and failure_rate is not None:
            metrics["budgets/failure_rate"].append(failure_rate)

    # -- checkpoints ----------------------------------------------------------------------------

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """As TRL's, with the ledger, and with rollouts that later steps will use."""
        name = f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
        folder = Path(self._get_output_dir(trial=trial)) / name
        folder.mkdir(parents=True, exist_ok=True)
        between = self._step % (self.args.steps_per_generation * self.num_iterations) != 0
        if between:
            rollouts = folder / ROLLOUTS.format(rank=self.accelerator.process_index)
            torch.save(self._buffered_inputs, rollouts)
        if self.ledger is not None:
            state = {
                "ledger": self.ledger.state_dict(),
                "dataset": self._dataset_is,
                "batches": self._step,
                "rollouts_of": self.accelerator.num_processes if between else None,
            }
            (folder / STATE).write_text(json.dumps(state, default=_plain) + "\n")
        super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self._resume(Path(checkpoint))

    def _resume(self, folder: Path) -> None:
        def read(ledger: BudgetLedger) -> tuple[int, int | None]:
            state = self._read(folder)
            ledger.load_state_dict(state["ledger"])
            return state["batches"], state["rollouts_of"]

        self._step, ranks = self._on_rank_0(read)
        self._buffered_inputs = None
        if ranks is None:
            return
        own = self.accelerator.num_processes
        if ranks != own:
            raise InputError(
                f"{folder} holds rollouts of {ranks} ranks that later steps use, and there are "
                f"{own} now: resume with as many"
            )
        rollouts = folder / ROLLOUTS.format(rank=self.accelerator.process_index)
        stored = torch.load(rollouts, map_location="cpu", weights_only=True)
        self._buffered_inputs = send_to_device(stored, self.accelerator.device)

    def _read(self, folder: Path) -> dict[str, Any]:
        try:
            state: dict[str, Any] = json.loads((folder / STATE).read_text())
        except FileNotFoundError:
            raise InputError(
                f"{folder} has no {STATE}: it was not saved by a BudgetGRPOTrainer. Give its "
                "weights as the model and start a new run"
            ) from None
        if state["dataset"] != self._dataset_is:
            raise InputError(
                f"{folder} was saved with another train_dataset (its rows or their order differ): "
                "what is known of the prompts would go to others. Give the same dataset"
            )
        return state


class _FollowEpochs(TrainerCallback):
    """Tells a trainer which epoch begins."""

    def __init__(self, trainer: BudgetGRPOTrainer) -> None:
        self._trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.follow_epoch(int(state.epoch))


def _name(model: Any) -> str:
    """What the records call a model."""
    return str(getattr(model.config, "_name_or_path", "") or type(model).__name__)


def _plain(value: Any) -> Any:
    """Arrays and numbers of numpy for JSON."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be stored")
