"""Budgets in SkyRL 0.3: a trainer with a ledger, and the entry point that starts it.

    python -m skyrl.train.entrypoints.main_base \\
        trainer.override_entrypoint=cobatrain.integrations.skyrl \\
        budgets.allocator=signal budgets.low=2 budgets.high=64 ...

SkyRL makes ``generator.n_samples_per_prompt`` rows of each prompt and hands them to
``RayPPOTrainer.generate``. There they are dealt again by the budgets, their number unchanged, and
``postprocess_generator_output`` takes the prompts of the rows from here and tells the rewards. The
advantages, which SkyRL groups by prompt, and the loss need no change. Mini-batches stay whole
prompts; SkyRL asserts that all have the same number of rows (but for step-wise trajectories, whose
rows vary), so their bounds are set here.

The methods replaced here are not promised to stay: another version of SkyRL is refused.
"""

# No `from __future__ import annotations`: SkyRL reads the types of a config's fields as they are.

import inspect
import json
import os
import sys
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from cobasim.arrays import IntArray
from cobasim.budgets import BudgetLedger
from cobasim.errors import InputError
from cobatrain.integrations.groups import count_passes, deal_rows, group_sizes

VERSIONS: Final = "0.3."

try:
    import ray
    import skyrl
    import torch
    from skyrl.backends.skyrl_train.utils.io import io
    from skyrl.train.config import SkyRLTrainConfig
    from skyrl.train.dataset.preprocess import (
        compute_prompt_boundaries,
        compute_prompt_mini_batch_boundaries,
    )
    from skyrl.train.entrypoints.main_base import BasePPOExp
    from skyrl.train.trainer import RayPPOTrainer
    from skyrl.train.utils import initialize_ray, validate_cfg
    from torch.nn.functional import pad
except ImportError as error:
    raise ImportError(
        f"cobatrain.integrations.skyrl needs SkyRL {VERSIONS}x with its extra skyrl-train "
        f"({error}): install this project into SkyRL's environment"
    ) from error

# What counts equally in the loss, by SkyRL's name for it. "token_mean_legacy" is refused.
WEIGHTINGS: Final = {
    "token_mean": "token",
    "sequence_mean": "rollout",
    "seq_mean_token_sum_norm": "rollout",
    "prompt_mean": "prompt",
}
UNGROUPED: Final = ("gae", "reinforce++")  # advantages that compare no rollouts of a prompt
STATE: Final = "budgets.json"  # of the ledger, in the folder of a checkpoint
HOOKS: Final = {
    "generate": ["self", "input_batch"],
    "postprocess_generator_output": [
        "self", "generator_output", "uids", "metrics_generator_output", "metrics_uids",
    ],
    "convert_to_training_input": ["self", "generator_output", "uids"],
    "_execute_forward_pass": [
        "self", "model", "data_fwd_pass", "key", "mini_batch_boundaries",
    ],
    "save_checkpoints": ["self"],
    "load_checkpoints": ["self"],
}  # fmt: skip


def check_hooks(version: str, trainer: type) -> None:
    """Raise ImportError for a SkyRL that this module does not know."""
    known = f"this is written for SkyRL {VERSIONS}x"
    if not version.startswith(VERSIONS):
        raise ImportError(f"SkyRL {version} is installed, and {known}")
    for name, parameters in HOOKS.items():
        method = getattr(trainer, name, None)
        found = None if method is None else list(inspect.signature(method).parameters)
        if found != parameters:
            raise ImportError(
                f"{trainer.__name__}.{name} of SkyRL {version} takes {found}, not {parameters}, "
                f"and {known}"
            )


check_hooks(skyrl.__version__, RayPPOTrainer)


