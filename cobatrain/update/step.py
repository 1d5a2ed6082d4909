"""One policy update: rollouts of unequal groups -> gradient -> optimiser step.

The loss is sum_j w_j A_j sum_t l_jt: advantages A and weights w come from the whole batch (over
all ranks) before anything is dropped or split. So neither the size of micro-batches, nor the
ranks, nor leaving out rollouts without signal changes the gradient.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from cobasim.errors import InputError
from cobatrain.parallel import Parallel, Single
from cobatrain.update.batch import Batch
from cobatrain.update.batching import MicroBatch, filler
from cobatrain.update.config import UpdateConfig
from cobatrain.update.finite import NonFiniteError, check_log_probs
from cobatrain.update.meter import PartsMeter
from cobatrain.update.metrics import Sums, update_metrics
from cobatrain.update.mode import update_mode
from cobatrain.update.objective import Objective
from cobatrain.update.packing import longest_row, pack
from cobatrain.update.plan import Plan, loss_terms, make_plan

Schedule = torch.optim.lr_scheduler.LRScheduler


def update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    config: UpdateConfig,
    *,
    weighting: str = "rollout",
    schedule: Schedule | None = None,
    reference: nn.Module | None = None,
    parallel: Parallel | None = None,
    rng: np.random.Generator | None = None,
    meter: PartsMeter | None = None,
) -> dict[str, float | None]:
    """Change the model's parameters by ``config.minibatches`` optimiser steps on ``batch``.

    Args:
        model: any Hugging Face causal language model (called with ``input_ids``, returning
            ``.logits``). Dropout is not in effect: the model is put in eval mode, or, for gradient
            checkpointing, in train mode, and back.
        optimiser: of the model's parameters.
        batch: this rank's rollouts.
        config: how to learn from them; ``learning_rate``, ``weight_decay``, ``betas`` and
            ``warmup_steps`` are those of the optimiser and the schedule, and not read here.
        weighting: a key of ``WEIGHTINGS``.
        schedule: is stepped once per optimiser step.
        reference: the model of the KL term; needed if ``config.kl_coef`` is above 0. It is run
            without its LoRA adapters, if it has any: ``model`` itself may then be given.
        parallel: what ``replicate`` or ``shard`` of ``cobatrain.parallel`` gave. The call is then
            collective.
        rng: draws the mini-batches; without it they are interleaved.
        meter: learns from this update what gradients are made of; needs ``minibatches`` 1 and
            ``kl_coef`` 0. The update is the same up to rounding.

    Returns the same metrics on every rank, over the rollouts of all:

    - ``loss``, ``grad_norm`` (mean over mini-batches, before clipping), ``learning_rate`` (of the
      last step);
    - means over the sampled tokens that were run through the model: ``clip_fraction``,
      ``ratio_mean``, ``entropy`` (nats), ``kl`` (to the reference), ``tis_mean``,
      ``tis_truncated`` (share of tokens), ``log_prob_gap_mean`` and ``log_prob_gap_max``
      (absolute difference between the engine's and the model's log-probs before its first step);
    - ``cut_off`` (share of rollouts that the maximum length cut off), ``penalty`` (mean over
      rollouts of what length took off their rewards);
    - ``rollouts``, ``rollouts_trained``, ``rollouts_with_signal`` (their advantage is not
      0), ``tokens``, ``tokens_trained`` (sampled tokens),
      ``micro_batches`` (of the rank with most), ``padding_share`` (of this rank).

    A mean over nothing (nothing had signal, no reference, ...) is None. With no signal at all the
    step is still taken, with a gradient of zero, as it would be without ``skip_no_signal``.

    Raises NonFiniteError (on all ranks) if a loss or gradient is not finite, and InputError if an
    argument is invalid.
    """
    parallel = parallel or Single()
    if config.kl_coef > 0 and reference is None:
        raise InputError(f"kl_coef is {config.kl_coef}: give the reference model too, or set it 0")
    terms = loss_terms(batch, config, weighting, parallel)
    device = next(model.parameters()).device
    check_log_probs(batch, parallel, device)
    quarter = None if meter is None else meter.deal(batch, terms, config, weighting, parallel)
    longest = longest_row(model, config.shared_prompts)
    plan = make_plan(batch, terms, config, parallel, rng, quarter, longest)
    sums = Sums(device)
    objective = Objective(model, reference, config, batch.temperature, terms, sums)
    with update_mode(model, config):
        steps = _Steps(objective, optimiser, schedule, parallel, device, meter)
        norms, learning_rate = steps.take(batch, plan)
    total = sums.over_ranks(parallel)
    return update_metrics(total, norms, learning_rate, terms, plan, config)


class _Steps:
    """The optimiser steps of one update."""

    def __init__(
        self,
        objective: Objective,
        optimiser: torch.optim.Optimizer,
        schedule: Schedule | None,
        parallel: Parallel,
        device: torch.device,
        meter: PartsMeter | None,
    ) -> None:
        self._objective, self._optimiser, self._schedule = objective, optimiser, schedule
        self._parallel, self._device, self._meter = parallel, device, meter
        self._parameters = [p for p in objective.model.parameters() if p.requires_grad]

    def take(self, batch: Batch, plan: Plan) -> tuple[list[float], float]:
        """One step per mini-batch.

        Returns the gradient norm of each, before clipping, and the learning rate of the last.
        """
        divided = [
            [
                [
                    *(
                        pack(batch.prompts, batch.responses, batch.log_probs, piece, self._device)
                        for piece in section
                    ),
                    *(filler(self._device) for _ in range(gap)),
                ]
                for section, gap in zip(sections, gaps, strict=True)
            ]
            for sections, gaps in zip(plan.pieces, plan.fillers, strict=True)
        ]
        parts = [[micro for section in sections for micro in section] for sections in divided]
        norms, learning_rate = [], 0.0
        for number, (part, old) in enumerate(zip(parts, self._old(parts), strict=True)):
            ends = list(accumulate(len(section) for section in divided[number]))
            finite = self._backward(part, old, ends, first_step=number == 0)
            norm = self._norm()
            self._check(batch, part, finite, norm, number)
            if self._meter is not None:
                self._meter.learn(self._parallel)
            norms.append(float(norm))
            learning_rate = float(self._optimiser.param_groups[0]["lr"])
            self._step(norm)
        self._optimiser.zero_grad(set_to_none=True)
        return norms, learning_rate

    def _old(self, parts: list[list[MicroBatch]]) -> list[list[Tensor | None]]:
        """Log-probs before the first step, where a later step needs them."""
        objective = self._objective
        if objective.config.old_log_probs != "recompute" or len(parts) == 1:
            return [[None] * len(part) for part in parts]
        with torch.no_grad():
            return [
                [objective.log_probs(objective.model, micro)[0] for micro in part] for part in parts
            ]

    def _backward(
        self,
        part: Sequence[MicroBatch],
        old: Sequence[Tensor | None],
        ends: Sequence[int],
        *,
        first_step: bool,
    ) -> list[Tensor]:
        """Gradients of one mini-batch, summed over ranks; whether each loss here is finite.

        A section of it ends before each of ``ends``.
        """
        self._optimiser.zero_grad(set_to_none=True)
        finite = []
        for start, end in pairwise([0, *ends]):
            for micro, before in zip(part[start:end], old[start:end], strict=True):
                loss = self._objective.loss(micro, before, first_step=first_step)
                loss.backward()
                finite.append(torch.isfinite(loss.detach()))
            if self._meter is not None:
                self._meter.mark(self._parameters)
        for parameter in self._parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._parallel.sum_gradients(self._parameters)
        return finite

    def _norm(self) -> Tensor:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def _check(
        self,
        batch: Batch,
        part: Sequence[MicroBatch],
        finite: Sequence[Tensor],
        norm: Tensor,
        steps: int,
    ) -> None:
        """Raise NonFiniteError on every rank if a loss of any rank or the gradient is not."""
        lost = len(finite) - int(torch.stack(list(finite)).sum()) if finite else 0
        lost_anywhere = float(self._parallel.total(torch.tensor(float(lost), device=self._device)))
        if not lost_anywhere and math.isfinite(float(norm)):
            return
        self._optimiser.zero_grad(set_to_none=True)
        suspects = [
            micro.rows
            for micro, good in zip(part, finite, strict=True)
            if not lost_anywhere or not bool(good)
        ]
        rows = np.concatenate(suspects) if suspects else np.zeros(0, dtype=np.int64)
        what = "the loss" if lost_anywhere else "the gradient"
        raise NonFiniteError(what, batch, rows, steps)

    def _step(self, norm: Tensor) -> None:
        bound = self._objective.config.max_grad_norm
        if bound is not None:
            torch.nn.utils.clip_grads_with_norm_(self._parameters, bound, norm)
        self._optimiser.step()
        if self._schedule is not None:
            self._schedule.step()
