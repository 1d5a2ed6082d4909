"""True pass rates, computed rather than sampled, where only one response passes.

If the reward is an exact match, a prompt's pass rate is the chance that the policy writes the
reference answer and stops:

    log p_i = sum_t log pi(answer_t | prompt_i, answer_<t) + log sum_e pi(e | prompt_i, answer_i)

over the answer's tokens, as the tokenizer writes them, and the end tokens e. Other spellings that
would pass too (white space around the answer, other tokens for the same text) are left out, so this
is a lower bound. For the character-level models that ``prepare`` makes it is the pass rate: it is
tested against sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobatrain.engines import SamplingConfig
from cobatrain.parallel import Parallel, Single, together
from cobatrain.tasks import Prompt, Task
from cobatrain.tasks.verify import ExactMatch
from cobatrain.update import MicroBatch, filler, micro_batches, pad, token_log_probs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MICRO_TOKENS = 16_384  # prompts and answers at a time


@dataclass(frozen=True)
class ExactAnswers:
    """The one passing response of each of m prompts, one row for each way to end it.

    Attributes:
        prompts, responses: token ids of each row; a response ends with an end token.
        owner: (rows,) the prompt of each row, 0 .. m-1.
        size: m.
    """

    prompts: list[list[int]]
    responses: list[list[int]]
    owner: IntArray
    size: int

    def micro(self, rows: IntArray, device: torch.device) -> MicroBatch:
        """Some of the rows as one batch, in which they are numbered from 0."""
        prompts, responses = ([part[i] for i in rows] for part in (self.prompts, self.responses))
        no_engine = [np.zeros(len(response)) for response in responses]
        return pad(prompts, responses, no_engine, np.arange(rows.size), device)

    def batches(
        self, rank: int = 0, world: int = 1, max_tokens: int = MICRO_TOKENS
    ) -> list[IntArray]:
        """A rank's share of the rows, longest first, in batches of about so many tokens.

        Every row is in the share of exactly one of ``world`` ranks; shares differ by one row at
        most and are of like lengths.
        """
        sizes = [len(p) + len(r) for p, r in zip(self.prompts, self.responses, strict=True)]
        lengths = np.array(sizes, dtype=np.int64)
        own = np.sort(np.argsort(-lengths, kind="stable")[rank::world])
        return [own[rows] for rows in micro_batches(lengths[own], max_tokens)]


def check_exact(task: Task) -> None:
    """Raise InputError for a task whose reward is not an exact match of one reference answer."""
    if not isinstance(task.reward, ExactMatch):
        raise InputError(
            f"the pass rates of task {task.name!r} cannot be computed: its reward is not an exact "
            "match of one answer; leave evaluation.exact off, or measure with rollouts"
        )


def exact_answers(
    prompts: Sequence[Prompt],
    tokens: Mapping[str, list[int]],
    tokenizer: PreTrainedTokenizerBase,
    ends: Sequence[int],
    sampling: SamplingConfig,
) -> ExactAnswers:
    """The passing responses of prompts (m,).

    Args:
        prompts: with reference answers.
        tokens: token ids of each prompt, by what the model is shown (``Prompt.shown``).
        tokenizer: the model's.
        ends: its end tokens.
        sampling: where responses are cut.

    Raises InputError for a prompt without an answer, for one whose answer is longer than
    ``sampling.max_tokens`` allows, and for a model without an end token.
    """
    stops = sorted({*ends, *sampling.stop_token_ids})
    if not stops:
        raise InputError("the model declares no end token, so no response ever ends as an answer")
    rows: list[tuple[list[int], list[int], int]] = []
    for number, prompt in enumerate(prompts):
        answer = tokenizer(prompt.answer, add_special_tokens=False)["input_ids"]
        answer = [int(token) for token in answer]
        if not answer:
            raise InputError(f"the prompt {prompt.text[:60]!r} has no reference answer")
        if len(answer) + 1 > sampling.max_tokens:
            raise InputError(
                f"the answer of {prompt.text[:60]!r} has {len(answer)} tokens and its end: more "
                f"than sampling.max_tokens = {sampling.max_tokens}, so it could never finish, and "
                "only finished responses count here"
            )
        rows += [(tokens[prompt.shown], [*answer, stop], number) for stop in stops]
    return ExactAnswers(
        prompts=[row[0] for row in rows],
        responses=[row[1] for row in rows],
        owner=np.array([row[2] for row in rows], dtype=np.int64),
        size=len(prompts),
    )


def response_log_probs(model: nn.Module, micro: MicroBatch, temperature: float) -> Tensor:
    """Log-prob of each whole response of a batch, (b,), with gradient."""
    chosen, _ = token_log_probs(model, micro, temperature)
    return torch.where(micro.mask, chosen, 0.0).sum(dim=1)


def exact_log_rates(
    model: nn.Module,
    answers: ExactAnswers,
    temperature: float,
    parallel: Parallel | None = None,
) -> FloatArray:
    """Natural logarithms of the true pass rates (m,) at a sampling temperature, on every rank.

    With ``parallel`` the ranks share the rows; the call is then collective. The model is put in
    eval mode for it. Numbers stay logarithms: rates below 1e-300 do not vanish. Raises PeerError if
    another rank failed.
    """
    ranks = parallel or Single()
    shares: list[FloatArray] = ranks.gather(
        together(ranks, lambda: _share_of_rates(model, answers, temperature, ranks))
    )
    log_rates: FloatArray = np.logaddexp.reduce(shares, axis=0)
    return log_rates


@torch.no_grad()
def _share_of_rates(
    model: nn.Module, answers: ExactAnswers, temperature: float, ranks: Parallel
) -> FloatArray:
    """(m,) what this rank's rows add to the rates, as logarithms; -inf: nothing."""
    batches = answers.batches(ranks.rank, ranks.world)
    most = len(batches)
    if ranks.sharded:
        most = max(len(answers.batches(rank, ranks.world)) for rank in range(ranks.world))
    training = model.training
    model.eval()
    try:
        device = next(model.parameters()).device
        log_rates = np.full(answers.size, -np.inf)
        for rows in batches:
            found = response_log_probs(model, answers.micro(rows, device), temperature)
            np.logaddexp.at(log_rates, answers.owner[rows], found.double().cpu().numpy())
        for _ in range(most - len(batches)):  # sharded: ranks run equally many passes
            response_log_probs(model, filler(device), temperature)
    finally:
        model.train(training)
    return log_rates
