"""The first setting to change where a plan does not fit: found by planning again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cobatrain.planning.hardware import Hardware
from cobatrain.planning.plan import Plan, make_plan

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig

MOST_GPUS = 1024


@dataclass(frozen=True)
class Advice:
    """Changes with which a plan fits, the first one first, and that plan.

    ``changes`` are texts such as ``parallel=shard`` and ``--gpus 16``.
    """

    changes: tuple[str, ...]
    plan: Plan


def advice_line(advice: Advice | None) -> str:
    """What to do where a plan does not fit, in a few words."""
    if advice is None:
        return "no setting known here makes it fit: choose a smaller model"
    return f"first: set {', '.join(advice.changes)} (then it {advice.plan.verdict})"


Change = tuple[str, dict[str, Any]]
"""What it is called, and the values of settings by part ("" for the top level)."""


def advise(plan: Plan) -> Advice | None:
    """What makes a plan fit; None if it fits, or nothing known here makes it.

    One change alone is tried first, in the order of ``_levers`` and from little to much; then
    several, of which those that are not needed are dropped; then more GPUs.
    """
    if plan.fits:
        return None
    gpus = plan.hardware.gpus
    while gpus <= MOST_GPUS:
        found = _on(plan, gpus)
        if found is not None:
            return found
        gpus *= 2
    return None


def _on(plan: Plan, gpus: int) -> Advice | None:
    hardware = replace(plan.hardware, gpus=gpus)
    more = (f"--gpus {gpus}",) if gpus > plan.hardware.gpus else ()

    def planned(changes: Sequence[Change]) -> Plan:
        return make_plan(_changed(plan.config, changes), plan.shape, hardware)

    def advice(changes: Sequence[Change]) -> Advice:
        return Advice((*more, *(name for name, _ in changes)), planned(changes))

    if more and planned([]).fits:
        return advice([])
    levers = [list(lever(plan.config, hardware)) for lever in _LEVERS]
    for values in levers:
        for change in values:
            if planned([change]).fits:
                return advice([change])
    chosen: list[Change] = []
    for values in levers:
        for change in values:
            if planned([*chosen, change]).fits:
                return advice(_needed([*chosen, change], planned))
        chosen += values[-1:]
    return None


def _needed(changes: list[Change], planned: Callable[[Sequence[Change]], Plan]) -> list[Change]:
    """Without those that are not needed."""
    kept = list(changes)
    for change in changes:
        without = [one for one in kept if one is not change]
        if planned(without).fits:
            kept = without
    return kept


def _changed(config: TrainConfig, changes: Sequence[Change]) -> TrainConfig:
    for _, parts in changes:
        for part, values in parts.items():
            if part:
                values = {part: getattr(config, part).model_copy(update=values)}
            config = config.model_copy(update=values)
    return config


def _sleep(config: TrainConfig, hardware: Hardware) -> Iterator[Change]:
    if config.engine.name == "vllm" and config.engine.sleep_level == 0:
        yield "engine.sleep_level=2", {"engine": {"sleep_level": 2}}


def _shard(config: TrainConfig, hardware: Hardware) -> Iterator[Change]:
    within = hardware.gpus // hardware.nodes
    if config.parallel == "replicate" and hardware.nodes > 1 and within > 1:
        yield "parallel=hybrid", {"": {"parallel": "hybrid"}}
    if hardware.gpus > 1 and config.parallel != "shard":
        yield "parallel=shard", {"": {"parallel": "shard"}}


def _micro_tokens(config: TrainConfig, hardware: Hardware) -> Iterator[Change]:
    tokens = config.update.micro_tokens // 2
    while tokens >= config.engine.max_model_len:
        yield f"update.micro_tokens={tokens}", {"update": {"micro_tokens": tokens}}
        tokens //= 2


def _checkpointing(config: TrainConfig, hardware: Hardware) -> Iterator[Change]:
    if not config.update.gradient_checkpointing:
        yield (
            "update.gradient_checkpointing=true",
            {"update": {"gradient_checkpointing": True}},
        )


def _share(config: TrainConfig, hardware: Hardware) -> Iterator[Change]:
    if config.engine.name != "vllm":
        return
    now = round(100 * config.engine.gpu_memory_utilization)
    for percent in [*range(now - 5, 5, -5), *range(now + 5, 95, 5)]:
        value = percent / 100
        yield (
            f"engine.gpu_memory_utilization={value:g}",
            {"engine": {"gpu_memory_utilization": value}},
        )


def _chunk(config: TrainConfig, hardware: Hardware) -> Iterator[Change]:
    if config.update.logit_chunk > 2**24:
        yield f"update.logit_chunk={2**24}", {"update": {"logit_chunk": 2**24}}


def _bf16(config: TrainConfig, hardware: Hardware) -> Iterator[Change]:
    if not config.update.bf16:
        yield "update.bf16=true", {"update": {"bf16": True}}


_LEVERS = (_sleep, _shard, _micro_tokens, _checkpointing, _share, _chunk, _bf16)
"""In the order in which they are tried: those that cost least time first."""
