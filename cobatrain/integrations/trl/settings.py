"""What a budget trainer can be given: refusals by name, and the ledger that follows from it."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from datasets import Dataset, IterableDataset

from cobasim.allocation import Limits, find_allocator
from cobasim.budgets import BudgetLedger, RewardRange
from cobasim.errors import InputError, unknown_name

WEIGHTINGS: Final = ("rollout", "prompt")

LOSSES: Final = {
    "grpo": "rollout",
    "sapo": "rollout",
    "dr_grpo": "rollout",
    "luspo": "rollout",
    "bnpo": "token",
    "dapo": "token",
    "cispo": "token",
    "vespo": "token",
}
"""Loss types of TRL, and what counts alike in them as they are: tokens where the sum is divided by
a number of tokens, rollouts where it is divided by a number of rollouts."""

FIXED: Final = {
    "total": "it is the generation batch of the GRPOConfig",
    "weighting": "give weighting= to the trainer",
}
"""Settings of a ledger that the trainer gives it, and why."""

PER_REQUEST: Final = {
    "seed": "a seed gives all rollouts of a prompt the same tokens, and so advantage 0: leave it "
    "out, vLLM draws from the seed that it was started with",
    "use_beam_search": "a beam search gives all rollouts of a prompt the same tokens, and so "
    "advantage 0: leave it out",
    "n": "another n gives rollouts to the wrong prompts: leave it out, budgets say how many",
}
"""What ``generation_kwargs`` cannot hold with vLLM, where every rollout is a request of its own."""


def check_config(config: Any, weighting: str) -> None:
    """Raise InputError for a GRPOConfig that unequal groups cannot serve, and for a weighting."""
    if weighting not in WEIGHTINGS:
        raise unknown_name("weighting", weighting, WEIGHTINGS)
    if config.loss_type not in LOSSES:
        raise InputError(
            f"loss_type {config.loss_type!r} is not known to BudgetGRPOTrainer: use one of "
            f"{', '.join(LOSSES)}"
        )
    if config.multi_objective_aggregation != "sum_then_normalize":
        raise InputError(
            f"multi_objective_aggregation={config.multi_objective_aggregation!r} normalises each "
            "reward over groups of equal size: use 'sum_then_normalize'"
        )
    given = (config.generation_kwargs or {}) if config.use_vllm else {}
    for name, problem in PER_REQUEST.items():
        if name in given:
            raise InputError(
                f"generation_kwargs={{{name!r}: {given[name]!r}}}: each rollout is a request of "
                f"its own to vLLM, so {problem}"
            )
    loader = config.accelerator_config
    if loader.split_batches or loader.dispatch_batches:
        raise InputError(
            "accelerator_config must leave split_batches and dispatch_batches off: each rank reads "
            "its own rows of a generation batch"
        )


def check_data(dataset: Any, config: Any, rollout_func: Any) -> int:
    """The number of rows of a training set.

    Raises InputError for data, or a way to roll out, that budgets cannot be given to.
    """
    if rollout_func is not None:
        raise InputError(
            "rollout_func may count on num_generations rollouts of each prompt, which budgets "
            "change: use environment_factory or tools, or TRL's own generation"
        )
    if isinstance(dataset, IterableDataset):
        raise InputError(
            "train_dataset is an IterableDataset, whose rows have no number by which a prompt is "
            "known again: give a Dataset"
        )
    if not isinstance(dataset, Dataset):
        raise InputError(
            f"train_dataset must be a Dataset with a row for each prompt, got "
            f"{type(dataset).__name__}"
        )
    rows, prompts = len(dataset), prompts_of(config)
    if rows < prompts:
        raise InputError(
            f"train_dataset has {rows} rows, a generation batch {prompts} prompts "
            f"({config.generation_batch_size} rollouts, num_generations="
            f"{config.num_generations}): no batch could be filled"
        )
    return rows


def check_passed(passed: Any, names: Sequence[str] | None = None) -> None:
    """Raise InputError for a threshold that is no number, and for one of an unknown function."""
    if isinstance(passed, RewardRange):
        return
    limits = list(passed.values()) if isinstance(passed, Mapping) else [passed]
    for limit in limits or [None]:
        number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        if not number or not math.isfinite(limit):
            raise InputError(
                "passed must be the number that the reward of a rollout reaches when it passes, "
                "{name of a reward function: number}, or RewardRange(low, high), "
                f"got {passed!r}"
            )
    if names is not None and isinstance(passed, Mapping):
        for name in passed:
            if name not in names:
                raise unknown_name("reward function in passed", name, names)


def prompts_of(config: Any) -> int:
    """Prompts in a generation batch."""
    return int(config.generation_batch_size // config.num_generations)


def generations(config: Any, rows: int) -> int:
    """Generation batches in the whole run, for allocators that follow its progress."""
    if config.max_steps > 0:
        used = int(config.max_steps * config.gradient_accumulation_steps)
        return -(-used // int(config.steps_per_generation * config.num_iterations))
    epochs = float(config.num_train_epochs)
    return max(1, math.ceil(epochs * (rows // prompts_of(config))))


def make_ledger(
    budgets: Mapping[str, Any] | None,
    config: Any,
    weighting: str,
    rows: int,
    *,
    model: str | None = None,
    records: bool = False,
) -> BudgetLedger:
    """The ledger of a run; without ``records`` none are written, whatever ``budgets`` say.

    Raises InputError for settings that a ledger does not have or that the trainer gives itself, for
    bounds that groups cannot have, and as ``BudgetLedger``.
    """
    if budgets is not None and not isinstance(budgets, Mapping):
        raise InputError(
            f"budgets must be a dict of settings of a BudgetLedger, such as "
            f"dict(allocator='signal', high=64), got {budgets!r}"
        )
    settings = dict(budgets or {})
    known = inspect.signature(BudgetLedger.__init__).parameters.keys() - {"self"}
    for name in settings:
        if name in FIXED:
            raise InputError(f"budgets cannot hold {name!r}: {FIXED[name]}")
        if name not in known:
            raise unknown_name("setting in budgets", name, known - FIXED.keys())
    if not records:
        settings["records"] = None
    settings.setdefault("seed", config.seed)
    settings.setdefault("model", model)
    allocator = find_allocator(settings.get("allocator", "signal"))
    if "progress" in allocator.needs:
        settings.setdefault("steps", generations(config, rows))
    own = LOSSES[config.loss_type] if weighting == "rollout" else weighting
    ledger = BudgetLedger(config.generation_batch_size, weighting=own, **settings)
    _check_limits(ledger.limits, config)
    return ledger


def _check_limits(limits: Limits, config: Any) -> None:
    if limits.low < 2:
        raise InputError(
            f"low={limits.low}: the only rollout of a prompt has advantage 0 and teaches nothing, "
            "so low must be at least 2"
        )
    if not limits.low <= config.num_generations <= limits.high:
        raise InputError(
            f"num_generations={config.num_generations} is the mean budget of a prompt and must lie "
            f"between low={limits.low} and high={limits.high}: change one of them"
        )
    limits.for_batch(prompts_of(config))
