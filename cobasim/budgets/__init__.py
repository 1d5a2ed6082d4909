"""Budgets for a trainer that drives itself: it asks before its rollouts and tells their outcomes.

In: keys of prompts; then rollouts and passes of each. Out: budgets; beliefs; records of the run.
"""

from cobasim.budgets.ledger import BudgetLedger, Rates
from cobasim.budgets.reward_range import RewardRange
from cobasim.budgets.serving import usable_allocators

__all__ = ["BudgetLedger", "Rates", "RewardRange", "usable_allocators"]
