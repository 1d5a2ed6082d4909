"""What is compared, and the folder that holds it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from cobasim.errors import InputError
from cobasim.files import writing
from cobasim.records import folder_name, write_atomically
from cobasim.runs import BASELINE, PLAN, claim_folder
from cobatrain.config import TrainConfig, difference

ALIKE = ("rollout", "prompt")  # the same loss for groups of equal size
LISTS = ("allocators", "weightings", "seeds")
CONFIG = "config.yaml"


class PlannedRun(NamedTuple):
    """One run of a comparison."""

    weighting: str
    allocator: str
    seed: int


@dataclass(frozen=True)
class Plan:
    """One config, changed in allocator, weighting and seed only.

    Raises InputError if one of these lists is empty or has a repeated entry.
    """

    config: TrainConfig
    allocators: tuple[str, ...]
    weightings: tuple[str, ...]
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        for kind in LISTS:
            named: tuple[object, ...] = getattr(self, kind)
            if not named:
                raise InputError(f"{kind}: name at least one")
            if len(set(named)) < len(named):
                raise InputError(f"{kind}: name each once, not twice: {', '.join(map(str, named))}")

    def source(self, weighting: str, allocator: str) -> str:
        """The weighting whose run is used for ``weighting``; usually the same.

        With groups of one size, per rollout and per prompt are the same loss, so uniform runs
        once for both. Per token is another loss, and so is every weighting when the total does
        not divide by the number of prompts, as under a budget of tokens.
        """
        loop = self.config.loop
        even = loop.token_budget is None and loop.total_budget % loop.batch_size == 0
        equal = allocator == BASELINE and even
        shared = [name for name in self.weightings if name in ALIKE]
        return shared[0] if equal and weighting in ALIKE else weighting

    def runs(self) -> Iterator[PlannedRun]:
        """Every run to be made, seeds slowest."""
        for run in self.cells():
            if self.source(run.weighting, run.allocator) == run.weighting:
                yield run

    def cells(self) -> Iterator[PlannedRun]:
        """Every allocator under every weighting with every seed, seeds slowest."""
        for seed in self.seeds:
            for weighting in self.weightings:
                for allocator in self.allocators:
                    yield PlannedRun(weighting, allocator, seed)

    def to_json(self) -> dict[str, Any]:
        """Plain values, as stored in the folder."""
        lists = {kind: list(getattr(self, kind)) for kind in LISTS}
        return {"config": self.config.model_dump(mode="json"), **lists}

    def changed(self, stored: dict[str, Any]) -> list[str]:
        """What differs from a stored plan: dotted names of settings, names of lists."""
        values = self.to_json()
        return [
            *difference(self.config, stored["config"]),
            *(kind for kind in LISTS if stored[kind] != values[kind]),
        ]


def run_directory(out: Path, weighting: str, allocator: str, seed: int) -> Path:
    """Where one run is written."""
    return out / weighting / folder_name(allocator) / f"seed-{seed:03d}"


def claim(plan: Plan, out: Path) -> None:
    """Make the folder of a comparison, or check that it holds this plan.

    Raises InputError if the folder holds another plan or something else, or if another process is
    writing to it.
    """
    values = plan.to_json()
    text = json.dumps(values, indent=1) + "\n"
    if (out / PLAN).exists():
        stored = (out / PLAN).read_text()
        changed = plan.changed(json.loads(stored))
        if changed:
            raise InputError(
                f"{out} holds another comparison ({', '.join(changed[:5])} differ); choose another "
                "--out"
            )
        text = stored  # it may lack settings that are newer
    claim_folder(out, text, kind="comparison")
    with writing(out):
        if not (out / CONFIG).exists():
            write_atomically(out / CONFIG, yaml.safe_dump(values["config"], sort_keys=False))
