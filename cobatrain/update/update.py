"""One policy update: rollouts of unequal groups -> gradient -> optimiser step.

The loss is sum_j w_j A_j sum_t l_jt: advantages A and weights w come from the whole batch (over
all ranks) before anything is dropped or split, so that neither the size of micro-batches, nor
the ranks, nor leaving out rollouts without signal changes the gradient.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.utils.checkpoint import checkpoint

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError, unknown_name
from cobatrain.parallel.distributed import Parallel, Single
from cobatrain.update.advantages import ADVANTAGES, WEIGHTINGS, advantages, token_weights
from cobatrain.update.batching import (
    LogProbRow,
    MicroBatch,
    TokenRow,
    filler,
    micro_batches,
    mini_batches,
    pad,
    padding_share,
)
from cobatrain.update.losses import LOSSES, importance_weights, k3

OLD_LOG_PROBS = ("recompute", "engine")
LOGIT_CHUNK = 2**26
"""Softmaxes are taken over at most about this many logits at once (256 MB in float32)."""


@dataclass(frozen=True)
class Batch:
    """n rollouts with their rewards, flat; on each rank its own.

    Raises InputError when the lists disagree, and for an empty prompt or response.
    """

    prompts: Sequence[TokenRow]
    """n lists of token ids, each with at least one."""
    responses: Sequence[TokenRow]
    """n lists of sampled token ids, each with at least one, the stop token included."""
    log_probs: Sequence[LogProbRow]
    """n lists: the engine's log-prob of each sampled token, at ``UpdateConfig.temperature``."""
    rewards: FloatArray
    """(n,) any finite numbers; 0 or 1 with a verifier."""
    group: IntArray
    """(n,) which prompt: one number per prompt, the same on every rank."""

    def __post_init__(self) -> None:
        n = len(self.responses)
        for field in fields(self):
            given = len(getattr(self, field.name))
            if given != n:
                raise InputError(f"{field.name} has {given} entries for {n} responses")
        for j in range(n):
            prompt, response, log_probs = (
                len(rows[j]) for rows in (self.prompts, self.responses, self.log_probs)
            )
            if not prompt or not response:
                raise InputError(
                    f"rollout {j} has {prompt} prompt and {response} sampled tokens: at least 1 "
                    "of each is needed (the stop token counts)"
                )
            if response != log_probs:
                raise InputError(
                    f"rollout {j} has {response} sampled tokens and {log_probs} log-probs"
                )

    def __len__(self) -> int:
        return len(self.responses)

    @property
    def lengths(self) -> IntArray:
        """Sampled tokens of each rollout, (n,)."""
        return np.array([len(row) for row in self.responses], dtype=np.int64)

    @property
    def prompt_lengths(self) -> IntArray:
        """Prompt tokens of each rollout, (n,)."""
        return np.array([len(row) for row in self.prompts], dtype=np.int64)


@dataclass(frozen=True)
class UpdateConfig:
    """Settings of ``update``. Raises InputError for what cannot be."""

    advantage: str = "grpo"
    """A key of ``ADVANTAGES``."""
    weighting: str = "rollout"
    """A key of ``WEIGHTINGS``."""
    constant_length: int | None = None
    """Divide each rollout by this constant rather than by its length (Dr.GRPO)."""
    loss: str = "clip"
    """A key of ``LOSSES``."""
    clip_low: float = 0.2
    clip_high: float = 0.28
    kl_coef: float = 0.0
    """Weight of the k3 KL to a reference model; 0 needs none."""
    tis_cap: float | None = None
    """Truncated importance sampling against the engine with this cap; None: off."""
    old_log_probs: str = "recompute"
    """pi_old of the ratio: the model's own before the first step, or the ``engine``'s."""
    temperature: float = 1.0
    """The sampling temperature: logits are divided by it."""
    minibatches: int = 1
    """Optimiser steps per update. Weights stay those of the whole batch, times this number, so
    that the mini-batches' gradients average to the batch's."""
    micro_tokens: int = 16384
    """Tokens per forward and backward pass, padding included (a longer rollout goes alone)."""
    max_grad_norm: float | None = 1.0
    """Gradients are scaled down to this norm; None: never."""
    skip_no_signal: bool = True
    """Do not run rollouts of advantage exactly 0 through the model when there is no KL."""
    gradient_checkpointing: bool = False
    """Recompute activations in backward: less memory, about a third more time."""
    bf16: bool = False
    """Run the model under bfloat16 autocast; weights, log-probs and loss stay as they are."""

    def __post_init__(self) -> None:
        for kind, given, known in (
            ("advantage", self.advantage, ADVANTAGES),
            ("weighting", self.weighting, WEIGHTINGS),
            ("loss", self.loss, LOSSES),
            ("old_log_probs", self.old_log_probs, OLD_LOG_PROBS),
        ):
            if given not in known:
                raise unknown_name(kind, given, known)
        for name, least in (("minibatches", 1), ("micro_tokens", 1), ("constant_length", 1)):
            whole = getattr(self, name)
            if whole is not None and whole < least:
                raise InputError(f"{name} must be at least {least}, got {whole}")
        for name in ("temperature", "max_grad_norm", "tis_cap"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} must be above 0, got {value}")
        if not self.kl_coef >= 0:
            raise InputError(f"kl_coef must be at least 0, got {self.kl_coef}")
        if not 0 < self.clip_low <= 1 or not self.clip_high > 0:
            raise InputError(
                "clip_low must be in (0, 1] and clip_high above 0, got "
                f"{self.clip_low} and {self.clip_high}"
            )
        if self.constant_length is not None and self.weighting == "token":
            raise InputError("constant_length cannot be combined with the weighting 'token'")


