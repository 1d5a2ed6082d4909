"""What the trainer costs beside generation and the model itself, measured in one run.

Real steps of the training loop, records and samples included, with the engine, task and model of
a config. Every prompt is given a drawn pass rate beforehand, so that allocation meets what it
meets after the first epoch: known prompts and unequal budgets. Held-out evaluation is left out;
a checkpoint is timed by itself and charged at the rate at which the config saves.

Departure: forward and backward are timed by hooks around the model's ``forward`` and around
``Tensor.backward``. The loss between the two (softmax, ratio, weights), padding, advantages,
gradient clipping and the optimiser's step all count as overhead here.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cobasim.allocation import make_allocator
from cobasim.errors import InputError
from cobasim.loop import Loop
from cobasim.records import RunWriter
from cobatrain.config import TrainConfig
from cobatrain.engines import HfEngine, Rollouts, VllmEngine, sample
from cobatrain.learner import LanguageModelLearner
from cobatrain.parallel.checkpoint import save_checkpoint, whole_weights
from cobatrain.trainer import SAMPLES, SampleFile, open_learner, run_header

ENDLESS = 10**9
BELIEFS = 3  # stream of the drawn pass rates
LIMITS = {"allocation": 0.001, "weight sync": 0.1, "all overheads": 0.1, "generate / direct": 1.05}


@dataclass(frozen=True)
class Overheads:
    """Medians over steps, milliseconds; shares are medians of each step's own share."""

    engine: str
    subprocess: bool
    allocator: str
    steps: int
    prompts: int
    rollouts: int
    """Of one step."""
    tokens: float
    """Sampled in one step, median."""
    step_ms: float
    generate_ms: float
    forward_backward_ms: float
    allocate_ms: float
    sync_ms: float
    reward_ms: float
    rest_ms: float
    """Advantages, padding, loss, optimiser, records, Python: what nothing above names."""
    checkpoint_ms: float
    checkpoint_ms_per_step: float
    """``checkpoint_ms`` over ``checkpoint.every``: what a step is charged."""
    allocation_share: float
    sync_share: float
    overhead_share: float
    """Everything but generation, forward and backward, a share of the step."""
    direct_ratio: float | None
    """Generation by the learner over the engine's library called directly with the same requests:
    median over pairs measured one after the other. None: the engine runs in its own process."""

    def rows(self) -> list[tuple[str, float | None, str, float | None, bool | None]]:
        """(what, milliseconds, figure, limit, met) in reading order."""

        def share(
            name: str, ms: float, value: float
        ) -> tuple[str, float | None, str, float | None, bool | None]:
            limit = LIMITS.get(name)
            return name, ms, f"{100 * value:.3g} %", limit, None if limit is None else value < limit

        step = self.step_ms + self.checkpoint_ms_per_step
        found = [
            share("generation", self.generate_ms, self.generate_ms / step),
            share(
                "forward and backward", self.forward_backward_ms, self.forward_backward_ms / step
            ),
            share("allocation", self.allocate_ms, self.allocation_share),
            share("weight sync", self.sync_ms, self.sync_share),
            share("reward", self.reward_ms, self.reward_ms / step),
            share("checkpoint", self.checkpoint_ms_per_step, self.checkpoint_ms_per_step / step),
            share("the rest", self.rest_ms, self.rest_ms / step),
            share("all overheads", self.overhead_share * step, self.overhead_share),
        ]
        if self.direct_ratio is not None:
            limit = LIMITS["generate / direct"]
            ratio = self.direct_ratio
            found.append(("generate / direct", None, f"{ratio:.3f} x", limit, ratio <= limit))
        return found

    def to_json(self) -> dict[str, Any]:
        """Plain values, with the limits that they are held against."""
        return {**asdict(self), "limits": LIMITS}


@dataclass(frozen=True)
class _Step:
    """Seconds of one step."""

    whole: float
    generate: float
    model: float
    allocate: float
    sync: float
    reward: float
    tokens: float

    @property
    def rest(self) -> float:
        return self.whole - self.generate - self.model - self.allocate - self.sync - self.reward


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
        found = []
        with RunWriter(folder, run_header(config)) as writer, _model_seconds(learner) as seconds:
            learner.on_samples = SampleFile(folder / SAMPLES, keep=0).append
            for number in range(warm_up + steps):
                before = seconds[0]
                began = time.perf_counter()
                record = loop.advance(allocator)
                writer.append(record)
                whole = time.perf_counter() - began
                if number >= warm_up:
                    learnt = record.learner
                    found.append(
                        _Step(
                            whole=whole,
                            generate=learnt["seconds_generate"],
                            model=seconds[0] - before,
                            allocate=1e-3 * (record.allocate_ms or 0.0),
                            sync=learnt["seconds_sync"],
                            reward=learnt["seconds_reward"],
                            tokens=learnt["tokens"],
                        )
                    )
        saves = []
        for number in range(3):
            began = time.perf_counter()
            meta = {"config": config.model_dump(mode="json"), "task": "benchmark"}
            weights = whole_weights(learner.model)
            save_checkpoint(folder, number, weights, loop.state_dict(), meta)
            saves.append(time.perf_counter() - began)
        ratio = _direct_ratio(learner, loop, allocator, pairs)
    if not any(step.model for step in found):
        raise InputError(
            "no group had both outcomes, so the model was never trained and there is nothing to "
            "measure: take a model that solves some of the prompts"
        )
    checkpoint = statistics.median(saves)
    each = checkpoint / config.checkpoint.every

    def ms(value: Callable[[_Step], float]) -> float:
        return 1e3 * statistics.median(map(value, found))

    def share(value: Callable[[_Step], float]) -> float:
        return statistics.median(value(step) / (step.whole + each) for step in found)

    return Overheads(
        engine=config.engine.name,
        subprocess=config.engine.subprocess,
        allocator=config.allocator,
        steps=steps,
        prompts=config.loop.batch_size,
        rollouts=config.loop.total_budget,
        tokens=statistics.median(step.tokens for step in found),
        step_ms=ms(lambda step: step.whole),
        generate_ms=ms(lambda step: step.generate),
        forward_backward_ms=ms(lambda step: step.model),
        allocate_ms=ms(lambda step: step.allocate),
        sync_ms=ms(lambda step: step.sync),
        reward_ms=ms(lambda step: step.reward),
        rest_ms=ms(lambda step: step.rest),
        checkpoint_ms=1e3 * checkpoint,
        checkpoint_ms_per_step=1e3 * each,
        allocation_share=share(lambda step: step.allocate),
        sync_share=share(lambda step: step.sync),
        overhead_share=share(lambda step: step.whole + each - step.generate - step.model),
        direct_ratio=ratio,
    )


