"""What the right answer of a prompt competes with, token by token, and the gradients of that.

At each position t of the answer, with the right tokens R_t (one, or all end tokens at the end),

    a_tv = z_tv - log sum_{y in R_t} exp z_ty,   log p = - sum_t log(1 + sum_v exp a_tv)

over the other tokens v, z being logits over the temperature. The log-odds a_tv are what a network
that is linear in its parameters moves linearly; p then follows exactly, however far it moves.
Tokens of small probability are taken together, as one alternative with their joint probability.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from cobasim.arrays import FloatArray, IntArray
from cobatrain.exact import ExactAnswers
from cobatrain.gradients.per_prompt import trained_parameters

REST = -1  # in place of a token's id: all that are not named
AT_ONCE = 32_000_000  # numbers of the gradients that are computed in one batch


@dataclass(frozen=True)
class Alternatives:
    """The C alternatives of one prompt.

    Attributes:
        position: (C,) of the answer, from 0, ascending.
        token: (C,) ids; -1: all those of small probability together.
        odds: (C,) log-odds against the right token.
    """

    position: IntArray
    token: IntArray
    odds: FloatArray
    _tensor: Tensor
    _parameters: Sequence[nn.Parameter]

    @property
    def log_rate(self) -> float:
        """Log of the pass rate, from the odds."""
        sums = np.bincount(self.position, weights=np.exp(self.odds))
        return -float(np.log1p(sums).sum())

    @property
    def probability(self) -> FloatArray:
        """Of each alternative, (C,), where the answer before its position is right."""
        odds = np.exp(self.odds)
        return np.asarray(odds / (1.0 + np.bincount(self.position, weights=odds)[self.position]))

    def gradients(self) -> Iterator[tuple[slice, list[Tensor]]]:
        """Some alternatives at a time: which, and d odds / d parameters, (c, size) each."""
        size = sum(parameter.numel() for parameter in self._parameters)
        step = max(1, AT_ONCE // size)
        count = self.odds.size
        for begin in range(0, count, step):
            some = slice(begin, min(begin + step, count))
            yield some, self._block(some)

    def _block(self, some: slice) -> list[Tensor]:
        eye = torch.eye(self.odds.size, device=self._tensor.device, dtype=self._tensor.dtype)[some]
        batched = len(eye) > 1
        found = torch.autograd.grad(
            self._tensor,
            list(self._parameters),
            eye if batched else eye[0],
            is_grads_batched=batched,
            retain_graph=True,
            allow_unused=True,
        )
        return [
            torch.zeros(len(eye), p.numel(), device=p.device) if g is None
            else g.reshape(len(eye), -1)
            for p, g in zip(self._parameters, found, strict=True)
        ]  # fmt: skip


def alternatives_of(
    model: nn.Module,
    answers: ExactAnswers,
    number: int,
    temperature: float,
    least: float,
    like: tuple[IntArray, IntArray] | None = None,
) -> Alternatives:
    """The alternatives of prompt ``number``, by one forward pass.

    Args:
        model: the policy.
        answers: of all prompts.
        number: of the prompt.
        temperature: of sampling.
        least: alternatives of a smaller probability are taken together; 1: all are.
        like: positions and tokens (C,) of another measurement: the same are taken.
    """
    rows = np.flatnonzero(answers.owner == number)
    prompt, response = answers.prompts[rows[0]], answers.responses[rows[0]]
    ends = [answers.responses[row][-1] for row in rows]
    parameters = trained_parameters(model)
    device = parameters[0].device
    tokens = torch.tensor([[*prompt, *response[:-1]]], device=device)
    logits = model(input_ids=tokens, use_cache=False).logits[0, len(prompt) - 1 :]
    scaled = (logits if logits.dtype == torch.float64 else logits.float()) / temperature
    log_probs = scaled.log_softmax(dim=-1)
    right = torch.zeros(log_probs.shape, dtype=torch.bool, device=device)
    right[torch.arange(len(response) - 1), response[:-1]] = True
    right[-1, ends] = True
    base = torch.where(right, log_probs, -torch.inf).logsumexp(dim=-1)
    if like is None:
        named = (log_probs.detach().exp() >= least) & ~right
    else:
        named = torch.zeros_like(right)
        named[like[0][like[1] >= 0], like[1][like[1] >= 0]] = True
    other = ~named & ~right
    position, token = named.nonzero(as_tuple=True)
    left = other.any(dim=-1).nonzero()[:, 0]
    rest = torch.where(other[left], log_probs[left], -torch.inf).logsumexp(dim=-1)
    odds = torch.cat([log_probs[position, token] - base[position], rest - base[left]])
    order = torch.cat([position, left]).argsort(stable=True)
    return Alternatives(
        position=torch.cat([position, left])[order].cpu().numpy(),
        token=torch.cat([token, torch.full_like(left, REST)])[order].cpu().numpy(),
        odds=odds.detach()[order].double().cpu().numpy(),
        _tensor=odds[order],
        _parameters=parameters,
    )
