"""Tasks from reasoning-gym's procedural generators, by name and config.

Each generator is one stream of questions: it is read in order, questions whose text was seen are
dropped, the first of the rest are held out and the others train. Two generators with different
seeds are not enough: reasoning-gym (0.1.25) makes question i from Random(seed + i), so neighbouring
seeds share almost all questions.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Literal

from pydantic import Field, field_validator

from cobasim.errors import InputError, unknown_name
from cobatrain.tasks.base import (
    CustomRewardConfig,
    Prompt,
    RewardFunction,
    Settings,
    Task,
    apportion,
    check_disjoint,
    rng_of,
    text_key,
)
from cobatrain.tasks.verify import GymJudge, Limits, Verifier, custom_verifier

_STREAM, _ORDER = 111, 112

TAG_INSTRUCTION = "Give the final answer between <answer> and </answer>."


class GymSource(Settings):
    """One generator."""

    name: str
    config: dict[str, Any] = Field(
        default_factory=dict, description="the generator's own settings, without seed and size"
    )
    level: str | None = Field(default=None, description="level of its prompts; its name if none")
    share: float = Field(default=1.0, gt=0, allow_inf_nan=False)

    @field_validator("config")
    @classmethod
    def _ours(cls, config: dict[str, Any]) -> dict[str, Any]:
        taken = sorted({"seed", "size"} & set(config))
        if taken:
            raise ValueError(f"config has {', '.join(taken)}: the task sets them; leave them out")
        return config


class GymConfig(Settings):
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
    found = 0
    for index in range(draws):
        if found == wanted:
            return
        entry = generator[index]
        key = text_key(entry["question"])
        if key in seen:
            continue
        seen.add(key)
        found += 1
        yield index, entry


def make_gym(config: GymConfig, seed: int) -> Task:
    """The reasoning-gym task of a config and a seed.

    Reward: 1 where the generator's own `score_answer` reaches the threshold, else 0 (also where it
    raises or exceeds its limits). Raises InputError if a generator is unknown, refuses its config
    or has fewer distinct questions than asked for.
    """
    shares = [source.share for source in config.sources]
    train_wanted = apportion(config.train_size, shares)
    heldout_wanted = apportion(config.heldout_size, [1.0] * len(shares))
    tagged = config.answer_format == "tags"
    instruction = config.instruction
    if instruction is None:
        instruction = TAG_INSTRUCTION if tagged else ""
    suffix = f"\n\n{instruction}" if instruction else ""

    seen: set[str] = set()
    pool: list[Prompt] = []
    heldout: list[Prompt] = []
    judged: list[tuple[str, str]] = []
    counts: dict[str, int] = {}
    for i, source in enumerate(config.sources):
        hold, total = int(heldout_wanted[i]), int(heldout_wanted[i] + train_wanted[i])
        draws = config.max_draws * total
        stream_seed = int(rng_of(seed, _STREAM, i).integers(2**31))
        settings = {**source.config, "seed": stream_seed, "size": max(draws, 1)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            generator = _generator(source.name, settings)
            found = list(_distinct(generator, total, draws, seen))
        if len(found) < total:
            raise InputError(
                f"reasoning-gym generator {source.name!r} gave {len(found)} distinct questions in "
                f"{draws} draws, {total} are wanted ({hold} held out): ask for fewer, or widen "
                "its config"
            )
        drawn = found[-1][0] + 1 if found else 0
        if drawn > total:
            counts["duplicates"] = counts.get("duplicates", 0) + drawn - total
        judged.append((source.name, json.dumps({**source.config, "seed": stream_seed})))
        prompts = [
            Prompt(
                text=entry["question"] + suffix,
                answer="" if entry["answer"] is None else str(entry["answer"]),
                level=source.level or source.name,
                source=f"reasoning-gym {source.name}[{index}]",
                metadata={"generator": i, "entry": entry},
            )
            for index, entry in found
        ]
        heldout += prompts[:hold]
        pool += prompts[hold:]
    order = rng_of(seed, _ORDER).permutation(len(pool))
    reward: RewardFunction
    if config.reward is not None:
        reward = custom_verifier(config.reward)
    else:
        judge = GymJudge(tuple(judged), threshold=config.threshold, tagged=tagged)
        # More memory than for mathematics: some generators hold word lists.
        limits = Limits(cpu_seconds=config.cpu_seconds, memory_bytes=4 << 30)
        reward = Verifier(judge, workers=config.workers, limits=limits)
    duplicates = counts.get("duplicates", 0)
    return check_disjoint(
        Task(
            name="reasoning-gym",
            train=tuple(pool[i] for i in order),
            heldout={"reasoning-gym": tuple(heldout)},
            reward=reward,
            counts=counts,
            notes=(f"{duplicates} questions came up again and were dropped",) if duplicates else (),
        )
    )
