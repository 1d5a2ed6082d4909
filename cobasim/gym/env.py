"""The loop as a Gymnasium environment: choose the budgets of every step yourself."""

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
from cobasim.gym.settings import SMALL, UnknownKeyword, run_config
from cobasim.loop import Loop
from cobasim.records import StepRecord
from cobasim.runs import RunConfig
from cobasim.world import find_world

ENV_ID = "cobasim/RolloutBudget-v0"
FORMS = ("prompts", "rates")


class RolloutBudgetEnv(gymnasium.Env[Any, Any]):
    """One episode is one training run; one step is one batch of m prompts.

    Form "prompts": one preference per prompt. The observation is what an allocator may know, a
    dict of float32 arrays: pass_rate (m,) in [0, 1]; log_attempts (m,), log(1 + rollouts behind
    the estimate); failure_rate (1,), smoothed, 1 before the first measurement; progress (1,) in
    [0, 1]. An action is (m,) in [-1, 1]; times 5 it is the preferences of
    ``budgets_from_preferences``.

    Form "rates": one preference per pass rate, so the size does not grow with the batch. The
    observation is ``rate_features`` (11,); an action is (8,) in [-1, 1], see
    ``preferences_by_rate``.

    The reward is the gain in held-out accuracy (a mean of true pass rates) by the step's update.
    The episode is truncated after ``steps`` steps; it never terminates. ``info`` holds the pool
    indices of the batch (``prompts``), and after a step its ``budgets`` and ``record``.

    Args:
        config: a RunConfig, or a dict of its fields; its allocator is not used. None: a small
            world of 2048 prompts, with M = 64, B_total = 1024 and 100 steps.
        form: "prompts" or "rates".
        render_mode: None; there is nothing to render.
        **settings: flat names of world and loop settings, which change ``config``.

    ``reset(seed=n)`` starts the world of seed n; without a seed a new one is drawn. Raises
    InputError for an unknown form or a bad value, and UnknownKeyword (an InputError and a
    TypeError, which libraries expect) for an unknown setting or another render mode.
    """

    metadata: dict[str, Any] = {"render_modes": []}

    def __init__(
        self,
        config: RunConfig | dict[str, Any] | None = None,
        *,
        form: str = "prompts",
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if render_mode is not None:
            raise UnknownKeyword(f"there is nothing to render: render_mode {render_mode!r}")
        self.render_mode = None
        if form not in FORMS:
            raise unknown_name("form", form, FORMS)
        self.form = form
        if config is None:
            config = SMALL
        values = config.model_dump() if isinstance(config, RunConfig) else config
        self.config = run_config(values, settings)
        size = self.config.loop.batch_size
        top = float(np.log1p(self.config.loop.high * 64.0))
        self.observation_space: spaces.Space[Any]
        if form == "rates":
            self.observation_space = _box(0.0, 1.0, len(FEATURES))
            self.action_space = _box(-1.0, 1.0, NUM_PREFERENCES)
        else:
            self.observation_space = spaces.Dict(
                {
                    "pass_rate": _box(0.0, 1.0, size),
                    "log_attempts": _box(0.0, top, size),
                    "failure_rate": _box(0.0, 1.0, 1),
                    "progress": _box(0.0, 1.0, 1),
                }
            )
            self.action_space = _box(-1.0, 1.0, size)
        self._loop: Loop | None = None
        self._observed: Observation

    @property
    def observed(self) -> Observation:
        """The current batch as an allocator would see it. RuntimeError before a reset."""
        if self._loop is None:
            raise RuntimeError("there is no batch yet: call reset() first")
        return self._observed

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
        return self._observe(self._loop)

    def step(self, action: NDArray[np.float32]) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Spend the step's budget by ``action``, and learn from it.

        Raises RuntimeError before a reset, and InputError for an action of another shape, or with
        NaN or infinity.
        """
        loop = self._loop
        if loop is None:
            raise RuntimeError("step() needs a run: call reset() first")
        budgets = budgets_from_preferences(self._preferences(action), loop.limits)
        record = loop.act(self._observed, budgets)
        accuracy = _heldout(record, loop)
        reward, self._accuracy = accuracy - self._accuracy, accuracy
        observation, info = self._observe(loop)
        truncated = loop.step >= self.config.loop.steps
        return observation, reward, False, truncated, info | {"budgets": budgets, "record": record}

    def _preferences(self, action: NDArray[np.float32]) -> FloatArray:
        """One preference per prompt, (m,)."""
        shape = np.shape(action)
        if shape != self.action_space.shape:
            raise InputError(
                f"an action of form {self.form!r} has the shape {self.action_space.shape}, got "
                f"{shape}"
            )
        given = np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0)
        if not np.isfinite(given).all():
            raise InputError("an action must be finite numbers, got NaN")
        if self.form == "rates":
            return preferences_by_rate(self._observed, given)
        return np.asarray(PREFERENCE * given)

    def _observe(self, loop: Loop) -> tuple[Any, dict[str, Any]]:
        self._observed = loop.observe()
        info = {"prompts": self._observed.prompts}
        if self.form == "rates":
            return rate_features(self._observed).astype(np.float32), info
        return observation_dict(self._observed), info


def _box(low: float, high: float, length: int) -> spaces.Space[Any]:
    return spaces.Box(low, high, (length,), np.float32)


def _heldout(record: StepRecord, loop: Loop) -> float:
    scores = record.evaluation or loop.learner.evaluate()
    return float(scores["heldout"])


def observation_dict(obs: Observation) -> dict[str, Any]:
    """What an allocator may know, as the environment's form "prompts" observes it."""
    rate = 1.0 if obs.failure_rate is None else obs.failure_rate
    return {
        "pass_rate": obs.pass_rate.astype(np.float32),
        "log_attempts": np.log1p(obs.attempts).astype(np.float32),
        "failure_rate": np.array([rate], dtype=np.float32),
        "progress": np.array([obs.progress], dtype=np.float32),
    }


def register() -> None:
    """Register the environment with Gymnasium under ENV_ID; a second call changes nothing."""
    if ENV_ID not in gymnasium.registry:
        gymnasium.register(id=ENV_ID, entry_point="cobasim.gym.env:RolloutBudgetEnv")
