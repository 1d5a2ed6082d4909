"""What Gymnasium and libraries on top of it expect of an environment."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from small_runs import EPISODE

from cobasim.errors import InputError
from cobasim.gym import ENV_ID


def test_the_registration_can_be_written_as_json():
    env = gymnasium.make(ENV_ID, config=EPISODE)
    spec = json.loads(env.spec.to_json())
    assert spec["id"] == ENV_ID
    assert spec["entry_point"] == "cobasim.gym.env:RolloutBudgetEnv"
    again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(env.spec.to_json()))
    assert np.array_equal(again.reset(seed=3)[0]["pass_rate"], env.reset(seed=3)[0]["pass_rate"])


@pytest.mark.filterwarnings("ignore:.*render_mode='human'")  # Gymnasium's own, before our error
def test_no_render_mode_is_accepted_and_any_other_refused():
    assert gymnasium.make(ENV_ID, config=EPISODE, render_mode=None).render_mode is None
    unwrapped = gymnasium.registry[ENV_ID]
    with pytest.raises(TypeError, match=r"nothing to render.*human"):
        gymnasium.make(unwrapped, config=EPISODE, render_mode="human")


@pytest.mark.parametrize("error", [TypeError, InputError])
def test_an_unknown_keyword_is_a_type_error_in_plain_words(error):
    with pytest.raises(error, match="batchsize"):
        gymnasium.make(ENV_ID, config=EPISODE, batchsize=8)


@pytest.mark.parametrize(("form", "size"), [("prompts", 16), ("rates", 8)])
@pytest.mark.parametrize("shape", [(), (1,), (7,), (16, 1), (0,)])
def test_an_action_of_another_shape_is_named(form, size, shape):
    env = gymnasium.make(ENV_ID, config=EPISODE, form=form).unwrapped
    env.reset(seed=0)
    with pytest.raises(InputError, match=rf"has the shape \({size},\), got"):
        env.step(np.zeros(shape, dtype=np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_action_must_be_finite_or_lies_at_the_edge(value):
    env = gymnasium.make(ENV_ID, config=EPISODE).unwrapped
    env.reset(seed=0)
    action = np.zeros(16, dtype=np.float32)
    action[3] = value
    if np.isnan(value):
        with pytest.raises(InputError, match="finite"):
            env.step(action)
    else:  # clipped, as any value beyond the box
        assert env.step(action)[4]["budgets"].sum() == 256
