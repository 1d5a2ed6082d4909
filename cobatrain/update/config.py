"""Settings of the policy update."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cobasim.errors import InputError, unknown_name
from cobasim.settings import Frozen
from cobatrain.update.advantage import check_advantage
from cobatrain.update.cut_off import check_cut_off
from cobatrain.update.losses import LOSSES

OLD_LOG_PROBS = ("recompute", "engine")


class UpdateConfig(Frozen):
    """How the policy learns from a batch of rollouts.

    The weighting of the loss is an argument of ``update``, because allocators and records need it
    too; the temperature belongs to the batch.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 1e-6
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    """Of AdamW's moving averages."""
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    """Optimiser steps of linear warm-up."""
    advantage: str = "grpo"
    """A key of ``ADVANTAGES``."""
    deviation: str = "population"
    """What ``grpo`` divides by, of ``DEVIATIONS``: ``population``, or ``sample`` (n - 1)."""
    cut_off: str = "keep"
    """What becomes of responses that the maximum length cut off, of ``CUT_OFF``: ``keep``, ``drop``
    (the update is that of a batch without them) or ``penalty`` (on length)."""
    penalty_tokens: Annotated[int, Field(ge=1)] | None = None
    """With ``penalty``: over so many tokens before the maximum it grows from 0 to -1 (DAPO)."""
    loss: str = "clip"
    """A key of ``LOSSES``."""
    constant_length: Annotated[int, Field(ge=1)] | None = None
    """Divide each rollout by this constant rather than by its length (Dr.GRPO)."""
    clip_low: Annotated[float, Field(gt=0, le=1)] = 0.2
    clip_high: Annotated[float, Field(gt=0)] = 0.28
    dual_clip: Annotated[float, Field(gt=1)] | None = None
    """Where the advantage is negative, the loss stops growing at this ratio (dual-clip PPO, arXiv
    1912.09729, which takes 3); None: it does not stop."""
    kl_coef: Annotated[float, Field(ge=0)] = 0.0
    """Weight of the k3 KL to a reference model; 0 needs no reference."""
    tis_cap: Annotated[float, Field(gt=0)] | None = None
    """Truncated importance sampling against the engine with this cap; None: off."""
    old_log_probs: str = "recompute"
    """pi_old of the ratio: ``recompute`` takes the model's own before the first optimiser step,
    ``engine`` those that the engine sampled with."""
    minibatches: Annotated[int, Field(ge=1)] = 1
    """Optimiser steps per update. Weights stay those of the whole batch, times this number, so
    that the mini-batches' gradients average to the batch's."""
    micro_tokens: Annotated[int, Field(ge=1)] = 16384
    """Tokens per forward and backward pass, padding included (a longer rollout goes alone)."""
    max_grad_norm: Annotated[float, Field(gt=0)] | None = 1.0
    """Gradients are scaled down to this norm; None: never."""
    shared_prompts: bool | None = None
    """Run a prompt through the model once for several of its rollouts, not once for each: the same
    gradient up to rounding, from fewer tokens. None: where that saves a fifth of them, with
    architectures that it was tested with."""
    skip_no_signal: bool = True
    """Do not run rollouts of advantage exactly 0 through the model when there is no KL: the
    gradient is the same."""
    gradient_checkpointing: bool = False
    """Recompute activations in backward: less memory, about a third more time."""
    logit_chunk: Annotated[int, Field(ge=1)] = 2**26
    """Softmaxes are taken over at most about this many logits at once (2^26 are 256 MB in
    float32): fewer need less memory and more time."""
    measure_parts: bool = False
    """Learn from every update what gradients are made of (docs/signal.md); always on for an
    allocator that reads it. Rewards are 0 and 1, ``minibatches`` is 1 and ``kl_coef`` 0 then."""
    measure_every: Annotated[int, Field(ge=1)] = 1
    """Steps from one such measurement to the next. Its cost per step falls with it, and what is
    known is older."""
    bf16: bool = False
    """Run the model under bfloat16 autocast; weights, log-probs and loss stay as they are."""

    @model_validator(mode="after")
    def _known(self) -> UpdateConfig:
        check_advantage(self.advantage, self.deviation)
        check_cut_off(self.cut_off, self.penalty_tokens)
        for kind, name, known in (
            ("loss", self.loss, LOSSES),
            ("old_log_probs", self.old_log_probs, OLD_LOG_PROBS),
        ):
            if name not in known:
                raise unknown_name(kind, name, known)
        if self.measure_parts:
            self.check_measurable()
        return self

    def check_measurable(self, why: str = "update.measure_parts") -> None:
        """Raise InputError if this update does not show what its gradient is made of.

        ``why`` it should: the setting or the allocator.
        """
        if self.minibatches > 1 or self.kl_coef > 0:
            raise InputError(
                f"{why} needs the whole gradient of the rollouts in one step: set "
                f"update.minibatches to 1 (is {self.minibatches}) and update.kl_coef to 0 (is "
                f"{self.kl_coef:g})"
            )
        if self.cut_off != "keep":
            raise InputError(
                f"{why} needs the rewards 0 and 1 of all rollouts: set update.cut_off to "
                f"'keep' (is {self.cut_off!r})"
            )
