"""Budgets inside TRL: ``BudgetGRPOTrainer`` is a ``GRPOTrainer`` whose groups have unequal sizes.

In: what a ``GRPOTrainer`` takes, and the settings of a ``BudgetLedger``. Out: a trainer. A
generation batch keeps its prompts and its number of rollouts; only how many rollouts each prompt
gets is the ledger's choice. docs/trl.md says what is replaced in TRL, and what is refused.
"""

from cobatrain.integrations.trl.compatibility import BELOW, OLDEST  # first: it says what is missing
from cobatrain.integrations.trl.trainer import BudgetGRPOTrainer

__all__ = ["BELOW", "OLDEST", "BudgetGRPOTrainer"]
