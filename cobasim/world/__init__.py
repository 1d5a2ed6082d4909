"""The synthetic environment: prompts with latent difficulties, and policies that learn.

In: a world's settings, a seed, budgets of each step. Out: passes, and the true pass rates.
"""

from cobasim.world.config import MEASURED, WORLD_DEFAULTS, WorldConfig, measured_loop
from cobasim.world.logistic import LogisticPolicy
from cobasim.world.measured import MeasuredPolicy
from cobasim.world.policy import SimulatedPolicy
from cobasim.world.prompts import POPULATIONS, draw_pass_rates
from cobasim.world.registry import WORLDS, find_world
from cobasim.world.skill_chain import SkillChainPolicy
from cobasim.world.view import BatchView, WeighedGroups

__all__ = [
    "MEASURED",
    "POPULATIONS",
    "WORLDS",
    "WORLD_DEFAULTS",
    "BatchView",
    "LogisticPolicy",
    "MeasuredPolicy",
    "SimulatedPolicy",
    "SkillChainPolicy",
    "WeighedGroups",
    "WorldConfig",
    "draw_pass_rates",
    "find_world",
    "measured_loop",
]
