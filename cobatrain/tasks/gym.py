"""Tasks from reasoning-gym's procedural generators, by name and config.

Each generator is one stream of questions: it is read in order, questions whose text was seen are
dropped, the first of the rest are held out and the others train. Two generators with different
seeds would not do: reasoning-gym (0.1.25) makes question i from Random(seed + i), so neighbouring
seeds share almost all questions.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from pydantic import Field, field_validator

from cobasim.errors import InputError, unknown_name
from cobasim.settings import Frozen
from cobatrain.tasks.apportion import apportion
from cobatrain.tasks.prompts import Prompt, text_key
from cobatrain.tasks.rewards import CustomRewardConfig, RewardColumns, RewardFunction
from cobatrain.tasks.streams import GYM_ORDER, GYM_SOURCE, rng_of
from cobatrain.tasks.task import Task, TaskSettings, check_disjoint
from cobatrain.tasks.verify import GymJudge, Limits, Verifier, custom_verifier
from cobatrain.tasks.wording import counted

TAG_INSTRUCTION = "Give the final answer between <answer> and </answer>."


class GymSource(Frozen):
    """One generator."""

    name: str
    config: dict[str, Any] = Field(
        default_factory=dict, description="the generator's own settings, without seed and size"
    )
    level: str | None = Field(default=None, description="level of its prompts; none: its name")
    share: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @field_validator("config")
    @classmethod
    def _ours(cls, config: dict[str, Any]) -> dict[str, Any]:
        taken = sorted({"seed", "size"} & set(config))
        if taken:
            raise ValueError(f"config has {', '.join(taken)}: the task sets them; leave them out")
        return config


class GymConfig(TaskSettings):
    """Settings of a reasoning-gym task."""

    kind: Literal["reasoning-gym"] = "reasoning-gym"
    sources: tuple[GymSource, ...] = Field(min_length=1)
    train_size: int = Field(default=4096, ge=1)
    heldout_size: int = Field(default=256, ge=1)
    answer_format: Literal["tags", "plain"] = Field(
        default="tags",
        description="tags: the last <answer>...</answer> counts; plain: the whole response does",
    )
    instruction: str | None = Field(
        default=None, description="appended to each question; none: asks for tags if they count"
    )
    threshold: float = Field(
        default=1.0, gt=0, le=1, description="reward 1 where score_answer gives at least this"
    )
    max_draws: int = Field(
        default=20, ge=1, description="questions drawn per distinct one wanted before giving up"
    )
    workers: int = Field(default=2, ge=1)
    cpu_seconds: float = Field(default=2.0, gt=0, description="per judged response")
    reward: CustomRewardConfig | None = None


def _library() -> Any:
    try:
        return import_module("reasoning_gym")
    except ImportError as error:
        raise InputError(
            f"reasoning-gym cannot be imported ({error}): pip install reasoning-gym"
        ) from error


def _generator(name: str, settings: dict[str, Any]) -> Any:
    """The generator, or InputError for an unknown name or config."""
    library = _library()
    known = import_module("reasoning_gym.factory").DATASETS
    if name not in known:
        raise unknown_name("reasoning-gym generator", name, known)
    try:
        return library.create_dataset(name, **settings)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(
            f"reasoning-gym generator {name!r} refuses its config "
            f"{ {k: v for k, v in settings.items() if k not in ('seed', 'size')} }: {error}"
        ) from error


def _distinct(
    generator: Any, wanted: int, draws: int, seen: set[str]
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(index, entry) of up to `wanted` questions whose text is not in `seen`, which grows."""
    given = 0
    for index in range(draws):
        if given == wanted:
            return
        entry = generator[index]
        key = text_key(entry["question"])
        if key in seen:
            continue
        seen.add(key)
        given += 1
        yield index, entry


@dataclass(frozen=True)
class _Drawn:
    """What one generator gave."""

    settings: dict[str, Any]
    """The generator's own, with the seed."""
    entries: list[tuple[int, dict[str, Any]]]
    """(index, entry), distinct."""
    duplicates: int
    """Questions dropped because their text had come before."""


