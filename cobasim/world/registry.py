"""Worlds by name."""

from __future__ import annotations

from cobasim.errors import unknown_name
from cobasim.plugins import Registry, import_class
from cobasim.world.config import FORMS, MEASURED
from cobasim.world.logistic import LogisticPolicy
from cobasim.world.measured import MeasuredPolicy
from cobasim.world.policy import SimulatedPolicy
from cobasim.world.skill_chain import SkillChainPolicy

WORLDS: Registry[type[SimulatedPolicy]] = Registry(
    "world", {"logistic": LogisticPolicy, "skill-chain": SkillChainPolicy}
)


def find_world(name: str) -> type[SimulatedPolicy]:
    """The class of a name in WORLDS, of ``measured:FILE``, or of an import path ``module:Class``.

    Raises InputError if there is none.
    """
    if name in WORLDS:
        return WORLDS[name]
    if name.startswith(MEASURED):
        return MeasuredPolicy
    if ":" not in name:
        raise unknown_name("world", name, [*WORLDS, *FORMS])
    return import_class("world", name, SimulatedPolicy)