def _draw_beliefs(loop: Loop, config: TrainConfig) -> None:
    """One visit of every prompt, as if ``total / batch`` rollouts had been seen of each."""
    rng = np.random.default_rng([config.seed, BELIEFS])
    pool = np.arange(loop.learner.num_prompts)
    budgets = np.full(pool.size, max(2, config.loop.total_budget // config.loop.batch_size))
    loop.estimator.update(pool, budgets, rng.binomial(budgets, rng.random(pool.size)))


@contextmanager
def _model_seconds(learner: LanguageModelLearner) -> Iterator[list[float]]:
    """[seconds] spent so far in the training model's forward and in backward."""
    spent, began = [0.0], [0.0]
    tensor: Any = torch.Tensor
    backward = tensor.backward

    def enter(*_: Any) -> None:
        began[0] = _now()

    def leave(*_: Any) -> None:
        spent[0] += _now() - began[0]

    def timed(self: torch.Tensor, *arguments: Any, **options: Any) -> None:
        started = _now()
        backward(self, *arguments, **options)
        spent[0] += _now() - started

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


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


def _direct_ratio(
    learner: LanguageModelLearner, loop: Loop, allocator: Any, pairs: int
) -> float | None:
    """Seconds of generation as the learner does it over those of the library alone."""
    engine = learner.engine
    if isinstance(engine, VllmEngine):
        capture, direct = _vllm_calls(engine, learner)
    elif isinstance(engine, HfEngine):
        capture, direct = _transformers_calls(engine, learner)
    else:
        return None
    obs = loop.observe()
    prompts = obs.prompts
    assert prompts is not None
    budgets = allocator(obs, loop.limits)
    capture(lambda: learner.generate(prompts, budgets))
    ratios = []
    for number in range(pairs + 1):
        times = {}
        # in turn, and by turns first, so that a change of the machine's speed meets both
        order = (True, False) if number % 2 else (False, True)
        for ours in order:
            engine.sync(learner.model)  # drops cached prefixes, as before every step
            began = time.perf_counter()
            if ours:
                learner.generate(prompts, budgets)
            else:
                direct()
            times[ours] = time.perf_counter() - began
        if number:  # the first pair warms up
            ratios.append(times[True] / times[False])
    return statistics.median(ratios)


Capture = Callable[[Callable[[], Rollouts]], None]


def _vllm_calls(
    engine: VllmEngine, learner: LanguageModelLearner
) -> tuple[Capture, Callable[[], object]]:
    """Catch the requests that the engine makes of rollouts; call ``vllm.LLM.generate`` on them."""
    llm = engine.llm
    caught: list[Any] = []

    def capture(act: Callable[[], Rollouts]) -> None:
        real = llm.generate

        def catch(requests: Any, params: Any, **options: Any) -> Any:
            caught[:] = [requests, params, options]
            return real(requests, params, **options)

        llm.generate = catch
        try:
            act()
        finally:
            del llm.generate

    def direct() -> object:
        with engine.compilation():  # eager, as in the engine: a setting, not work
            return llm.generate(caught[0], caught[1], **caught[2])

    return capture, direct


def _transformers_calls(
    engine: HfEngine, learner: LanguageModelLearner
) -> tuple[Capture, Callable[[], object]]:
    """Catch the engine's arguments; call its sampling loop on them."""
    caught: list[Any] = []

    def capture(act: Callable[[], Rollouts]) -> None:
        open_engine: Any = engine
        real = engine.generate

        def catch(*arguments: Any) -> Rollouts:
            caught[:] = arguments
            return real(*arguments)

        open_engine.generate = catch
        try:
            act()
        finally:
            del open_engine.generate

    def direct() -> object:
        return sample(
            engine.model,
            *caught,
            end_ids=engine.end_ids,
            max_num_seqs=learner.config.engine.max_num_seqs,
        )

    return capture, direct
