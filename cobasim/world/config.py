"""Settings of a synthetic world."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from cobasim.errors import InputError, unknown_name
from cobasim.gradients import MeasuredGradients, read_measured_files
from cobasim.settings import Frozen, Share

# Chosen with uniform budgets alone, so that these rise by 10 to 20 points in 500 steps from 0.30;
# how: docs/world.md
WORLD_DEFAULTS: dict[str, dict[str, float]] = {
    "logistic": {"transfer": 0.5, "learning_rate": 1.2e-3, "memorisation": 10.0},
    "skill-chain": {"transfer": 0.7, "learning_rate": 1e-2, "memorisation": 3.0},
}


MEASURED = "measured:"  # before the name of a file of measured gradients
FORMS = (f"{MEASURED}FILE", "module:Class")  # of names of worlds that are in no registry


def measured_defaults(measured: MeasuredGradients) -> dict[str, Any]:
    """Settings of the world that follow from a measurement: its prompts, and its run's update."""
    update = measured.info.get("config", {}).get("update", {})
    heldout = int(np.count_nonzero(measured.heldout))
    norm = update.get("max_grad_norm", 1.0)
    return {
        "num_prompts": int(measured.heldout.size) - heldout,
        "num_heldout": heldout,
        "update": update.get("advantage", "grpo"),
        "learning_rate": update.get("learning_rate", 1e-4),
        "warmup_steps": update.get("warmup_steps", 0),
        "clip_norm": 1e300 if norm is None else norm,
        "noise": 1.0,
        "memorisation": 1.0,
    }


def measured_loop(world: str) -> dict[str, Any]:
    """Sizes of the loop of the run that a world ``measured:FILE`` was measured in."""
    measured = read_measured_files(world.removeprefix(MEASURED))[0]
    loop = measured.info.get("config", {}).get("loop", {})
    names = ("steps", "batch_size", "total_budget", "low", "high")
    return {name: loop[name] for name in names if name in loop}


class WorldConfig(Frozen):
    """The synthetic world: prompts, policy and how it learns. Defaults: see docs/world.md."""

    world: str = "logistic"  # a name in WORLD_DEFAULTS, or the import path module:Class of a world
    # the prompts
    num_prompts: Annotated[int, Field(ge=1, le=10_000_000)] = 17_000
    num_heldout: Annotated[int, Field(ge=1, le=1_000_000)] = 2_000
    population: Literal["math", "easy", "hard", "middling"] = "math"
    hard_shift: Annotated[float, Field(ge=0.0)] = 1.5  # logits by which the hard set is harder
    clusters: Annotated[int, Field(ge=1, le=64)] = 8  # skill clusters, or chains
    levels: Annotated[int, Field(ge=1, le=64)] = 12  # skills in a chain (skill-chain only)
    features: Annotated[int, Field(ge=4, le=4096)] = 32  # shared features (logistic only)
    # 0: every prompt is learned by itself; 1: only shared features
    transfer: Share = WORLD_DEFAULTS["logistic"]["transfer"]
    common: Share = 0.5  # share of transfer that reaches all clusters (logistic only)
    interference: Share = 0.3  # share of the rest that collides with others (logistic only)
    relatedness: Share = 0.5  # how strongly a prompt's cluster follows its difficulty
    slope_spread: Annotated[float, Field(ge=0.0, le=2.0)] = 0.3  # sd of log slope (logistic)
    # sd of the log of a prompt's mean response length; lengths have mean 1 over the pool
    length_spread: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    # the update
    update: Literal["grpo", "dr-grpo", "rloo"] = "grpo"
    weighting: Literal["rollout", "prompt"] = "rollout"
    optimiser: Literal["adam", "sgd"] = "adam"
    learning_rate: Annotated[float, Field(gt=0.0)] = WORLD_DEFAULTS["logistic"]["learning_rate"]
    warmup_steps: Annotated[int, Field(ge=0)] = 0  # of the learning rate, linear, as the trainer's
    # step of a prompt's own part, in learning rates
    memorisation: Annotated[float, Field(ge=0.0)] = WORLD_DEFAULTS["logistic"]["memorisation"]
    noise: Annotated[float, Field(ge=0.0)] = 10.0  # gradient noise of one rollout
    # gradient noise of one prompt, which more rollouts of it do not average out
    prompt_noise: Annotated[float, Field(ge=0.0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    forgetting: Share = 0.0  # share of what the shared parameters have learned, lost each step
    # logits that every prompt loses for each squared step of noise (in units of 1)
    harm: Annotated[float, Field(ge=0.0)] = 0.0
    # what the parameters move linearly (measured worlds only): the log-odds of an answer's tokens,
    # or the logit of its pass rate
    linear_in: Literal["tokens", "logit"] = "tokens"
    # exogenous drift
    walk: Annotated[float, Field(ge=0.0)] = 0.0  # sd of difficulties' random walk, logits a step
    regime_step: Annotated[int, Field(ge=1)] | None = None  # when a new hard cluster appears
    regime_share: Share = 0.2  # share of the prompts that it replaces

    @model_validator(mode="before")
    @classmethod
    def _fill_world_defaults(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        world = values.get("world", "logistic")
        if not isinstance(world, str):
            return values  # refused by its type
        if world.startswith(MEASURED):
            return measured_defaults(read_measured_files(world.removeprefix(MEASURED))[0]) | values
        return WORLD_DEFAULTS.get(world, {}) | values

    @model_validator(mode="after")
    def _no_settings_without_effect(self) -> WorldConfig:
        if self.world.startswith(MEASURED):
            for name in NOT_MEASURED:
                usual = NOT_MEASURED[name]
                if getattr(self, name) != usual:
                    raise InputError(
                        f"a measured world has no {name}, which is part of what was measured or of "
                        f"other worlds: leave it at {usual}"
                    )
        elif self.linear_in != "tokens":
            raise InputError("linear_in is a setting of measured worlds: measured:FILE")
        return self

    @model_validator(mode="after")
    def _known_world(self) -> WorldConfig:
        if self.world not in WORLD_DEFAULTS and ":" not in self.world:
            raise unknown_name("world", self.world, [*WORLD_DEFAULTS, *FORMS])
        return self

    @model_validator(mode="after")
    def _room_for_clusters(self) -> WorldConfig:
        if self.world == "logistic" and self.features < self.clusters + 3:
            raise ValueError(
                f"{self.clusters} clusters need at least {self.clusters + 3} features, got "
                f"{self.features}"
            )
        return self


NOT_MEASURED: dict[str, Any] = {
    name: WorldConfig.model_fields[name].default
    for name in (
        "population", "hard_shift", "clusters", "levels", "features", "transfer", "common",
        "interference", "relatedness", "slope_spread", "length_spread", "optimiser", "prompt_noise",
        "forgetting", "harm", "walk", "regime_step", "regime_share",
    )
} | {"memorisation": 1.0}  # fmt: skip
"""Settings that have no effect in a measured world, with the values that they keep there."""
