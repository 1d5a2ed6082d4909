"""The loop as a Gymnasium environment: choose the budgets of every step yourself.

``import cobasim.gym.env`` registers ``cobasim/RolloutBudget-v0``; or, in one call,
``gymnasium.make("cobasim.gym.env:cobasim/RolloutBudget-v0", config=...)``.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from cobasim.allocation import Observation
from cobasim.allocation.methods.learned import (
    FEATURES,
    NUM_PREFERENCES,
    PREFERENCE,
    budgets_from_preferences,
    preferences_by_rate,
    rate_features,
)
from cobasim.arrays import FloatArray
from cobasim.errors import InputError, unknown_name
from cobasim.loop import Loop, LoopConfig
from cobasim.records import StepRecord
from cobasim.runs.config import RunConfig
from cobasim.settings import validated
from cobasim.world import WorldConfig, find_world

ENV_ID = "cobasim/RolloutBudget-v0"
FORMS = ("prompts", "rates")


class RolloutBudgetEnv(gymnasium.Env[Any, Any]):
    """One episode is one training run; one step is one batch.

    Form "prompts". Observation (what an allocator may know; a dict of float32 arrays):
        pass_rate (m,) in [0, 1], log_attempts (m,) = log(1 + rollouts behind the estimate),
        failure_rate (1,) smoothed, 1 before the first measurement, progress (1,) in [0, 1].
    Action: (m,) in [-1, 1]; times 5 these are the preferences of ``budgets_from_preferences``.
    Form "rates", which does not grow with the batch. Observation: ``rate_features`` (11,).
    Action: (8,) in [-1, 1], see ``preferences_by_rate``.
    Reward: gain in held-out accuracy (a mean of true pass rates) by the step's update.
    The episode is truncated after ``steps`` steps; it never terminates. ``info`` holds the pool
    indices of the batch, and after a step its budgets and record.

    Args:
        config: a RunConfig, or a dict of its fields; its allocator is not used. With None a
            small world: 2048 prompts, M = 64, B_total = 1024, 100 steps.
        form: "prompts" (one preference a prompt) or "rates" (one a pass rate).
        **settings: flat names of world and loop settings, changing ``config``.

    ``reset(seed=n)`` starts the world of seed n; without a seed a new one is drawn.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        config: RunConfig | dict[str, Any] | None = None,
        *,
        form: str = "prompts",
        **settings: Any,
    ) -> None:
        if form not in FORMS:
            raise unknown_name("form", form, FORMS)
        self.form = form
        if config is None:
            config = {
                "world": {"num_prompts": 2048, "num_heldout": 512},
                "loop": {"batch_size": 64, "total_budget": 1024, "steps": 100},
            }
        values = config.model_dump() if isinstance(config, RunConfig) else dict(config)
        for name, value in settings.items():
            for part, kind in (("world", WorldConfig), ("loop", LoopConfig)):
                if name in kind.model_fields:
                    values[part] = dict(values.get(part, {})) | {name: value}
                    break
            else:
                raise InputError(f"unknown setting {name!r} of the world or the loop")
        self.config = validated(RunConfig, values)
        size = self.config.loop.batch_size
        top = float(np.log1p(self.config.loop.high * 64.0))

        def box(low: float, high: float, length: int) -> spaces.Space[Any]:
            return spaces.Box(low, high, (length,), np.float32)

        self.observation_space = (
            box(0.0, 1.0, len(FEATURES))
            if form == "rates"
            else spaces.Dict(
                {
                    "pass_rate": box(0.0, 1.0, size),
                    "log_attempts": box(0.0, top, size),
                    "failure_rate": box(0.0, 1.0, 1),
                    "progress": box(0.0, 1.0, 1),
                }
            )
        )
        self.action_space = box(-1.0, 1.0, NUM_PREFERENCES if form == "rates" else size)
        self._loop: Loop | None = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start a run; returns the first observation and info."""
        super().reset(seed=seed)
        world_seed = int(self.np_random.integers(0, 2**31)) if seed is None else seed
        policy = find_world(self.config.world.world)(self.config.world, world_seed)
        estimator = self.config.loop.estimator or "last"
        self._loop = Loop(policy, self.config.loop, seed=world_seed, estimator=estimator)
        self._accuracy = float(policy.evaluate()["heldout"])
        return self._observe()

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Spend the step's budget by ``action``, and learn from it."""
        if self._loop is None:
            raise RuntimeError("step() needs a run: call reset() first")
        loop = self._loop
        given = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        if not np.isfinite(given).all():
            raise InputError("an action must be finite numbers, got NaN")
        preferences: FloatArray = (
            preferences_by_rate(self._obs, given) if self.form == "rates" else PREFERENCE * given
        )
        budgets = budgets_from_preferences(preferences, loop.limits)
        record = loop.act(self._obs, budgets)
        accuracy = self._heldout(record)
        reward, self._accuracy = accuracy - self._accuracy, accuracy
        observation, info = self._observe()
        truncated = loop.step >= self.config.loop.steps
        return observation, reward, False, truncated, info | {"budgets": budgets, "record": record}

    def _heldout(self, record: StepRecord) -> float:
        assert self._loop is not None
        scores = record.evaluation or self._loop.learner.evaluate()
        return float(scores["heldout"])

    def _observe(self) -> tuple[Any, dict[str, Any]]:
        assert self._loop is not None
        self._obs = self._loop.observe()
        info = {"prompts": self._obs.prompts}
        if self.form == "rates":
            return rate_features(self._obs).astype(np.float32), info
        return observation_dict(self._obs), info


def observation_dict(obs: Observation) -> dict[str, Any]:
    """The environment's observation of what an allocator may know."""
    rate = 1.0 if obs.failure_rate is None else obs.failure_rate
    return {
        "pass_rate": obs.pass_rate.astype(np.float32),
        "log_attempts": np.log1p(obs.attempts).astype(np.float32),
        "failure_rate": np.array([rate], dtype=np.float32),
        "progress": np.array([obs.progress], dtype=np.float32),
    }


def register() -> None:
    """Make the environment known to Gymnasium under ENV_ID; once is enough."""
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(id=ENV_ID, entry_point=RolloutBudgetEnv)


register()