class NonFiniteError(RuntimeError):
    """NaN or Inf in the loss, the gradient or the engine's log-probs; no step was taken on it.

    ``batch`` is this rank's whole batch; ``rows`` the rollouts of it that are suspect: those of
    the micro-batches with a bad loss, else those of the mini-batch (none where only other ranks
    saw it); ``steps`` how many mini-batches were stepped on before (0 unless there are several:
    then the parameters are as before the update). Gradients are cleared.
    """

    def __init__(self, what: str, batch: Batch, rows: IntArray, steps: int) -> None:
        super().__init__(
            f"{what} is not finite: no optimiser step was taken on it; {len(rows)} rollouts are "
            "suspect (in .rows, of the batch in .batch). Save them, then resume from the last "
            "checkpoint with a lower learning rate or without bf16"
        )
        self.batch = batch
        self.rows = rows
        self.steps = steps


def make_optimiser(
    model: nn.Module,
    learning_rate: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> torch.optim.AdamW:
    """AdamW over the parameters that need a gradient; no decay of biases and norms (1-d ones)."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]], lr=learning_rate, betas=betas, eps=eps
    )


def warmup_factor(step: int, warmup_steps: int) -> float:
    """The share of the learning rate at optimiser step 0, 1, ...: (step + 1) / warm-up, then 1."""
    return min(1.0, (step + 1) / max(1, warmup_steps))


def make_schedule(
    optimiser: torch.optim.Optimizer, warmup_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear warm-up, then constant; ``update`` steps it once per optimiser step."""
    return torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warmup_factor(step, warmup_steps)
    )


@dataclass(frozen=True)
class _Signal:
    """Per rollout of this rank: ``advantage`` and ``weight`` of each token, (n,); global counts."""

    advantage: FloatArray
    weight: FloatArray
    rollouts: int
    tokens: int


def update(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    config: UpdateConfig,
    *,
    schedule: torch.optim.lr_scheduler.LRScheduler | None = None,
    reference: nn.Module | None = None,
    parallel: Parallel | None = None,
    rng: np.random.Generator | None = None,
) -> dict[str, float | None]:
    """Change the model's parameters by ``config.minibatches`` optimiser steps on ``batch``.

    ``model`` is any Hugging Face causal language model (called with ``input_ids``, returning
    ``.logits``), without dropout in effect: it is put in eval mode, or, for gradient
    checkpointing, in train mode, and back. ``reference`` is needed with ``kl_coef`` > 0.
    ``parallel`` is what ``replicate`` or ``shard`` of ``cobatrain.parallel`` gave; collective then.
    ``rng`` draws the mini-batches; without it they are interleaved.

    Returns the same metrics on every rank, over the rollouts of all:

    - ``loss``, ``grad_norm`` (mean over mini-batches, before clipping), ``learning_rate`` (of the
      last step);
    - means over the sampled tokens that were run through the model: ``clip_fraction``,
      ``ratio_mean``, ``entropy`` (nats), ``kl`` (to the reference), ``tis_mean``,
      ``tis_truncated`` (share of tokens), ``log_prob_gap_mean`` and ``log_prob_gap_max``
      (absolute difference between the engine's and the model's log-probs before its first step);
    - ``rollouts``, ``rollouts_trained``, ``tokens``, ``tokens_trained`` (sampled tokens),
      ``micro_batches`` (of the rank with most), ``padding_share`` (of this rank).

    A mean over nothing (nothing had signal, no reference, ...) is None. With no signal at all the
    step is still taken, with a gradient of zero, as it would be without ``skip_no_signal``.

    Raises NonFiniteError (on all ranks) and InputError.
    """
    parallel = parallel or Single()
    if config.kl_coef > 0 and reference is None:
        raise InputError(f"kl_coef is {config.kl_coef}: give the reference model too, or set it 0")
    signal = _signal(batch, config, parallel)
    device = next(model.parameters()).device
    _check_log_probs(batch, parallel, device)
    plan = _plan(batch, signal, config, parallel, rng)
    training = model.training
    model.train(config.gradient_checkpointing)
    if config.gradient_checkpointing:
        _checkpointing(model)
    try:
        return _run(
            model, optimiser, batch, config, signal, plan, schedule, reference, parallel, device
        )
    finally:
        model.train(training)