def _draw(
    source: GymSource, hold: int, total: int, stream_seed: int, max_draws: int, seen: set[str]
) -> _Drawn:
    """`total` distinct questions of a source, `hold` of them to hold out; `seen` grows."""
    draws = max_draws * total
    settings = {**source.config, "seed": stream_seed}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        generator = _generator(source.name, {**settings, "size": max(draws, 1)})
        entries = list(_distinct(generator, total, draws, seen))
    if len(entries) < total:
        distinct = counted(len(entries), "distinct question")
        raise InputError(
            f"reasoning-gym generator {source.name!r} gave {distinct} in {counted(draws, 'draw')}, "
            f"expected {total} ({hold} held out): ask for fewer, or widen its config"
        )
    drawn = entries[-1][0] + 1 if entries else 0
    return _Drawn(settings, entries, drawn - total)


def make_gym(config: GymConfig, seed: int) -> Task:
    """The reasoning-gym task of a config and a seed.

    Reward: 1 where the generator's own `score_answer` reaches the threshold, else 0 (also where it
    raises or exceeds its limits). Raises InputError if a generator is unknown, refuses its config
    or has fewer distinct questions than asked for.
    """
    with custom_verifier(config.reward) as (reward, columns):
        return _drawn_task(config, seed, reward, columns)


def _drawn_task(
    config: GymConfig, seed: int, reward: RewardFunction | None, columns: RewardColumns
) -> Task:
    shares = [source.share for source in config.sources]
    train_wanted = apportion(config.train_size, shares)
    heldout_wanted = apportion(config.heldout_size, [1.0] * len(shares))
    seen: set[str] = set()
    pool: list[Prompt] = []
    heldout: list[Prompt] = []
    judged: list[tuple[str, str]] = []
    duplicates = 0
    for i, source in enumerate(config.sources):
        hold, total = int(heldout_wanted[i]), int(heldout_wanted[i] + train_wanted[i])
        stream_seed = int(rng_of(seed, GYM_SOURCE, i).integers(2**31))
        drawn = _draw(source, hold, total, stream_seed, config.max_draws, seen)
        duplicates += drawn.duplicates
        judged.append((source.name, json.dumps(drawn.settings)))
        prompts = [_prompt(config, i, index, entry, columns) for index, entry in drawn.entries]
        heldout += prompts[:hold]
        pool += prompts[hold:]
    order = rng_of(seed, GYM_ORDER).permutation(len(pool))
    return check_disjoint(
        Task(
            name="reasoning-gym",
            train=tuple(pool[i] for i in order),
            heldout={"reasoning-gym": tuple(heldout)},
            reward=reward or _verdict_of(config, tuple(judged)),
            counts={"duplicates": duplicates} if duplicates else {},
            notes=(f"{counted(duplicates, 'repeated question')} dropped",) if duplicates else (),
        )
    )


def _prompt(
    config: GymConfig, number: int, index: int, entry: dict[str, Any], columns: RewardColumns
) -> Prompt:
    """The prompt of entry `index` of source `number`."""
    source = config.sources[number]
    columns.check(entry, f"reasoning-gym {source.name}")
    given = columns.given(entry)
    instruction = config.instruction
    if instruction is None:
        instruction = TAG_INSTRUCTION if config.answer_format == "tags" else ""
    return Prompt(
        text=entry["question"] + (f"\n\n{instruction}" if instruction else ""),
        answer="" if entry["answer"] is None else str(entry["answer"]),
        level=source.level or source.name,
        source=f"reasoning-gym {source.name}[{index}]",
        metadata={
            "generator": number,
            "entry": entry,
            **({"columns": given} if given else {}),
        },
    )


def _verdict_of(config: GymConfig, judged: tuple[tuple[str, str], ...]) -> RewardFunction:
    """The verdict of the generators (name, settings as JSON)."""
    tagged = config.answer_format == "tags"
    judge = GymJudge(judged, threshold=config.threshold, tagged=tagged)
    # More memory than for mathematics: some generators hold word lists.
    limits = Limits(cpu_seconds=config.cpu_seconds, memory_bytes=4 << 30)
    return Verifier(judge, workers=config.workers, limits=limits)
