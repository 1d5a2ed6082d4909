"""Pass rates of all training prompts, sampled afresh or exact, next to a run's estimates."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.arrays import FloatArray
from cobasim.errors import InputError
from cobasim.loop import Loop
from cobasim.records import write_atomically
from cobasim.updates import mixed_chance
from cobatrain.config import TrainConfig
from cobatrain.exact import exact_log_rates
from cobatrain.learner import LanguageModelLearner

CHUNK = 8192  # rollouts of one call of the engine; exact rates count as one


@dataclass(frozen=True)
class Measured:
    """Pass rates of the m training prompts of a task under one policy.

    Attributes:
        texts, levels: m each.
        pass_rate: (m,) measured.
        rollouts: fresh rollouts of each prompt; None: rates are exact, computed from log-probs.
        estimate: (m,) the run's estimate at that point, nan if unseen; None without a run.
        attempts: (m,) rollouts behind each estimate; None without a run.
        lengths: (m,) tokens of a response as the run believes them, nan where it has none of the
            prompt; None without a run.
    """

    texts: tuple[str, ...]
    levels: tuple[str, ...]
    pass_rate: FloatArray
    rollouts: int | None
    estimate: FloatArray | None = None
    attempts: FloatArray | None = None
    lengths: FloatArray | None = None

    def to_csv(self) -> str:
        """One row a prompt; the column ``pass_rate`` is what cobasim's ``--pass-rates`` reads.

        A column ``rollouts`` says how many are behind each; exact rates have a column ``exact``.
        """
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        known = self.estimate is not None and self.attempts is not None
        writer.writerow(
            [
                "prompt",
                "level",
                "pass_rate",
                "exact" if self.rollouts is None else "rollouts",
                *(["estimate", "estimate_attempts"] if known else []),
                *([] if self.lengths is None else ["length"]),
            ]
        )
        for i, rate in enumerate(self.pass_rate):
            row: list[object] = [
                self.texts[i],
                self.levels[i],
                f"{rate:.6g}",
                self.rollouts or "yes",
            ]
            if self.estimate is not None and self.attempts is not None:
                seen = self.attempts[i] > 0
                row += [f"{self.estimate[i]:.6g}" if seen else "", f"{self.attempts[i]:g}"]
            if self.lengths is not None:
                length = self.lengths[i]
                row.append("" if np.isnan(length) else f"{length:.6g}")
            writer.writerow(row)
        return text.getvalue()

    def against_estimates(self) -> list[dict[str, Any]]:
        """One row a class of estimate: prompts, rollouts behind them, measured mean and spread.

        ``mixed``: share of the class whose true groups of 8 would be mixed, 1 - p^8 - (1-p)^8,
        with p measured. Empty without a run.
        """
        if self.estimate is None or self.attempts is None:
            return []
        seen, value = self.attempts > 0, self.estimate
        classes = {
            "unseen": ~seen,
            "0": seen & (value <= 0),
            "0 to 0.2": seen & (value > 0) & (value < 0.2),
            "0.2 to 0.8": seen & (value >= 0.2) & (value <= 0.8),
            "0.8 to 1": seen & (value > 0.8) & (value < 1),
            "1": seen & (value >= 1),
        }
        p = self.pass_rate
        rows = []
        for name, chosen in classes.items():
            if chosen.any():
                measured = p[chosen]
                rows.append(
                    {
                        "estimate": name,
                        "prompts": int(chosen.sum()),
                        "attempts": float(self.attempts[chosen].mean()),
                        "mean_estimate": None if name == "unseen" else float(value[chosen].mean()),
                        "pass_rate": float(measured.mean()),
                        "low": float(np.quantile(measured, 0.1)),
                        "high": float(np.quantile(measured, 0.9)),
                        "mixed": float(mixed_chance(measured, 8).mean()),
                    }
                )
        return rows


def measure(
    learner: LanguageModelLearner,
    state: dict[str, Any] | None,
    *,
    rollouts: int | None = 64,
    on_chunk: Callable[[int], None] = lambda _: None,
) -> Measured:
    """Pass rates of every training prompt with the run's own sampling settings.

    Sampled ``rollouts`` times, with seeds from a separate stream, so that nothing of the run is
    sampled again; or computed.

    Args:
        learner: with the policy's weights.
        state: a checkpoint's, for the run's estimates; None for a model alone.
        rollouts: of each prompt; None: exact rates, from the log-probs of the answer that passes.
        on_chunk: gets the number of prompts just done.

    Raises InputError if ``rollouts`` is below 1, and for a task that has no exact pass rates.
    """
    if rollouts is not None and rollouts < 1:
        raise InputError(f"rollouts must be at least 1, got {rollouts}")
    config: TrainConfig = learner.config
    prompts = learner.task.train
    pool = np.arange(len(prompts))
    estimate = attempts = lengths = None
    if state is not None:
        loop = Loop(learner, config.loop, seed=config.seed, estimator=config.estimator)
        loop.load_state_dict(state)
        belief = loop.estimator.estimate(pool)
        estimate = np.where(belief.attempts > 0, belief.pass_rate, np.nan)
        attempts = belief.attempts
        lengths = np.full(pool.size, np.nan) if loop.lengths is None else loop.lengths.own(pool)
    rates = []
    for chosen in np.array_split(pool, max(1, -(-pool.size * (rollouts or 1) // CHUNK))):
        if rollouts is None:
            answers = learner.exact_answers([prompts[int(i)] for i in chosen])
            log_rates = exact_log_rates(learner.model, answers, config.sampling.temperature)
            rates.append(np.exp(log_rates))
        else:
            rates.append(learner.measure(chosen, rollouts) / rollouts)
        on_chunk(chosen.size)
    return Measured(
        texts=tuple(prompt.text for prompt in prompts),
        levels=tuple(prompt.level for prompt in prompts),
        pass_rate=np.concatenate(rates),
        rollouts=rollouts,
        estimate=estimate,
        attempts=attempts,
        lengths=lengths,
    )


def check_new(path: Path) -> None:
    """Raise InputError for a file that exists: nothing is overwritten."""
    if path.exists():
        raise InputError(f"{path} exists; choose another --out")


def write(measured: Measured, path: Path) -> None:
    """Write the table of ``to_csv``, completely or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, measured.to_csv())
