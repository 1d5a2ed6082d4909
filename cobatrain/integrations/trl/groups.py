"""Groups of unequal size: which rollout belongs to which prompt, advantages, weights, passes.

Rows of a generation batch are ordered by prompt: the first B_0 rows are rollouts of prompt 0, and
so on. m prompts, n = sum(B) rollouts over all ranks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cobasim.arrays import IntArray
from cobasim.budgets import RewardRange
from cobatrain.integrations.trl.compatibility import nanstd

EPS = 1e-4
"""What TRL adds to the standard deviation that it divides by."""


@dataclass(frozen=True)
class Groups:
    """The rows of one generation batch.

    Attributes:
        prompts: (m,) rows of the dataset.
        budgets: (m,) rollouts of each; they sum to n.
    """

    prompts: IntArray
    budgets: IntArray

    @cached_property
    def group(self) -> IntArray:
        """(n,) the place in ``prompts`` of every row."""
        return np.repeat(np.arange(self.prompts.size), self.budgets)

    @cached_property
    def place(self) -> IntArray:
        """(n,) the number of every row within its group, from 0."""
        starts = np.cumsum(self.budgets) - self.budgets
        numbers: IntArray = np.arange(self.group.size) - starts[self.group]
        return numbers

    def rows(self, rank: int, size: int) -> IntArray:
        """(size,) rows of the dataset for one rank of those that share the batch evenly."""
        own = self.group[rank * size : (rank + 1) * size]
        rows: IntArray = self.prompts[own]
        return rows

    def table(self, values: Tensor) -> Tensor:
        """Values (n,) as one row a group (m, max B), NaN where a group has no more rollouts."""
        shape = (self.prompts.size, int(self.budgets.max()))
        table = values.new_full(shape, torch.nan)
        table[self._on(values, self.group), self._on(values, self.place)] = values
        return table

    def spread(self, values: Tensor) -> Tensor:
        """Values of groups (m,) to their rows (n,)."""
        return values[self._on(values, self.group)]

    @staticmethod
    def _on(values: Tensor, index: IntArray) -> Tensor:
        return torch.from_numpy(index).to(values.device)


def advantages(rewards: Tensor, groups: Groups, scale: str) -> tuple[Tensor, Tensor]:
    """Advantages (n,) of rewards (n,), and whether a row's rewards had no spread (n,), for the log.

    A = (r - mean) / (std + 1e-4), as TRL's "sum_then_normalize" does it with equal groups, to the
    bit: mean over the group, sample std over the group (``scale`` "group") or over the batch
    ("batch"); with "none" it is not divided. A rollout without a reward (NaN) counts in neither and
    has advantage 0; so has the only rollout of a group with a reward.

    Departure where groups are unequal: equal rewards of a group give exactly 0. The mean of, say,
    three rewards of 1.8 is not 1.8 in floats, and dividing what is left by 1e-4 gives 0.002.
    """
    table = groups.table(rewards)
    centred = rewards - groups.spread(torch.nanmean(table, dim=1))
    if scale == "batch":
        std = nanstd(rewards).expand_as(rewards)
    else:
        std = groups.spread(nanstd(table, dim=1))
    result = centred if scale == "none" else centred / (std + EPS)
    no_spread = torch.isclose(std, torch.zeros_like(std))
    if groups.budgets.min() != groups.budgets.max():
        alike = groups.spread(_alike(table))
        result = result.masked_fill(alike, 0.0)
        no_spread = no_spread if scale == "batch" else no_spread | alike
    return torch.nan_to_num(result, nan=0.0), no_spread


def _alike(table: Tensor) -> Tensor:
    """Whether all numbers of a row (m, b) are equal, without NaN; not if there is only one."""
    highest = torch.nan_to_num(table, nan=-torch.inf).amax(dim=1)
    lowest = torch.nan_to_num(table, nan=torch.inf).amin(dim=1)
    return (highest == lowest) & ((~torch.isnan(table)).sum(dim=1) > 1)


def prompt_weights(groups: Groups, like: Tensor) -> Tensor:
    """(n,) the mean budget over a row's own, n / (m B_i): every prompt's rows sum to n / m."""
    mean = groups.group.size / groups.prompts.size
    weights = torch.as_tensor(mean / groups.budgets, dtype=like.dtype, device=like.device)
    return groups.spread(weights)


def total_rewards(rewards: Tensor, weights: Tensor) -> Tensor:
    """The weighted sum (n,) of the rewards of each function (n, f), NaN where none gave any."""
    total = (rewards * weights.to(rewards.device).unsqueeze(0)).nansum(dim=1)
    total[torch.isnan(rewards).all(dim=1)] = torch.nan
    return total


def count_passes(
    rewards: Tensor,
    total: Tensor,
    groups: Groups,
    passed: float | Mapping[str, float] | RewardRange,
    names: Sequence[str],
) -> tuple[IntArray, IntArray]:
    """Rollouts with a reward (m,), and how many of them passed (m,).

    ``rewards`` (n, f) of each function, ``total`` (n,) their weighted sum. A rollout passes if the
    total reaches ``passed``, or, with a mapping, if the reward of every function named there
    that gave it one reaches its number; one that has none of them (NaN) is not counted. With a
    range, so many pass as the spread of a group's totals is worth.
    """
    if isinstance(passed, RewardRange):
        return passed.passes(total.double().cpu().numpy(), groups.budgets)
    if isinstance(passed, Mapping):
        own = rewards[:, [names.index(name) for name in passed]]
        limits = torch.tensor(list(passed.values()), dtype=own.dtype, device=own.device)
    else:
        own, limits = total.unsqueeze(1), torch.tensor([passed], dtype=total.dtype)
        limits = limits.to(own.device)
    missing = torch.isnan(own)
    scored = (~missing).any(dim=1).cpu().numpy()
    reached = ((own >= limits) | missing).all(dim=1).cpu().numpy() & scored
    size = groups.prompts.size
    made = np.bincount(groups.group[scored], minlength=size)
    passes = np.bincount(groups.group[reached], minlength=size)
    return made.astype(np.int64), passes.astype(np.int64)
