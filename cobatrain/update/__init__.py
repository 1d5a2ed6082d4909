"""One policy update: rollouts of unequal groups -> advantages, losses, optimiser steps.

In: a model, its optimiser, a batch of rollouts with rewards, settings; the other ranks if any.
Out: changed parameters and metrics. Knows no engine, no task, no loop.
"""

from cobatrain.update.advantage import ADVANTAGES, DEVIATIONS, advantages, dr_grpo, grpo, rloo
from cobatrain.update.batch import Batch, LogProbRow, TokenRow
from cobatrain.update.batching import (
    MicroBatch,
    filler,
    micro_batches,
    mini_batches,
    pad,
)
from cobatrain.update.config import OLD_LOG_PROBS, UpdateConfig
from cobatrain.update.cut_off import CUT_OFF, check_penalty, overlong_penalty
from cobatrain.update.finite import NonFiniteError
from cobatrain.update.log_probs import LOGIT_CHUNK, token_log_probs
from cobatrain.update.losses import (
    LOSSES,
    MAX_LOG_RATIO,
    TokenLoss,
    clip_loss,
    gspo_loss,
    importance_weights,
    k3,
)
from cobatrain.update.meter import PartsMeter
from cobatrain.update.optimiser import make_optimiser, make_schedule, set_learning_rate
from cobatrain.update.packing import Piece, longest_row, pack, pieces
from cobatrain.update.plan import loss_terms, used_rollouts
from cobatrain.update.reference import rounded_layers
from cobatrain.update.rehearsal import rehearse
from cobatrain.update.step import update
from cobatrain.update.weighting import (
    WEIGHTINGS,
    check_weighting,
    rollout_weights,
    token_weights,
)

__all__ = [
    "ADVANTAGES",
    "CUT_OFF",
    "DEVIATIONS",
    "LOGIT_CHUNK",
    "LOSSES",
    "MAX_LOG_RATIO",
    "OLD_LOG_PROBS",
    "WEIGHTINGS",
    "Batch",
    "LogProbRow",
    "MicroBatch",
    "NonFiniteError",
    "PartsMeter",
    "Piece",
    "TokenLoss",
    "TokenRow",
    "UpdateConfig",
    "advantages",
    "check_penalty",
    "check_weighting",
    "clip_loss",
    "dr_grpo",
    "filler",
    "grpo",
    "gspo_loss",
    "importance_weights",
    "k3",
    "longest_row",
    "loss_terms",
    "make_optimiser",
    "make_schedule",
    "micro_batches",
    "mini_batches",
    "overlong_penalty",
    "pack",
    "pad",
    "pieces",
    "rehearse",
    "rloo",
    "rollout_weights",
    "rounded_layers",
    "set_learning_rate",
    "token_log_probs",
    "token_weights",
    "update",
    "used_rollouts",
]
