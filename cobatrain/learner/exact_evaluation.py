"""Accuracy of the policy without sampling noise, where only one response of a prompt passes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cobasim.arrays import FloatArray
from cobatrain.config import TrainConfig
from cobatrain.evaluation import summarise_exact
from cobatrain.exact import ExactAnswers, check_exact, exact_log_rates
from cobatrain.learner.heldout import evaluated
from cobatrain.parallel import Parallel
from cobatrain.tasks import Prompt, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class ExactEvaluation:
    """True pass rates of the held-out prompts, and on request of the pool, at any time of a run.

    Args:
        task: its held-out sets, and its pool.
        config: the run.
        answers: gives the passing responses of prompts.
        parallel: the other ranks, which share the prompts; calls are then collective.

    Attributes:
        pool_rates: (P,) true pass rates of the pool when it was last called; None: not computed.

    Raises InputError for a task or an answer of which no true pass rate can be computed.
    """

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        answers: Callable[[Sequence[Prompt]], ExactAnswers],
        parallel: Parallel | None = None,
    ) -> None:
        self._parallel = parallel
        check_exact(task)
        self._temperature = config.sampling.temperature
        self._samples = config.evaluation.samples
        self._sets: dict[str, tuple[list[str], ExactAnswers]] = {}
        for name, prompts in sorted(task.heldout.items()):
            picked = evaluated(len(prompts), config.evaluation.prompts)
            chosen = [prompts[int(i)] for i in picked]
            self._sets[name] = [prompt.level for prompt in chosen], answers(chosen)
        self._pool = answers(task.train) if config.evaluation.pool else None
        self.pool_rates: FloatArray | None = None

    def __call__(self, model: PreTrainedModel) -> dict[str, Any]:
        """Scores of every held-out set; "heldout" is their mean accuracy.

        With the pool: its mean true pass rate, as "pool".
        """
        began = time.perf_counter()
        sets = {
            name: summarise_exact(
                self._rates(model, answers),
                levels,
                at=[self._samples],
            )
            for name, (levels, answers) in self._sets.items()
        }
        scores: dict[str, Any] = {
            "heldout": float(np.mean([row["accuracy"] for row in sets.values()])),
            "sets": sets,
        }
        if self._pool is not None:
            self.pool_rates = self._rates(model, self._pool)
            scores["pool"] = float(self.pool_rates.mean())
        return scores | {"seconds": time.perf_counter() - began}

    def _rates(self, model: PreTrainedModel, answers: ExactAnswers) -> FloatArray:
        """(m,)"""
        rates: FloatArray = np.exp(
            exact_log_rates(model, answers, self._temperature, self._parallel)
        )
        return rates
