"""Gradients of single prompts and of single groups, one backward pass each."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobatrain.engines import Rollouts
from cobatrain.exact import ExactAnswers, response_log_probs
from cobatrain.update import longest_row, pack, pieces

MICRO_TOKENS = 8192


def trained_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that a run trains, in the model's order."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


@contextmanager
def only_parameters(model: nn.Module, expression: str | None) -> Iterator[None]:
    """Leave a model only those trained parameters in whose names ``expression`` is found.

    The others count as frozen within the block. None: all are left.

    Raises InputError for a model without trained parameters, for something that is not a regular
    expression, and for one that is found in no name.
    """
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not named:
        raise InputError("the model has no parameters to train: all are frozen")
    try:
        pattern = re.compile(expression or "")
    except re.error as error:
        raise InputError(f"--parameters {expression} is no regular expression: {error}") from None
    frozen = [parameter for name, parameter in named if not pattern.search(name)]
    if len(frozen) == len(named):
        names = ", ".join(name for name, _ in named[:3])
        raise InputError(
            f"--parameters {expression} is found in no name of the {len(named)} trained "
            f"parameters, such as {names}"
        )
    for parameter in frozen:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


@dataclass(frozen=True)
class LogitGradient:
    """d logit p / d parameters of one prompt, ``scale`` times ``log_rate``'s gradient."""

    log_rate: float
    gradients: list[Tensor]
    """d log p / d parameter, in the order of ``trained_parameters``."""

    @property
    def scale(self) -> float:
        """1 / (1 - p): d logit p = d log p / (1 - p)."""
        return 1.0 / max(-math.expm1(self.log_rate), 1e-12)


def logit_gradients(
    model: nn.Module, answers: ExactAnswers, temperature: float, chosen: IntArray
) -> Iterator[LogitGradient]:
    """The gradient of each chosen prompt's log pass rate, by one backward pass a prompt."""
    parameters = trained_parameters(model)
    device = parameters[0].device
    for number in chosen:
        rows = np.flatnonzero(answers.owner == number)
        micro = answers.micro(rows, device)
        log_rate = torch.logsumexp(response_log_probs(model, micro, temperature), dim=0)
        gradients = torch.autograd.grad(log_rate, parameters)
        yield LogitGradient(float(log_rate.detach()), list(gradients))


def weighted_gradient(
    model: nn.Module,
    rollouts: Rollouts,
    rows: IntArray,
    weights: FloatArray,
    temperature: float,
) -> list[Tensor]:
    """sum_r weights_r d log pi(r) / d parameters over the rollouts ``rows`` (r,).

    Micro-batches accumulate into one gradient, in the order of ``trained_parameters``. A prompt is
    run once for all its rollouts of a row, as in an update. A response without tokens adds nothing.
    """
    some = rollouts.lengths[rows] > 0
    rows, weights = rows[some], weights[some]
    parameters = trained_parameters(model)
    device = parameters[0].device
    prompts = [rollouts.prompt_tokens[i] for i in rollouts.prompt[rows]]
    responses = [rollouts.tokens[i] for i in rows]
    log_probs = [rollouts.log_probs[i] for i in rows]
    before, sampled = ([len(tokens) for tokens in part] for part in (prompts, responses))
    total: list[Tensor] | None = None
    longest = longest_row(model, None)
    for piece in pieces(before, sampled, rollouts.prompt[rows], MICRO_TOKENS, longest):
        micro = pack(prompts, responses, log_probs, piece, device)
        chosen = response_log_probs(model, micro, temperature)
        objective = chosen @ torch.from_numpy(weights[piece.rows]).to(chosen)
        gradients = torch.autograd.grad(objective, parameters, allow_unused=True)
        filled = [
            torch.zeros_like(p) if g is None else g
            for p, g in zip(parameters, gradients, strict=True)
        ]
        total = filled if total is None else [a.add_(b) for a, b in zip(total, filled, strict=True)]
        del gradients, filled  # before the next ones are made: ``gradient_memory`` counts on it
    return [torch.zeros_like(p) for p in parameters] if total is None else total


def inner_product(first: Iterable[Tensor], second: Iterable[Tensor]) -> float:
    """Of two gradients of the same parameters, taken one parameter at a time.

    Within a parameter in float32, which torch adds up in a tree: within 1e-6 of the lengths'
    product.
    """
    return math.fsum(
        float((a.float() * b.float()).sum()) for a, b in zip(first, second, strict=True)
    )


def halves(count: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    """Rollouts 0 .. count-1 in two halves, at random; of an odd number one is left out."""
    order = rng.permutation(count)
    half = count // 2
    return np.sort(order[:half]), np.sort(order[half : 2 * half])
