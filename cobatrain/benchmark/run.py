"""The measurement itself: timed training steps, timed checkpoints, direct generation."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cobasim.allocation import Allocator, make_allocator
from cobasim.errors import InputError
from cobasim.loop import Loop
from cobasim.records import RunWriter
from cobatrain.benchmark.bare import bare_seconds, caught_batches
from cobatrain.benchmark.clock import now
from cobatrain.benchmark.direct import direct_ratio
from cobatrain.benchmark.overheads import Overheads, StepSeconds
from cobatrain.benchmark.peak_memory import PeakMemory
from cobatrain.config import TrainConfig
from cobatrain.learner import SAMPLES, LanguageModelLearner, SampleFile
from cobatrain.parallel import save_checkpoint, whole_weights
from cobatrain.trainer import open_learner, run_header

ENDLESS = 10**9
BELIEFS = 3  # stream of the drawn pass rates
SAVES = 3


def measure(
    config: TrainConfig, *, steps: int = 15, warm_up: int = 3, pairs: int = 15
) -> Overheads:
    """Run ``warm_up`` + ``steps`` training steps, then ``pairs`` direct comparisons.

    Raises InputError and EngineError as a training run does. Nothing is kept on disk.
    """
    if min(steps, warm_up, pairs) < 1:
        raise InputError("steps, warm_up and pairs must each be at least 1")
    with (
        tempfile.TemporaryDirectory(prefix="cobatrain-benchmark-") as scratch,
        open_learner(config) as (learner, _),
    ):
        folder = Path(scratch) / "run"
        endless = config.loop.model_copy(update={"steps": ENDLESS, "eval_every": ENDLESS})
        loop = Loop(learner, endless, seed=config.seed, estimator=config.estimator)
        _draw_beliefs(loop, config)
        allocator = make_allocator(config.allocator, **config.parameters)
        timed = _timed_steps(learner, loop, allocator, folder, warm_up + steps)[warm_up:]
        checkpoint = statistics.median(_timed_saves(learner, loop, folder))
        ratio = direct_ratio(learner, loop, allocator, pairs)
    if not any(step.model for step in timed):
        raise InputError(
            "no group was mixed, so the model was never trained and there is nothing to measure: "
            "give a model that solves some of the prompts"
        )
    return Overheads.summarise(config, timed, checkpoint, ratio)


def _draw_beliefs(loop: Loop, config: TrainConfig) -> None:
    """One visit of every prompt, as if ``total / batch`` rollouts had been seen of each."""
    rng = np.random.default_rng([config.seed, BELIEFS])
    pool = np.arange(loop.learner.num_prompts)
    budgets = np.full(pool.size, max(2, config.loop.total_budget // config.loop.batch_size))
    loop.estimator.update(pool, budgets, rng.binomial(budgets, rng.random(pool.size)))


def _timed_steps(
    learner: LanguageModelLearner, loop: Loop, allocator: Allocator, folder: Path, count: int
) -> list[StepSeconds]:
    """Training steps with everything that a run writes for them; after each, the bare model."""
    timed, peak = [], PeakMemory(learner.model.device)
    with (
        RunWriter(folder, run_header(learner.config)) as writer,
        _model_seconds(learner) as spent,
        caught_batches(learner) as batches,
    ):
        learner.on_samples = SampleFile(folder / SAMPLES, keep=0).append
        for _ in range(count):
            before = spent[0]
            peak.restart()
            began = time.perf_counter()
            record = loop.advance(allocator)
            writer.append(record)
            whole = time.perf_counter() - began
            model, highest = spent[0] - before, peak.bytes()
            timed.append(
                StepSeconds(
                    whole=whole,
                    generate=record.learner["seconds_generate"],
                    model=model,
                    allocate=1e-3 * (record.allocate_ms or 0.0),
                    sync=record.learner["seconds_sync"],
                    reward=record.learner["seconds_reward"],
                    tokens=record.learner["tokens"],
                    train=record.learner["seconds_train"],
                    tokens_trained=record.learner["tokens_trained"],
                    bare=bare_seconds(learner, batches.pop()),
                    peak_bytes=highest,
                )
            )
    return timed


def _timed_saves(learner: LanguageModelLearner, loop: Loop, folder: Path) -> list[float]:
    """Seconds of a few checkpoints."""
    saves = []
    for number in range(SAVES):
        began = time.perf_counter()
        meta = {"config": learner.config.model_dump(mode="json"), "task": "benchmark"}
        weights = whole_weights(learner.model)
        save_checkpoint(folder, number, weights, loop.state_dict(), meta)
        saves.append(time.perf_counter() - began)
    return saves


@contextmanager
def _model_seconds(learner: LanguageModelLearner) -> Iterator[list[float]]:
    """[seconds] spent so far in the training model's forward and in backward."""
    spent, began = [0.0], [0.0]
    tensor: Any = torch.Tensor
    backward = tensor.backward

    def enter(*_: Any) -> None:
        began[0] = now()

    def leave(*_: Any) -> None:
        spent[0] += now() - began[0]

    def timed(self: torch.Tensor, *arguments: Any, **options: Any) -> None:
        started = now()
        backward(self, *arguments, **options)
        spent[0] += now() - started

    hooks = [
        learner.model.register_forward_pre_hook(enter),
        learner.model.register_forward_hook(leave),
    ]
    tensor.backward = timed
    try:
        yield spent
    finally:
        tensor.backward = backward
        for hook in hooks:
            hook.remove()
