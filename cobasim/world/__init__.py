"""The synthetic environment: prompts with latent difficulties, and policies that learn."""

from cobasim.world.config import WORLD_DEFAULTS, WorldConfig
from cobasim.world.policies import (
    WORLDS,
    LogisticPolicy,
    SimulatedPolicy,
    SkillChainPolicy,
    find_world,
)
from cobasim.world.prompts import POPULATIONS, draw_pass_rates

__all__ = [
    "POPULATIONS",
    "WORLDS",
    "WORLD_DEFAULTS",
    "LogisticPolicy",
    "SimulatedPolicy",
    "SkillChainPolicy",
    "WorldConfig",
    "draw_pass_rates",
    "find_world",
]