class BudgetPPOTrainer(RayPPOTrainer):
    """SkyRL's trainer, with budgets instead of ``n_samples_per_prompt`` rollouts for each prompt.

    A batch still has train_batch_size * n_samples_per_prompt rollouts, exactly. Evaluation is
    SkyRL's own. Checkpoints hold the ledger's state.

    Args:
        budgets: arguments of ``cobasim.budgets.BudgetLedger``, such as {"allocator": "signal",
            "low": 2, "high": 64, "records": "runs/mine"}; total and weighting follow from SkyRL's
            config.
        passed: a rollout passes if its reward is at least this. A reward that is given token by
            token is summed; of step-wise trajectories the last step counts.
        args, kwargs: as RayPPOTrainer.

    Raises InputError for settings that a ledger cannot serve, and for those of SkyRL that do not
    go with budgets.
    """

    def __init__(
        self, *args: Any, budgets: Mapping[str, Any], passed: float = 0.5, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ledger = make_ledger(self.cfg, budgets)
        self.passed = passed
        self._keys: list[Hashable] = []
        self._budgets: IntArray = np.zeros(0, dtype=np.int64)

    async def generate(self, input_batch: Any) -> Any:
        """Deal the rows of the batch by budgets, then generate as SkyRL does.

        The batch is changed in place: SkyRL logs its prompts beside the rollouts later.
        """
        uids = [row.instance_id for row in input_batch["trajectory_ids"]]
        keys, sizes = group_sizes(uids)
        budgets = self.ledger.ask(keys, total=len(uids))
        input_batch.update(deal_rows(input_batch, sizes, budgets))
        place = np.arange(len(uids)) - np.repeat(np.cumsum(budgets) - budgets, budgets)
        input_batch["trajectory_ids"] = [
            replace(row, repetition_id=repetition)
            for row, repetition in zip(input_batch["trajectory_ids"], place.tolist(), strict=True)
        ]
        try:
            output = await super().generate(input_batch)
        except BaseException:
            self.ledger.withdraw()
            raise
        self._keys, self._budgets = keys, budgets
        self.all_metrics.update(
            {"budgets/min": int(budgets.min()), "budgets/max": int(budgets.max())}
        )
        return output

    def postprocess_generator_output(
        self,
        generator_output: Any,
        uids: list[str],
        metrics_generator_output: Any = None,
        metrics_uids: Any = None,
    ) -> Any:
        """Tell the rewards, and give each row the prompt that it was made for."""
        rewards = [
            sum(reward) if isinstance(reward, list) else reward
            for reward in generator_output["rewards"]
        ]
        made = np.repeat(np.array(self._keys, dtype=object), self._budgets).tolist()
        if self.cfg.generator.step_wise_trajectories:  # rows are steps, with uids of their own
            ends = np.flatnonzero(generator_output["is_last_step"]).tolist()
            rewards = [rewards[row] for row in ends]
            if [uids[row] for row in ends] != made:
                raise InputError(
                    "the generator returned trajectories of other prompts, or in another order, "
                    "than it was given: budgets cannot be told"
                )
        else:
            uids = made
        passes = count_passes(rewards, self.passed, self._budgets)
        done = super().postprocess_generator_output(
            generator_output, uids, metrics_generator_output, metrics_uids
        )
        self.ledger.tell(self._keys, self._budgets, passes)
        return done

    def convert_to_training_input(self, generator_output: Any, uids: list[str]) -> Any:
        """SkyRL's tensors, with mini-batches of whole prompts whatever their budgets."""
        if self.cfg.generator.step_wise_trajectories:
            return super().convert_to_training_input(generator_output, uids)
        # The tensors do not depend on uids. SkyRL's check of equal groups is met by equal groups;
        # what follows from uids is then set from the real ones.
        count = self.cfg.generator.n_samples_per_prompt
        equal = [str(row // count) for row in range(len(uids))]
        batch = super().convert_to_training_input(generator_output, equal)
        metadata = batch.metadata
        metadata["uids"] = [*uids, *metadata["uids"][len(uids) :]]
        metadata["policy_prompt_boundaries"] = compute_prompt_boundaries(uids)
        trainer = self.cfg.trainer
        for model, size in (
            ("policy", trainer.policy_mini_batch_size),
            ("critic", trainer.critic_mini_batch_size),
        ):
            name = f"{model}_mini_batch_boundaries"
            if name in metadata:
                metadata[name] = compute_prompt_mini_batch_boundaries(
                    uids, size, trainer.train_batch_size, True, count
                )
        return batch

    def _execute_forward_pass(
        self, model: str, data_fwd_pass: Any, key: str, mini_batch_boundaries: Any
    ) -> torch.Tensor:
        """Log-probabilities or values (rows, response length), each with its own row.

        SkyRL pads a mini-batch to a multiple of the ranks, and where it runs mini-batch by
        mini-batch it leaves the padding between them. It is dropped here.
        """
        forward = super()._execute_forward_pass
        if not mini_batch_boundaries:
            done: torch.Tensor = forward(model, data_fwd_pass, key, mini_batch_boundaries)
            return done
        parts = [
            forward(model, data_fwd_pass, key, [(start, end)])[: end - start]
            for start, end in mini_batch_boundaries
        ]
        width = max(part.shape[1] for part in parts)
        return torch.cat([pad(part, (0, width - part.shape[1])) for part in parts])

    def save_checkpoints(self) -> str:
        """SkyRL's checkpoint with the ledger's state, which is written first."""
        folder = os.path.join(self.cfg.trainer.ckpt_path, f"global_step_{self.global_step}")
        io.makedirs(folder, exist_ok=True)
        with io.open_file(os.path.join(folder, STATE), "w") as file:
            json.dump(self.ledger.state_dict(), file, default=_as_list)
        return str(super().save_checkpoints())

    def load_checkpoints(self) -> tuple[int, str]:
        """SkyRL's checkpoint, if there is one, with the ledger's state.

        Raises InputError for a checkpoint without budgets, and for budgets of other settings.
        """
        step, folder = super().load_checkpoints()
        if folder is not None:
            path = os.path.join(folder, STATE)
            if not io.exists(path):
                raise InputError(
                    f"{folder} has no {STATE}: it was written without budgets. Go on without them, "
                    "or start anew with trainer.resume_mode=none"
                )
            with io.open_file(path, "r") as file:
                self.ledger.load_state_dict(json.load(file))
        return step, folder


def make_ledger(cfg: Any, budgets: Mapping[str, Any]) -> BudgetLedger:
    """The ledger of a run with SkyRL's config. Raises InputError as ``BudgetPPOTrainer``."""
    trainer, count = cfg.trainer, cfg.generator.n_samples_per_prompt
    algorithm = trainer.algorithm
    if algorithm.dynamic_sampling.type is not None:
        raise InputError(
            f"algorithm.dynamic_sampling.type={algorithm.dynamic_sampling.type!r} replaces or "
            "drops rollouts after they were made, n of each prompt: set it to null with budgets"
        )
    if algorithm.loss_reduction not in WEIGHTINGS:
        raise InputError(
            f"algorithm.loss_reduction={algorithm.loss_reduction!r} does not go with budgets "
            "(mini-batches differ in size, and it drops the rows of an unfinished micro-batch): "
            f"use one of {', '.join(WEIGHTINGS)}"
        )
    given = {"model": trainer.policy.model.path, **budgets}
    for name in ("total", "weighting"):
        if name in budgets:
            raise InputError(f"budgets.{name} follows from SkyRL's config: leave it out")
    known = list(inspect.signature(BudgetLedger).parameters)
    for name in given:
        if name not in known:
            raise InputError(f"unknown budgets.{name}: known are {', '.join(known)}")
    ledger = BudgetLedger(
        trainer.train_batch_size * count,
        weighting=WEIGHTINGS[algorithm.loss_reduction],
        **given,
    )
    ledger.limits.for_batch(trainer.train_batch_size)
    if ledger.limits.low < 2 and algorithm.advantage_estimator not in UNGROUPED:
        raise InputError(
            f"budgets.low={ledger.limits.low} with advantage_estimator="
            f"{algorithm.advantage_estimator!r}: a rollout that is alone has nothing to be "
            "compared with (grpo takes its raw reward as its advantage): use low of at least 2"
        )
    return ledger


def _as_list(value: Any) -> Any:
    """Arrays and numbers of numpy, for JSON."""
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is no JSON")


# -- the entry point -------------------------------------------------------------------------------


@dataclass
class BudgetTrainConfig(SkyRLTrainConfig):
    """SkyRL's config with ``budgets``: arguments of BudgetLedger, and ``passed``."""

    budgets: dict[str, Any] = field(default_factory=dict)


class BudgetExp(BasePPOExp):
    """SkyRL's experiment with ``BudgetPPOTrainer``."""

    def get_trainer(self, *args: Any, **kwargs: Any) -> BudgetPPOTrainer:
        """The trainer, from ``cfg.budgets``."""
        names = list(inspect.signature(BasePPOExp.get_trainer).parameters)[1:]
        kwargs.update(zip(names, args, strict=False))
        budgets = dict(self.cfg.budgets)
        passed = budgets.pop("passed", 0.5)
        return BudgetPPOTrainer(**kwargs, budgets=budgets, passed=passed)


def run(cfg: BudgetTrainConfig) -> None:
    """Train with this config, in this process."""
    BudgetExp(cfg).run()


def main() -> None:
    """What ``trainer.override_entrypoint=cobatrain.integrations.skyrl`` starts."""
    override = "trainer.override_entrypoint="
    arguments = [argument for argument in sys.argv[1:] if not argument.startswith(override)]
    cfg = BudgetTrainConfig.from_cli_overrides(arguments)
    validate_cfg(cfg)
    initialize_ray(cfg)
    ray.get(ray.remote(num_cpus=1)(run).remote(cfg))


if __name__ == "__main__":
    main()
