"""Configs at the edge: validated, frozen, unknown keys refused. Inner functions take values."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cobasim.allocation import ESTIMATORS, Limits, find_allocator, make_allocator
from cobasim.errors import InputError, unknown_name

LONGEST = 10  # updates of a run, in its steps, at most: however little each of them spends
ORACLE = "oracle-"  # prefix of an allocator that is shown the true pass rates

Config = TypeVar("Config", bound=BaseModel)
Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Frozen(BaseModel):
    """Base of all configs."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class MixStep(Frozen):
    """From ``step`` on, prompts of cluster (or chain) k are drawn with weight ``weights[k]``."""

    step: Annotated[int, Field(ge=0)]
    weights: Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], Field(min_length=1)]


# Chosen with uniform budgets alone, so that these rise by 10 to 20 points in 500 steps from 0.30;
# how: docs/world.md
WORLD_DEFAULTS: dict[str, dict[str, float]] = {
    "logistic": {"transfer": 0.5, "learning_rate": 1.2e-3, "memorisation": 10.0},
    "skill-chain": {"transfer": 0.7, "learning_rate": 1e-2, "memorisation": 3.0},
}


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
    # step of a prompt's own part, in learning rates
    memorisation: Annotated[float, Field(ge=0.0)] = WORLD_DEFAULTS["logistic"]["memorisation"]
    noise: Annotated[float, Field(ge=0.0)] = 10.0  # nuisance gradient of one rollout
    # nuisance gradient of one prompt, which more rollouts of it do not average out
    prompt_noise: Annotated[float, Field(ge=0.0)] = 0.0
    clip_norm: Annotated[float, Field(gt=0.0)] = 1.0
    forgetting: Share = 0.0  # share of what the shared parameters have learned, lost each step
    # logits that every prompt loses for each squared nuisance step (in units of 1)
    harm: Annotated[float, Field(ge=0.0)] = 0.0
    # exogenous drift
    walk: Annotated[float, Field(ge=0.0)] = 0.0  # sd of difficulties' random walk, logits a step
    regime_step: Annotated[int, Field(ge=1)] | None = None  # when a new hard cluster appears
    regime_share: Share = 0.2  # share of the prompts that it replaces

    @model_validator(mode="before")
    @classmethod
    def _fill_world_defaults(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return WORLD_DEFAULTS.get(values.get("world", "logistic"), {}) | values

    @model_validator(mode="after")
    def _known_world(self) -> WorldConfig:
        if self.world not in WORLD_DEFAULTS and ":" not in self.world:
            raise unknown_name("world", self.world, WORLD_DEFAULTS)
        return self

    @model_validator(mode="after")
    def _room_for_clusters(self) -> WorldConfig:
        if self.world == "logistic" and self.features < self.clusters + 3:
            raise ValueError(
                f"{self.clusters} clusters need at least {self.clusters + 3} features, got "
                f"{self.features}"
            )
        return self


class LoopConfig(Frozen):
    """The step that simulation and training share."""

    steps: Annotated[int, Field(ge=1)] = 200
    batch_size: Annotated[int, Field(ge=1)] = 512  # M, prompts per step
    total_budget: Annotated[int, Field(ge=1)] = 8192  # B_total, rollouts per step
    low: Annotated[int, Field(ge=0)] = 2
    high: Annotated[int, Field(ge=1)] = 128
    window: Annotated[int, Field(ge=1)] = 3  # k, steps in the moving average of the failure rate
    estimator: str | None = None  # None: the rule of the allocator's publication
    estimator_parameters: dict[str, float] = {}
    eval_every: Annotated[int, Field(ge=1)] = 10
    mix: tuple[MixStep, ...] = ()  # schedule of task mixes; empty: epochs over the whole pool

    @model_validator(mode="after")
    def _feasible(self) -> LoopConfig:
        self.limits.for_batch(self.batch_size)
        if self.estimator is not None and self.estimator not in ESTIMATORS:
            raise unknown_name("estimator", self.estimator, ESTIMATORS)
        return self

    @property
    def limits(self) -> Limits:
        """Total and bounds of a step."""
        return Limits(self.total_budget, self.low, self.high)

    def finished(self, step: int, rollouts: int) -> bool:
        """Whether a run that made ``step`` updates with ``rollouts`` rollouts is at its end.

        All runs spend steps x total rollouts: an allocator that spends less a step makes more
        updates (at most LONGEST times the steps), one that spends more makes fewer.
        """
        return rollouts >= self.steps * self.total_budget or step >= LONGEST * self.steps


class RunConfig(Frozen):
    """One run: a world, a loop, an allocator with its parameters, and a seed."""

    allocator: str = "coba"
    parameters: dict[str, Any] = {}
    seed: Annotated[int, Field(ge=0)] = 0
    pass_rates: str | None = None  # file of measured pass rates behind the pool of prompts
    # allocator whose budgets weigh the prompts in the loss; None: those that are spent
    weigh_as: str | None = None
    loop: LoopConfig = LoopConfig()
    world: WorldConfig = WorldConfig()

    @model_validator(mode="after")
    def _known_allocator(self) -> RunConfig:
        make_allocator(self.base_allocator, **self.parameters)
        if self.weigh_as is not None:
            find_allocator(self.weigh_as)
            if self.world.weighting != "rollout":
                raise InputError(
                    "weigh_as changes nothing where every prompt counts alike: use it with the "
                    f"weighting per rollout, got {self.world.weighting!r}"
                )
        return self

    @property
    def oracle(self) -> bool:
        """Whether the allocator is shown the true pass rates."""
        return self.allocator.startswith(ORACLE)

    @property
    def base_allocator(self) -> str:
        """The allocator's name in ALLOCATORS."""
        return self.allocator.removeprefix(ORACLE)

    @property
    def estimator(self) -> str:
        """The pass-rate rule in use."""
        if self.oracle:
            return "truth"
        return self.loop.estimator or find_allocator(self.base_allocator).estimator


def validated(kind: type[Config], values: dict[str, Any]) -> Config:
    """``kind(**values)``; a bad value or unknown key becomes one InputError."""
    try:
        return kind(**values)
    except ValidationError as error:
        raise InputError(one_line(error, _field_names(kind))) from None


def _field_names(kind: type[BaseModel]) -> list[str]:
    """Every setting, as a dotted path."""
    names = []
    for name, field in kind.model_fields.items():
        names.append(name)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            names.extend(f"{name}.{inner}" for inner in _field_names(field.annotation))
    return names


def one_line(error: ValidationError, known: Iterable[str] = ()) -> str:
    """The first problem of a pydantic error in one line, with the nearest known key."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        last = {name.rsplit(".", 1)[-1]: name for name in reversed([*known])}
        near = difflib.get_close_matches(key.rsplit(".", 1)[-1], last, n=1, cutoff=0.5)
        return f"unknown setting {key!r}" + (f": did you mean {last[near[0]]!r}?" if near else "")
    message = problem["msg"].removeprefix("Value error, ")
    if not key or problem["type"] == "value_error":
        return message
    message = message[0].lower() + message[1:]
    return f"{key}: {message}, got {problem['input']!r}"


def split_settings(settings: Iterable[str]) -> dict[str, Any]:
    """``name=value`` strings -> {"name": value}; values are read as JSON, else as text.

    Raises InputError for a setting without ``=``.
    """
    values: dict[str, Any] = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals or not name.strip():
            raise InputError(f"a setting reads name=value, got {setting!r}")
        try:
            values[name.strip()] = json.loads(text)
        except json.JSONDecodeError:
            values[name.strip()] = text
    return values
