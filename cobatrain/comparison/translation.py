"""Which settings of a training run a measured world has, and which it must refuse.

Every setting of ``TrainConfig`` is in exactly one of these groups, by dotted name or by the name of
what it is part of; a test holds that. So no setting is left out of a prediction in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cobasim.errors import InputError
from cobatrain.config import TrainConfig, difference

TAKEN_OVER = frozenset({
    "loop.steps", "loop.batch_size", "loop.total_budget", "loop.low", "loop.high", "loop.window",
    "loop.estimator", "loop.estimator_parameters", "loop.eval_every", "parameters",
    "update.advantage", "update.learning_rate", "update.warmup_steps", "update.max_grad_norm",
})  # fmt: skip
"""The world or its loop has them."""

NAMED = frozenset({"allocator", "weighting", "seed"})
"""A comparison names its own."""

COMPARED = frozenset({"model.path", "task", "task_seed"})
"""What was measured; ``predicted`` compares them with the file."""

AS_MEASURED = frozenset({
    "model.system", "model.chat_template_kwargs", "model.dtype", "model.lora",
    "sampling.temperature", "sampling.top_p", "sampling.max_tokens", "sampling.stop_token_ids",
    "sampling.stop", "update.constant_length",
})  # fmt: skip
"""The gradients depend on them: they must be those of the measurement."""

WITHOUT_EFFECT = frozenset({
    # how it is computed, seen and kept
    "model.tiny", "model.pretrained", "model.device", "engine", "checkpoint", "parallel", "track",
    "recorded_samples", "log_prob_bound", "evaluation.samples", "evaluation.prompts",
    "evaluation.exact", "evaluation.pool", "update.micro_tokens", "update.shared_prompts",
    "update.skip_no_signal", "update.gradient_checkpointing", "update.logit_chunk",
    "update.measure_parts", "update.measure_every", "update.bf16",
    # with one step an update, the policy is the one that sampled: all ratios are 1
    "update.loss", "update.clip_low", "update.clip_high", "update.dual_clip", "update.tis_cap",
    "update.old_log_probs",
})  # fmt: skip
"""They change neither what is learned nor what it is expected to score."""

ONLY: Mapping[str, Any] = {
    "loop.first_beliefs": "unseen",
    "loop.token_budget": None,
    "loop.mix": (),
    "pass_rates": None,
    "update.deviation": "population",
    "update.cut_off": "keep",
    "update.penalty_tokens": None,
    "update.minibatches": 1,
    "update.kl_coef": 0.0,
    "update.weight_decay": 0.0,
    "update.betas": (0.9, 0.999),
}
"""The world knows one value only."""

EVALUATED = frozenset({"evaluation.temperature", "evaluation.top_p"})
"""Where accuracy is sampled, it must be as in training: the world scores that policy."""


def check_translatable(config: TrainConfig, stored: Mapping[str, Any], file: str) -> None:
    """Raise InputError, naming the setting, for a run that a measured world cannot predict.

    Args:
        config: of the run.
        stored: the config of the measurement, plain values.
        file: of the measurement, for messages.
    """
    for name, known in ONLY.items():
        value = _value(config, name)
        if value != known:
            raise InputError(
                f"a measured world has no {name}={_shown(value)}: predict with {_shown(known)}, or "
                "compare for real"
            )
    changed = set(difference(config, stored))
    for name in sorted(AS_MEASURED):
        if any(each == name or each.startswith(f"{name}.") for each in changed):
            raise InputError(f"{file} was measured at another {name}: measure again")
    cap = config.update.tis_cap
    if cap is not None and cap < 1.0:
        raise InputError(
            f"a measured world has no update.tis_cap={cap:g}, which shrinks every gradient: "
            "predict with a cap of 1 or more"
        )
    evaluation, temperature = config.evaluation, config.sampling.temperature
    if not evaluation.exact and (evaluation.temperature, evaluation.top_p) != (temperature, 1.0):
        raise InputError(
            f"a measured world scores the policy that is trained: set evaluation.temperature to "
            f"{temperature:g} (is {evaluation.temperature:g}) and evaluation.top_p to 1 (is "
            f"{evaluation.top_p:g})"
        )


def _value(config: TrainConfig, name: str) -> Any:
    value: Any = config
    for part in name.split("."):
        value = getattr(value, part)
    return value


def _shown(value: Any) -> str:
    return "none" if value in (None, ()) else str(value)
