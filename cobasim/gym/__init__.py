"""The loop as a Gymnasium environment, and the allocator that PPO learns in it.

In: settings of a run. Out: the environment, and trained networks as plain numbers. Importing this
room registers ``cobasim/RolloutBudget-v0``; it loads neither stable-baselines3 nor torch.
"""

from cobasim.gym.env import ENV_ID, RolloutBudgetEnv, observation_dict, register
from cobasim.gym.learn import Trained, train
from cobasim.gym.settings import UnknownKeyword, cheap_config

register()

__all__ = [
    "ENV_ID",
    "RolloutBudgetEnv",
    "Trained",
    "UnknownKeyword",
    "cheap_config",
    "observation_dict",
    "register",
    "train",
]
