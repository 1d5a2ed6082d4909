"""What is run: the paper's settings as arms of one sweep, at the size of a preset.

An arm holds settings that some runs share. The sweep crosses arms with worlds, loss weightings,
allocators and seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cobasim.errors import unknown_name
from cobasim.experiments.reproduction import paper
from cobasim.experiments.reproduction.paper import COBA, GRPO, KNAPSACK, MIRRORED, REFERENCE
from cobasim.runs import ORACLE, Point, Sweep
from cobasim.runs import plan as runs_of
from cobasim.updates import WEIGHTINGS
from cobasim.world import WORLD_DEFAULTS, WORLDS

PAPER_STEPS = 500
MEAN_ROLLOUTS = 16
"""Rollouts per prompt on average, in the paper and here; a half of it in HALF_ARM."""


@dataclass(frozen=True)
class Preset:
    """Size of every run, and the number of seeds."""

    batch_size: int
    num_prompts: int
    num_heldout: int
    steps: int
    seeds: int
    low: int = 2
    high: int = 128


PRESETS: dict[str, Preset] = {
    "quick": Preset(128, 2048, 1000, 100, 6),
    "full": Preset(512, 17_000, 2000, 500, 8),
}
"""quick: a quarter of the paper's batch; full: the paper's size below 7B."""


def find_preset(name: str) -> Preset:
    """The preset of this name. Raises InputError if the name is unknown."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]


@dataclass(frozen=True)
class Model:
    """The population and learning rate that stand in for one of the paper's models."""

    population: str
    rate: float
    """Learning rate, in units of the world's default."""
    why: str


MODELS: dict[str, Model] = {
    paper.MODELS[0]: Model(
        "math", 1.0, "the world's defaults: heavy at both ends, as a tuned 7B model's pass rates"
    ),
    paper.MODELS[1]: Model(
        "math", 1.5, "the same prompts; a base model has further to go, so it moves faster"
    ),
    paper.MODELS[2]: Model(
        "middling", 1.5, "few hopeless or solved prompts, and the most to gain (best in Table 1)"
    ),
    paper.MODELS[3]: Model(
        "hard", 1.0, "initial mean pass rate 0.10: the weakest of the four in Table 1"
    ),
}
"""Chosen before any allocator was compared; the paper reports no initial pass rates."""

TABLE_ALLOCATORS = (
    GRPO, KNAPSACK, "fixed-exploit", "fixed-explore", "linear-decay", COBA, MIRRORED,
)  # fmt: skip
"""Allocators of Tables 1 to 3."""
SPENDERS = (GRPO, KNAPSACK, COBA)
"""Allocators of Table 1."""
HALF_ARM = "half the budget"


@dataclass(frozen=True)
class Ablation:
    """One suspected reason for a disagreement with the paper, and the change that tests it."""

    name: str
    question: str
    settings: dict[str, Any]
    oracle: bool = False
    """Whether allocators are shown the true pass rates."""
    rate: float = 1.0
    """Learning rate, in units of the world's default."""


ABLATIONS: tuple[Ablation, ...] = (
    Ablation(
        "true pass rates",
        "Do noisy estimates mislead the allocator? (Two rollouts that agree give an estimate of 0 "
        "or 1, so the prompt gets two rollouts again.) Here it is shown the true pass rates.",
        {},
        oracle=True,
    ),
    Ablation(
        "prompt noise 10",
        "Is the world too kind to concentration? Here all rollouts of a prompt share a noise "
        "gradient as large as one rollout's own, and more rollouts do not average it out.",
        {"prompt_noise": 10.0},
    ),
    Ablation("prompt noise 30", "The same, three times as large.", {"prompt_noise": 30.0}),
    Ablation(
        "transfer 0.1",
        "Do the paper's results depend on prompts learning from each other? Here prompts share "
        "hardly any features.",
        {"transfer": 0.1},
    ),
    Ablation("transfer 0.9", "Here prompts share nearly all features.", {"transfer": 0.9}),
    Ablation(
        "learning rate × 4",
        "Are the runs too short? In the paper the failure rate falls from 0.70 to 0.34, and alpha "
        "falls with it; with the default rate, uniform gains only 10 to 20 points here.",
        {},
        rate=4.0,
    ),
)


@dataclass(frozen=True)
class Arm:
    """Settings that some runs share, relative to the preset and the world."""

    allocators: tuple[str, ...]
    settings: Mapping[str, Any]
    population: str = "math"
    rate: float = 1.0
    rollouts: int = MEAN_ROLLOUTS
    """Per prompt, on average."""
    weightings: tuple[str, ...] = WEIGHTINGS


def arms() -> dict[str, Arm]:
    """All arms by name; the reference arm has the name of the paper's reference model."""
    oracles = tuple(ORACLE + name for name in TABLE_ALLOCATORS if name != GRPO)
    by_name = {REFERENCE: Arm((*TABLE_ALLOCATORS, *oracles), {})}
    for name, model in MODELS.items():
        if name != REFERENCE:
            by_name[name] = Arm(SPENDERS, {}, model.population, model.rate)
    by_name[HALF_ARM] = Arm(SPENDERS, {}, rollouts=MEAN_ROLLOUTS // 2)
    for kappa in paper.KAPPAS:
        if kappa != 11:
            by_name[f"kappa {kappa}"] = Arm((COBA,), {"kappa": float(kappa)})
    for ablation in ABLATIONS:
        if not ablation.oracle:
            by_name[ablation.name] = Arm(TABLE_ALLOCATORS, ablation.settings, rate=ablation.rate)
    for name in (COBA, KNAPSACK):
        by_name[weights_arm(name)] = Arm((GRPO,), {"weigh_as": name}, weightings=("rollout",))
    return by_name


def weights_arm(allocator: str) -> str:
    """Name of the arm with uniform budgets and another allocator's weights in the loss."""
    return f"uniform budgets, weights of {allocator}"


def learning_rate(world: str, steps: int, factor: float = 1.0) -> float:
    """The world's default times ``factor``, scaled by 500 / steps.

    The scale makes Adam's path as long as in the paper's 500 steps.
    """
    return WORLD_DEFAULTS[world]["learning_rate"] * factor * PAPER_STEPS / steps


def sweep_of(preset: Preset) -> tuple[Sweep, list[tuple[str, str]]]:
    """The plan of all runs, and the (world, arm) of each of its points."""
    points: list[Point] = []
    keys = []
    for world in WORLDS:
        for name, arm in arms().items():
            points.append(
                {
                    "world": world,
                    "population": arm.population,
                    "learning_rate": learning_rate(world, preset.steps, arm.rate),
                    "total_budget": arm.rollouts * preset.batch_size,
                    "allocators": arm.allocators,
                    "weightings": arm.weightings,
                    **arm.settings,
                }
            )
            keys.append((world, name))
    chosen = asdict(preset) | {"eval_every": preset.steps}
    return Sweep("quick", {}, chosen, tuple(points)), keys


def distinct_runs(sweep: Sweep) -> int:
    """Number of runs that are executed: equal configs are executed once."""
    return len(
        {run.model_dump_json() for point in sweep.points for run in runs_of(sweep.config(point))}
    )
