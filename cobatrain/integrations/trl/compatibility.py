"""The TRL that this room was written for, and nothing else.

The trainer overrides private methods of ``GRPOTrainer``, which may change with any release. So the
version is limited and the methods are compared with what is expected of them when this module is
imported; the rest of the room takes TRL's names from here.
"""

from __future__ import annotations

import importlib.metadata
import inspect
from collections.abc import Mapping
from typing import Any

OLDEST, BELOW = "1.16.0", "1.17"
"""TRL versions that are known to work: OLDEST <= version < BELOW."""

TRAINER: Mapping[str, tuple[str, ...]] = {
    "_generate_and_score_completions": ("self", "inputs"),
    "_calculate_rewards": ("self", "inputs", "prompts", "completions", "completion_ids_list"),
    "_generate_single_turn": (
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ),
    "get_train_dataloader": ("self",),
    "_get_train_sampler": ("self", "dataset"),
    "_remove_unused_columns": ("self", "dataset", "description"),
    "_get_dataloader": (
        "self",
        "dataset",
        "description",
        "batch_size",
        "sampler_fn",
        "is_training",
        "dataloader_key",
    ),
    "_save_checkpoint": ("self", "model", "trial"),
    "_load_optimizer_and_scheduler": ("self", "checkpoint"),
}
"""Methods of ``GRPOTrainer`` that are overridden or called, with their parameters."""

SAMPLER: Mapping[str, tuple[str, ...]] = {
    "__init__": (
        "self",
        "data_source",
        "mini_repeat_count",
        "batch_size",
        "repeat_count",
        "shuffle",
        "seed",
    ),
}
"""The same for ``RepeatSampler``."""


def check_version(version: str) -> None:
    """Raise ImportError, in one line, for a TRL that this room does not know."""
    from packaging.version import Version

    if not Version(OLDEST) <= Version(version) < Version(BELOW):
        raise ImportError(
            f"cobatrain.integrations.trl works with TRL from {OLDEST} to below {BELOW}, found "
            f"{version}: it overrides private methods of GRPOTrainer, which differ between "
            f"versions; pip install 'trl>={OLDEST},<{BELOW}'"
        )


def check_methods(kind: type[Any], expected: Mapping[str, tuple[str, ...]]) -> None:
    """Raise ImportError for a class whose methods are missing or take other parameters."""
    for name, parameters in expected.items():
        method = getattr(kind, name, None)
        found = None if method is None else tuple(inspect.signature(method).parameters)
        if found != parameters:
            is_now = "is gone" if found is None else f"takes ({', '.join(found)})"
            raise ImportError(
                f"TRL's {kind.__name__}.{name} {is_now}, expected ({', '.join(parameters)}): this "
                f"TRL is not the one that cobatrain.integrations.trl was written for; "
                f"pip install 'trl>={OLDEST},<{BELOW}'"
            )


try:
    check_version(importlib.metadata.version("trl"))
except importlib.metadata.PackageNotFoundError:
    raise ImportError(
        "cobatrain.integrations.trl needs TRL, which is not installed: "
        "pip install 'coba-testbed[trl]'"
    ) from None

from trl import GRPOConfig, GRPOTrainer  # noqa: E402 - only a TRL that is known
from trl.trainer.utils import RepeatSampler, nanstd  # noqa: E402

check_methods(GRPOTrainer, TRAINER)
check_methods(RepeatSampler, SAMPLER)

__all__ = ["GRPOConfig", "GRPOTrainer", "RepeatSampler", "nanstd"]
