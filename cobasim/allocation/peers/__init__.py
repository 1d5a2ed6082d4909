"""Published allocators other than CoBA-RL, Knapsack-RL and their baselines; one file each.

Formulas, defaults and departures are in the classes and, side by side, in docs/allocators.md.
AERO is left out: its rule could not be pinned down from what is public.
"""

from cobasim.allocation.base import Allocator
from cobasim.allocation.peers.cero import Cero
from cobasim.allocation.peers.dapo import Dapo
from cobasim.allocation.peers.greso import Greso
from cobasim.allocation.peers.gvm import Gvm
from cobasim.allocation.peers.hit_utility import HitUtility
from cobasim.allocation.peers.neyman import Duet, Neyman
from cobasim.allocation.peers.pods import Pods
from cobasim.allocation.peers.reinforce_ada import ReinforceAda, ReinforceAdaBalanced
from cobasim.allocation.peers.vigor import Vigor
from cobasim.allocation.peers.vip import VipDrGrpo, VipRloo
from cobasim.allocation.peers.vip_gp import VipGp

PEERS: dict[str, type[Allocator]] = {
    "vip-rloo": VipRloo,
    "vip-drgrpo": VipDrGrpo,
    "vip-gp": VipGp,
    "hit-utility": HitUtility,
    "neyman": Neyman,
    "duet": Duet,
    "gvm": Gvm,
    "vigor": Vigor,
    "reinforce-ada": ReinforceAda,
    "reinforce-ada-balanced": ReinforceAdaBalanced,
    "dapo": Dapo,
    "greso": Greso,
    "cero": Cero,
    "pods": Pods,
}

__all__ = ["PEERS", *sorted(kind.__name__ for kind in PEERS.values())]
