"""The conditions of a ring in a measured world: the run that was measured, with one change each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from cobasim.allocation import find_allocator
from cobasim.errors import InputError
from cobasim.loop import LoopConfig
from cobasim.runs import CompareConfig, Point, settle, with_pool
from cobasim.settings import validated
from cobasim.world import WorldConfig

COLUMNS = ("batch_size", "total_budget", "learning_rate", "num_prompts", "update", "noise")
"""What every condition says."""
TAU = "tau"
"""What some say: a parameter of CoBA and its kin."""
TEXTS = {
    "batch_size": "{} prompts a step", "total_budget": "{} rollouts a step",
    "learning_rate": "learning rate {}", "num_prompts": "pool of {}", "update": "{}",
    "noise": "noise {}", TAU: "tau {}",
}  # fmt: skip
ABSENT = ("population", "pass_rates", "prompt_noise", "regime_step")
"""What the conditions of other worlds vary, and a measured world has not."""
MOST_COPIES = 8  # of each measured prompt, in a pool that is to be visited seldom


class MeasuredConditions(NamedTuple):
    """Points of a sweep, the first as measured; and what was left out, with the reason."""

    points: tuple[Point, ...]
    left_out: tuple[str, ...]


def measured_conditions(
    preset: str,
    world: str,
    allocators: Sequence[str],
    steps: int | None = None,
    settings: Mapping[str, Any] | None = None,
) -> MeasuredConditions:
    """The conditions of a preset; those of quick are among those of full.

    Args:
        preset: "quick" or "full".
        world: ``measured:FILE``.
        allocators: that take part; a condition that changes none of them is left out.
        steps: of a run; None: as measured.
        settings: by flat name, in place of what was measured.

    Raises InputError if the first condition itself is impossible.
    """
    held = {**(settings or {}), "world": world}
    if steps is not None:
        held["steps"] = steps

    def settled(change: Point) -> CompareConfig:
        values = settle("quick", held | change, allocators=tuple(allocators))
        return with_pool(validated(CompareConfig, values))

    most = MOST_COPIES * validated(WorldConfig, {"world": world}).num_prompts
    points: list[Point] = []
    left_out = []
    for change in _changes(preset, settled({})):
        label = ", ".join(_text(name, value) for name, value in change.items())
        if TAU in change and not any(map(_has_tau, allocators)):
            left_out.append(f"{label}: none of the allocators has it")
        elif change.get("num_prompts", 0) > most:
            left_out.append(f"{label}: more than {MOST_COPIES} copies of each measured prompt")
        else:
            try:
                point = _point(settled(change)) | change
            except InputError as error:
                left_out.append(f"{label}: {error}")
                continue
            if point not in points:  # else as measured
                points.append(point)
    return MeasuredConditions(tuple(points), tuple(left_out))


def _changes(preset: str, first: CompareConfig) -> list[Point]:
    loop, world = first.loop, first.world
    size, total, rate = loop.batch_size, loop.total_budget, world.learning_rate

    def visits(number: float) -> Point:
        return {"num_prompts": max(1, round(loop.steps * size / number))}

    changes: list[Point] = [
        {},
        {"batch_size": max(1, size // 4)},
        {"total_budget": max(1, total // 2)},
        {"total_budget": 2 * total},
        {"learning_rate": float(f"{3 * rate:.6g}")},
        visits(2.5),
        visits(20),
    ]
    if preset == "full":
        changes += [
            {"batch_size": 2 * size},
            {"total_budget": 4 * total},
            {"learning_rate": float(f"{0.3 * rate:.6g}")},
            visits(10),
            {"update": "grpo" if world.update == "dr-grpo" else "dr-grpo"},
            {"noise": 2 * world.noise},
            {TAU: 1.0},
            {TAU: 64.0},
        ]
    return changes


def _point(config: CompareConfig) -> Point:
    return {
        name: getattr(config.loop if name in LoopConfig.model_fields else config.world, name)
        for name in COLUMNS
    }


def _has_tau(allocator: str) -> bool:
    return TAU in {field.name for field in fields(find_allocator(allocator))}


def measured_label(row: Mapping[str, Any], first: Mapping[str, Any]) -> str:
    """A condition in a few words: in what it differs from the first one."""
    names = [*COLUMNS, *([TAU] if row.get(TAU) not in (None, "null") else [])]
    changed = [_text(name, row[name]) for name in names if row[name] != first.get(name)]
    return ", ".join(changed) or "as measured"


def _text(name: str, value: Any) -> str:
    shown = f"{value:g}" if isinstance(value, float) else str(value)
    return TEXTS[name].format(shown)
