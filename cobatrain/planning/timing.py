"""Tokens, operations and seconds of a step and of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cobasim.errors import InputError
from cobatrain.planning.engine_memory import EngineMemory
from cobatrain.planning.hardware import Hardware
from cobatrain.planning.shape import ModelShape

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig


@dataclass(frozen=True)
class Lengths:
    """Mean tokens of a prompt and of a response. Raises InputError unless both are above 0."""

    prompt: int
    response: int

    def __post_init__(self) -> None:
        for name, value in (("--prompt-tokens", self.prompt), ("--response-tokens", self.response)):
            if value < 1:
                raise InputError(f"{name} is {value}: expected at least 1")

    @property
    def total(self) -> int:
        """Of a rollout."""
        return self.prompt + self.response


def lengths(config: TrainConfig, prompt: int | None = None, response: int | None = None) -> Lengths:
    """The lengths that a plan assumes; None: the longest response, and a prompt of 256 tokens.

    Where 256 do not fit beside the longest response, the longest prompt that does. Raises
    InputError for a response that is longer than ``sampling.max_tokens``, and for a rollout that
    is longer than ``engine.max_model_len``.
    """
    limit = config.engine.max_model_len
    answered = config.sampling.max_tokens if response is None else response
    if answered > config.sampling.max_tokens:
        raise InputError(
            f"--response-tokens is {answered}, but sampling.max_tokens ends a response after "
            f"{config.sampling.max_tokens}: give at most that, or raise it"
        )
    asked = max(1, min(256, limit - answered)) if prompt is None else prompt
    chosen = Lengths(asked, answered)
    if chosen.total > limit:
        raise InputError(
            f"prompt and response of {asked} + {answered} tokens are longer than "
            f"engine.max_model_len = {limit}: give shorter ones, or raise it"
        )
    return chosen


@dataclass(frozen=True)
class StepTime:
    """Tokens, floating-point operations (all GPUs together) and seconds of one step."""

    rollouts: int
    tokens: int
    """Run through the update: prompts and responses."""
    generated: int
    """Sampled tokens."""
    update_flops: float
    generation_flops: float
    update_seconds: float
    """At the assumed efficiency."""
    generation_seconds: float
    """At least: memory is read at full bandwidth, or products run at the assumed efficiency."""

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.update_seconds + self.generation_seconds


def forward_flops(shape: ModelShape, tokens: int) -> float:
    """Operations of a forward pass for one token of a text of ``tokens``, on average.

    2 for each parameter that multiplies it, and attention over the tokens before it: 4 q for each
    of tokens / 2 on average, in each layer (Kaplan et al. 2020, arXiv 2001.08361, table 1).
    """
    return 2.0 * shape.products + 2.0 * shape.layers * shape.query * tokens


def forward_passes(config: TrainConfig) -> int:
    """What an update costs in forward passes.

    Backward costs two, with LoRA one (no gradients of the frozen weights; those of adapters are not
    counted); one more with checkpointing, for log-probs before the first of several
    steps, and for a reference model.
    """
    update = config.update
    return (
        (3 if config.model.lora is None else 2)
        + update.gradient_checkpointing
        + (update.old_log_probs == "recompute" and update.minibatches > 1)
        + (update.kl_coef > 0)
    )


def step_time(
    config: TrainConfig,
    shape: ModelShape,
    engine: EngineMemory,
    hardware: Hardware,
    length: Lengths,
) -> StepTime:
    """A step in which every rollout has the mean length and is trained on: none without signal."""
    rollouts, gpus = config.loop.total_budget, hardware.gpus
    tokens, generated = rollouts * length.total, rollouts * length.response
    forward = forward_flops(shape, length.total)
    read = config.loop.batch_size if config.engine.enable_prefix_caching else rollouts
    update = tokens * forward * forward_passes(config)
    generation = (read * length.prompt + generated) * forward
    return StepTime(
        rollouts=rollouts,
        tokens=tokens,
        generated=generated,
        update_flops=update,
        generation_flops=generation,
        update_seconds=update / (gpus * hardware.flops),
        generation_seconds=max(
            generation / (gpus * hardware.flops),
            _reading_seconds(config, engine, hardware, length),
        ),
    )


def _reading_seconds(
    config: TrainConfig, engine: EngineMemory, hardware: Hardware, length: Lengths
) -> float:
    """Seconds of reading memory: for each token in turn, the weights and all running caches."""
    engines = max(1, hardware.gpus // config.engine.tensor_parallel_size)
    rollouts = -(-config.loop.total_budget // engines)
    running = max(1, min(rollouts, config.engine.max_num_seqs, engine.cache_tokens // length.total))
    mean_context = length.prompt + length.response / 2
    read = engine.weights + running * engine.cache_token * mean_context
    return rollouts / running * length.response * read / (hardware.bandwidth * 1e12)