def token_log_probs(
    model: nn.Module, micro: MicroBatch, temperature: float, bf16: bool = False
) -> tuple[Tensor, Tensor]:
    """Log-prob of every target and entropy (nats, without gradient) of its distribution, (b, t).

    In float32 at least, over logits / temperature, in chunks that are recomputed in backward where
    the logits are many. Positions outside ``micro.mask`` mean nothing.
    """
    width = micro.tokens.shape[1]
    keep = width - micro.first
    autocast: AbstractContextManager[object] = (
        torch.autocast(micro.tokens.device.type, dtype=torch.bfloat16) if bf16 else nullcontext()
    )
    options = {"logits_to_keep": keep} if _keeps_logits(model) else {}
    with autocast:
        logits = model(input_ids=micro.tokens, use_cache=False, **options).logits
    logits = logits[:, -keep:-1].flatten(0, 1)
    targets = micro.targets.flatten()
    rows = max(1, LOGIT_CHUNK // logits.shape[-1])
    recompute = len(logits) > rows and torch.is_grad_enabled()
    log_probs, entropy = [], []
    for part, target in zip(torch.split(logits, rows), torch.split(targets, rows), strict=True):
        chosen, spread = (
            checkpoint(_select, part, target, temperature, use_reentrant=False)
            if recompute
            else _select(part, target, temperature)
        )
        log_probs.append(chosen)
        entropy.append(spread)
    shape = micro.targets.shape
    return torch.cat(log_probs).view(shape), torch.cat(entropy).view(shape)


def _select(logits: Tensor, targets: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    scaled = logits if logits.dtype == torch.float64 else logits.float()
    if temperature != 1.0:
        scaled = scaled / temperature
    normaliser = scaled.logsumexp(dim=-1)
    chosen = scaled.gather(-1, targets[:, None]).squeeze(-1) - normaliser
    with torch.no_grad():
        probability = (scaled - normaliser[:, None]).exp()
        entropy = normaliser - (probability * scaled).sum(dim=-1)
    return chosen, entropy


def _keeps_logits(model: nn.Module) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _checkpointing(model: nn.Module) -> None:
    enable = getattr(model, "gradient_checkpointing_enable", None)
    if enable is None:
        raise InputError(
            f"{type(model).__name__} has no gradient checkpointing: set gradient_checkpointing "
            "to false"
        )
    if not getattr(model, "is_gradient_checkpointing", False):
        enable(gradient_checkpointing_kwargs={"use_reentrant": False})


def _signal(batch: Batch, config: UpdateConfig, parallel: Parallel) -> _Signal:
    """Advantages and weights of this rank's rollouts, from the rollouts of all ranks."""
    lengths = batch.lengths
    everywhere = parallel.gather(
        (np.asarray(batch.rewards, dtype=np.float64), np.asarray(batch.group), lengths)
    )
    rewards, group, tokens = (
        np.concatenate([part[k] for part in everywhere if len(part[k])] or [lengths[:0]])
        for k in range(3)
    )
    if len(rewards) < config.minibatches:
        raise InputError(
            f"{len(rewards)} rollouts cannot make {config.minibatches} mini-batches: give more "
            "rollouts or set minibatches lower"
        )
    advantage = advantages(rewards, group, config.advantage)
    weight = token_weights(group, tokens, config.weighting, config.constant_length)
    start = sum(len(part[0]) for part in everywhere[: parallel.rank])
    own = slice(start, start + len(batch))
    return _Signal(advantage[own], weight[own], len(rewards), int(tokens.sum()))


def _check_log_probs(batch: Batch, parallel: Parallel, device: torch.device) -> None:
    bad = np.array(
        [j for j, row in enumerate(batch.log_probs) if not np.isfinite(row).all()], dtype=np.int64
    )
    if parallel.total(torch.tensor(float(len(bad)), device=device)) > 0:
        raise NonFiniteError("a log-prob of the engine", batch, bad, 0)


@dataclass(frozen=True)
class _Plan:
    """Micro-batches of each mini-batch; ``fillers`` of zero weight keep sharded ranks in step."""

    rows: list[list[IntArray]]
    fillers: list[int]
    largest: int
    padding_share: float


def _plan(
    batch: Batch,
    signal: _Signal,
    config: UpdateConfig,
    parallel: Parallel,
    rng: np.random.Generator | None,
) -> _Plan:
    lengths = batch.prompt_lengths + batch.lengths
    used = (
        signal.advantage != 0
        if config.skip_no_signal and config.kl_coef == 0
        else np.ones(len(batch), dtype=np.bool_)
    )
    rows = []
    for part in mini_batches(len(batch), config.minibatches, rng):
        kept = part[used[part]]
        rows.append([kept[micro] for micro in micro_batches(lengths[kept], config.micro_tokens)])
    counts = np.array(parallel.gather([len(part) for part in rows]))  # (world, minibatches)
    missing = counts.max(axis=0) - counts[parallel.rank]
    return _Plan(
        rows=rows,
        fillers=[int(gap) if parallel.sharded else 0 for gap in missing],
        largest=int(counts.sum(axis=1).max()),
        padding_share=padding_share(lengths, [micro for part in rows for micro in part]),
    )


class _Sums:
    """Running sums and maxima of the metrics, on the device until the end."""

    NAMES = (
        "loss",
        "tokens",
        "rollouts",
        "ratio",
        "clipped",
        "entropy",
        "kl",
        "tis",
        "truncated",
        "gap",
        "gap_tokens",
    )

    def __init__(self, device: torch.device) -> None:
        self.values = {
            name: torch.zeros((), dtype=torch.float64, device=device) for name in self.NAMES
        }
        self.gap_max = torch.zeros((), dtype=torch.float64, device=device)

    def add(self, name: str, value: Tensor | float) -> None:
        self.values[name] += value

    def over_ranks(self, parallel: Parallel) -> dict[str, float]:
        total = parallel.total(torch.stack([self.values[name] for name in self.NAMES]))
        result = dict(zip(self.NAMES, total.tolist(), strict=True))
        return {**result, "gap_max": float(parallel.largest(self.gap_max))}


def _run(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    config: UpdateConfig,
    signal: _Signal,
    plan: _Plan,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    reference: nn.Module | None,
    parallel: Parallel,
    device: torch.device,
) -> dict[str, float | None]:
    sums = _Sums(device)
    parameters = [p for p in model.parameters() if p.requires_grad]
    norms: list[float] = []
    learning_rate = 0.0
    steps = [
        [
            *(pad(batch.prompts, batch.responses, batch.log_probs, rows, device) for rows in part),
            *(filler(device) for _ in range(gap)),
        ]
        for part, gap in zip(plan.rows, plan.fillers, strict=True)
    ]
    old: list[list[Tensor | None]] = [[None] * len(micros) for micros in steps]
    if config.old_log_probs == "recompute" and config.minibatches > 1:
        with torch.no_grad():
            old = [
                [
                    token_log_probs(model, micro, config.temperature, config.bf16)[0]
                    for micro in part
                ]
                for part in steps
            ]
    for number, micros in enumerate(steps):
        optimiser.zero_grad(set_to_none=True)
        finite = []
        for micro, before in zip(micros, old[number], strict=True):
            loss = _micro_loss(
                model, reference, micro, before, signal, config, sums, first_step=number == 0
            )
            loss.backward()
            finite.append(torch.isfinite(loss.detach()))
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        parallel.sum_gradients(parameters)
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = _whole(torch.nn.utils.get_total_norm(gradients))
        lost = len(finite) - int(torch.stack(finite).sum()) if finite else 0
        lost_anywhere = float(parallel.total(torch.tensor(float(lost), device=device)))
        if lost_anywhere or not math.isfinite(float(norm)):
            optimiser.zero_grad(set_to_none=True)
            what = "the loss" if lost_anywhere else "the gradient"
            suspects = [
                micro.rows
                for micro, good in zip(micros, finite, strict=True)
                if not lost_anywhere or not bool(good)
            ]
            rows = np.concatenate(suspects) if suspects else np.zeros(0, dtype=np.int64)
            raise NonFiniteError(what, batch, rows, number)
        norms.append(float(norm))
        if config.max_grad_norm is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, config.max_grad_norm, norm)
        learning_rate = float(optimiser.param_groups[0]["lr"])
        optimiser.step()
        if schedule is not None:
            schedule.step()
    optimiser.zero_grad(set_to_none=True)
    return _metrics(sums.over_ranks(parallel), norms, learning_rate, signal, plan, config)


def _micro_loss(
    model: nn.Module,
    reference: nn.Module | None,
    micro: MicroBatch,
    old: Tensor | None,
    signal: _Signal,
    config: UpdateConfig,
    sums: _Sums,
    first_step: bool,
) -> Tensor:
    """The weighted loss of one micro-batch (a number with gradient); adds to the metrics.

    ``old`` are log-probs from before the first step; None: the engine's or, where this is the only
    step, the model's own of this very pass (what a pass of its own would give).
    """
    mask = micro.mask
    new, entropy = token_log_probs(model, micro, config.temperature, config.bf16)
    engine = micro.engine.to(new.dtype)
    if old is None:
        old = engine if config.old_log_probs == "engine" else new.detach()
    advantage, weight = (
        torch.from_numpy(values[micro.rows]).to(new.device, new.dtype)
        if len(micro.rows)
        else new.new_zeros(len(new))
        for values in (signal.advantage, signal.weight)
    )
    result = LOSSES[config.loss](new, old, advantage, mask, config.clip_low, config.clip_high)
    token_loss = result.loss
    if config.tis_cap is not None:
        correction = importance_weights(old, engine, mask, config.tis_cap)
        token_loss = token_loss * correction
        sums.add("tis", correction.sum())
        sums.add("truncated", ((correction >= config.tis_cap) & mask).sum())
    if config.kl_coef > 0 and reference is not None:
        with torch.no_grad():
            log_reference, _ = token_log_probs(reference, micro, config.temperature, config.bf16)
        divergence = k3(new, log_reference, mask)
        token_loss = token_loss + config.kl_coef * divergence
        sums.add("kl", divergence.detach().sum())
    loss = (token_loss * weight[:, None]).sum() * config.minibatches
    with torch.no_grad():
        sums.add("loss", loss.detach() / config.minibatches)
        sums.add("tokens", mask.sum())
        sums.add("rollouts", len(micro.rows))
        sums.add("ratio", result.ratio.sum())
        sums.add("clipped", result.clipped.sum())
        sums.add("entropy", torch.where(mask, entropy, 0.0).sum())
        if first_step or config.old_log_probs == "recompute":
            ours = new if first_step else old
            gap = torch.where(mask, (ours - engine).abs(), 0.0)
            sums.add("gap", gap.sum())
            sums.add("gap_tokens", mask.sum())
            sums.gap_max = torch.maximum(sums.gap_max, gap.max().double())
    return loss


def _metrics(
    total: dict[str, float],
    norms: list[float],
    learning_rate: float,
    signal: _Signal,
    plan: _Plan,
    config: UpdateConfig,
) -> dict[str, float | None]:
    def mean(name: str, per: str = "tokens", when: bool = True) -> float | None:
        return total[name] / total[per] if when and total[per] else None

    return {
        "loss": total["loss"],
        "grad_norm": sum(norms) / len(norms),
        "learning_rate": learning_rate,
        "clip_fraction": mean("clipped"),
        "ratio_mean": mean("ratio"),
        "entropy": mean("entropy"),
        "kl": mean("kl", when=config.kl_coef > 0),
        "tis_mean": mean("tis", when=config.tis_cap is not None),
        "tis_truncated": mean("truncated", when=config.tis_cap is not None),
        "log_prob_gap_mean": mean("gap", "gap_tokens"),
        "log_prob_gap_max": total["gap_max"] if total["gap_tokens"] else None,
        "rollouts": float(signal.rollouts),
        "rollouts_trained": total["rollouts"],
        "tokens": float(signal.tokens),
        "tokens_trained": total["tokens"],
        "micro_batches": float(plan.largest),
        "padding_share": plan.padding_share,
    }


def _whole(norm: Tensor) -> Tensor:
    return norm.full_tensor() if isinstance(norm, DTensor) else norm
