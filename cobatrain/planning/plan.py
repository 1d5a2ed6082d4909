"""A config on a machine: memory at every moment of a step, time, and whether it fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cobasim.errors import InputError
from cobatrain.planning.engine_memory import EngineMemory, engine_memory
from cobatrain.planning.hardware import FREE, GIB, Hardware
from cobatrain.planning.host_memory import host_memory
from cobatrain.planning.shape import ModelShape
from cobatrain.planning.timing import Lengths, StepTime, lengths, step_time
from cobatrain.planning.update_memory import (
    Moment,
    activation_bytes,
    certain_bytes,
    loading_bytes,
    resident,
    update_moments,
)

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig

PROCESS = GIB
"""What CUDA, its libraries and graphs take for each process on a card: an assumption."""


@dataclass(frozen=True)
class Plan:
    """What ``make_plan`` found. Memory is in bytes, on one GPU where nothing else is said."""

    config: TrainConfig
    shape: ModelShape
    hardware: Hardware
    lengths: Lengths
    moments: tuple[Moment, ...]
    engine: EngineMemory
    host: dict[str, int]
    step: StepTime
    activations: dict[str, int]
    """Of the largest micro-batch, ``checkpointed`` and ``kept`` (without checkpointing)."""
    certain: int
    """Weights, gradients and Adam's moments: a lower bound whatever else is set."""

    @property
    def peak(self) -> Moment:
        """The moment that takes most memory."""
        return max(self.moments, key=lambda moment: moment.total)

    @property
    def cache_short(self) -> bool:
        """Whether vLLM's cache could not hold one longest rollout; vLLM then does not start."""
        engine = self.config.engine
        return engine.name == "vllm" and self.engine.cache_tokens < engine.max_model_len

    @property
    def fits(self) -> bool:
        """Whether every moment fits on the card with ``FREE`` of it left, and the engine starts."""
        return self.peak.total <= self.hardware.usable and not self.cache_short

    @property
    def verdict(self) -> str:
        """Yes or no in one line, without advice."""
        card = f"{self.hardware.gib:g} GiB"
        peak = f"{self.peak.total / GIB:.1f} of {card} at the peak ({self.peak.name})"
        if self.fits:
            return f"fits: {peak}"
        if self.peak.total > self.hardware.bytes:
            return f"does not fit: {peak}"
        if self.peak.total > self.hardware.usable:
            return f"does not fit: {peak}, less than {100 * FREE:g} % free"
        return (
            f"does not fit: the engine's {self.engine.awake / GIB:.1f} of {card} leave room for "
            f"{self.engine.cache_tokens} tokens beside its weights, and a rollout can have "
            f"{self.config.engine.max_model_len}"
        )

    def to_json(self) -> dict[str, Any]:
        """All numbers, memory in bytes."""
        steps = self.config.loop.steps
        return {
            "fits": self.fits,
            "verdict": self.verdict,
            "peak": {"moment": self.peak.name, "bytes": self.peak.total},
            "certain_bytes": self.certain,
            "card_bytes": self.hardware.bytes,
            "usable_bytes": self.hardware.usable,
            "moments": [
                {"moment": one.name, "parts": dict(one.parts), "bytes": one.total}
                for one in self.moments
            ],
            "activation_bytes": self.activations,
            "engine": asdict(self.engine) | {"cache_tokens": self.engine.cache_tokens},
            "host_bytes": self.host,
            "step": asdict(self.step) | {"seconds": self.step.seconds},
            "run": {"steps": steps, "seconds": steps * self.step.seconds},
            "assumed": asdict(self.hardware) | {"lengths": asdict(self.lengths)},
            "model": asdict(self.shape),
        }


def make_plan(
    config: TrainConfig,
    shape: ModelShape,
    hardware: Hardware,
    *,
    prompt_tokens: int | None = None,
    response_tokens: int | None = None,
) -> Plan:
    """Plan a config on a machine; needs no GPU.

    ``prompt_tokens`` and ``response_tokens`` are mean lengths, for time only (see ``lengths``).
    Raises InputError for lengths that cannot be, and an engine that needs more GPUs than there are.
    """
    gpus, nodes = hardware.gpus, hardware.nodes
    if config.engine.tensor_parallel_size > gpus:
        raise InputError(
            f"engine.tensor_parallel_size is {config.engine.tensor_parallel_size}, but the plan "
            f"has {gpus} GPU{'s' if gpus > 1 else ''}: give more --gpus, or set it lower"
        )
    length = lengths(config, prompt_tokens, response_tokens)
    engine = engine_memory(config, shape, gpus, hardware.bytes)
    return Plan(
        config=config,
        shape=shape,
        hardware=hardware,
        lengths=length,
        moments=tuple(_moments(config, shape, hardware, engine)),
        engine=engine,
        host=host_memory(config, shape, gpus // nodes),
        step=step_time(config, shape, engine, hardware, length),
        activations={
            name: activation_bytes(config, shape, gpus, checkpointing=flag, nodes=nodes)
            for name, flag in (("checkpointed", True), ("kept", False))
        },
        certain=certain_bytes(config, shape, gpus, nodes),
    )


def _moments(
    config: TrainConfig, shape: ModelShape, hardware: Hardware, engine: EngineMemory
) -> list[Moment]:
    """Loading (no engine yet), generation, the update."""
    gpus, nodes = hardware.gpus, hardware.nodes
    processes = PROCESS * (2 if config.engine.subprocess else 1)
    held = resident(config, shape, gpus, nodes)
    loading = loading_bytes(config, shape, gpus, nodes)
    return [
        Moment("loading", {**loading, "overhead": PROCESS}),
        Moment("generation", {**held, "engine": engine.awake, "overhead": processes}),
        *(
            Moment(moment.name, {**moment.parts, "engine": engine.asleep, "overhead": processes})
            for moment in update_moments(config, shape, gpus, nodes=nodes)
        ),
    ]
