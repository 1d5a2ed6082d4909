"""What an update is to do, laid out before the model runs: loss terms and micro-batches."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.gradients import QUARTERS
from cobatrain.parallel import Parallel
from cobatrain.update.advantage import advantages
from cobatrain.update.batch import Batch
from cobatrain.update.batching import mini_batches
from cobatrain.update.config import UpdateConfig
from cobatrain.update.cut_off import overlong_penalty
from cobatrain.update.packing import Piece, pieces
from cobatrain.update.weighting import token_weights


@dataclass(frozen=True)
class LossTerms:
    """The advantage of each rollout of this rank and the weight of each of its tokens, both (n,).

    All else is of the rollouts of all ranks.
    """

    advantage: FloatArray
    weight: FloatArray
    rollouts: int
    tokens: int
    cut_off: float = 0.0
    """Share that the maximum length cut off."""
    signal: int = 0
    """Rollouts whose advantage is not 0."""
    penalty: float | None = None
    """Mean of what was added to the rewards; None without a penalty."""


def loss_terms(batch: Batch, config: UpdateConfig, weighting: str, parallel: Parallel) -> LossTerms:
    """Advantages and weights of this rank's rollouts, from the rollouts of all ranks. Collective.

    Rollouts that were cut off have advantage and weight 0 where ``config.cut_off`` drops them; the
    others have those that they would have if the former had not been sampled.

    Raises InputError for bad rewards, an unknown weighting, fewer rollouts than mini-batches, and a
    penalty without a maximum length.
    """
    lengths = batch.lengths
    everywhere = parallel.gather(
        (
            np.asarray(batch.rewards, dtype=np.float64),
            np.asarray(batch.group),
            lengths,
            batch.cut_off,
        )
    )
    rewards, group, tokens, cut = (
        np.concatenate([part[k] for part in everywhere if len(part[k])] or [lengths[:0]])
        for k in range(4)
    )
    cut = cut.astype(np.bool_)
    if len(rewards) < config.minibatches:
        raise InputError(
            f"{len(rewards)} rollouts cannot make {config.minibatches} mini-batches: give more "
            "rollouts or set minibatches lower"
        )
    penalty = None
    if config.penalty_tokens is not None:
        added = overlong_penalty(tokens, config.penalty_tokens, batch.max_tokens)
        rewards, penalty = rewards + added, float(added.mean())
    advantage, weight = np.zeros(len(rewards)), np.zeros(len(rewards))
    kept = ~cut if config.cut_off == "drop" else np.ones(len(rewards), dtype=np.bool_)
    if kept.any() or not len(kept):
        kind, deviation = config.advantage, config.deviation
        advantage[kept] = advantages(rewards[kept], group[kept], kind, deviation)
        weight[kept] = token_weights(group[kept], tokens[kept], weighting, config.constant_length)
    start = sum(len(part[0]) for part in everywhere[: parallel.rank])
    own = slice(start, start + len(batch))
    return LossTerms(
        advantage[own],
        weight[own],
        len(rewards),
        int(tokens.sum()),
        cut_off=float(cut.mean()),
        signal=int(np.count_nonzero(advantage)),
        penalty=penalty,
    )


@dataclass(frozen=True)
class Plan:
    """The micro-batches of each mini-batch, on this rank."""

    pieces: list[list[list[Piece]]]
    """The micro-batches of each section of each mini-batch. A mini-batch is one section; or four,
    whose gradients are looked at one by one: the quarters of ``PartsMeter``."""
    fillers: list[list[int]]
    """Micro-batches of zero weight added to each section to keep sharded ranks in step."""
    micro_batches: int
    """Of the rank with most."""
    padding_share: float
    """Of this rank."""


def used_rollouts(terms: LossTerms, config: UpdateConfig) -> BoolArray:
    """Which of this rank's rollouts (n,) an update runs through the model."""
    if config.skip_no_signal and config.kl_coef == 0:
        return np.asarray(terms.advantage != 0)
    return np.asarray(terms.weight > 0)  # all but those that were dropped


def make_plan(
    batch: Batch,
    terms: LossTerms,
    config: UpdateConfig,
    parallel: Parallel,
    rng: np.random.Generator | None,
    quarter: IntArray | None = None,
    longest: int = 0,
) -> Plan:
    """Split this rank's rollouts into mini-batches, these into micro-batches. Collective.

    ``rng`` draws the mini-batches; without it they are interleaved. ``quarter`` (n,), 0 .. 3, or -1
    for rollouts without signal, makes a section of each quarter. Rows of several rollouts have
    ``longest`` tokens at most; with 0 every rollout has its own.
    """
    prompts, responses, group = batch.prompt_lengths, batch.lengths, np.asarray(batch.group)
    used = used_rollouts(terms, config)
    divided = []
    for part in mini_batches(len(batch), config.minibatches, rng):
        kept = part[used[part]]
        sections = [kept] if quarter is None else _sections(kept, quarter)
        divided.append(
            [
                [
                    replace(piece, rows=section[piece.rows])
                    for piece in pieces(
                        prompts[section],
                        responses[section],
                        group[section],
                        config.micro_tokens,
                        longest,
                        always=config.shared_prompts is True,
                    )
                ]
                for section in sections
            ]
        )
    counts = np.array(  # (world, minibatches, sections)
        parallel.gather([[len(section) for section in part] for part in divided])
    )
    missing = counts.max(axis=0) - counts[parallel.rank]
    every = [piece for part in divided for section in part for piece in section]
    positions = sum(piece.positions for piece in every)
    return Plan(
        pieces=divided,
        fillers=(missing if parallel.sharded else 0 * missing).tolist(),
        micro_batches=int(counts.sum(axis=(1, 2)).max()),
        padding_share=1.0 - sum(piece.tokens for piece in every) / positions if every else 0.0,
    )


def _sections(rows: IntArray, quarter: IntArray) -> list[IntArray]:
    """The rows of each quarter; those of none, which have no gradient, with the last."""
    place = np.where(quarter[rows] < 0, QUARTERS - 1, quarter[rows])
    return [rows[place == number] for number in range(QUARTERS)]
