"""The figures of the benchmark, and their limits."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from cobatrain.config import TrainConfig

LIMITS = {"allocation": 0.001, "weight sync": 0.1, "all overheads": 0.1, "generate / direct": 1.05}


@dataclass(frozen=True)
class StepSeconds:
    """Seconds of one step by phase, and the tokens that were sampled in it."""

    whole: float
    generate: float
    model: float
    """Forward and backward."""
    allocate: float
    sync: float
    reward: float
    tokens: float
    train: float
    """The whole update: advantages, micro-batches, forward, loss, backward, optimiser."""
    tokens_trained: float
    """Sampled tokens that were run through the model in the update."""
    bare: float
    """Forward and backward over the same rollouts alone (``bare_seconds``); 0: no signal."""
    peak_bytes: int | None

    @property
    def rest(self) -> float:
        """Time outside the named phases."""
        return self.whole - self.generate - self.model - self.allocate - self.sync - self.reward


class Figure(NamedTuple):
    """One line of the benchmark's table."""

    name: str
    ms: float | None
    figure: str
    limit: float | None
    met: bool | None


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
    """Advantages, padding, loss, optimiser, records, Python: everything not named above."""
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
    sampled_per_second: float
    """Tokens of responses that generation makes in a second."""
    trained_per_second: float
    """Sampled tokens of rollouts with signal that an update takes in a second."""
    update_ratio: float | None
    """An update over a bare forward and backward of the same rollouts, measured after it. Below 1
    where a prompt is run once for its rollouts. None: no step had signal."""
    peak_gib: float | None
    """Of the trainer's process, the highest of all steps; see ``PeakMemory``."""

    @classmethod
    def summarise(
        cls,
        config: TrainConfig,
        steps: Sequence[StepSeconds],
        checkpoint: float,
        direct_ratio: float | None,
    ) -> Overheads:
        """The medians of timed steps; ``checkpoint`` is the seconds of one save."""
        each = checkpoint / config.checkpoint.every
        peaks = [step.peak_bytes for step in steps if step.peak_bytes is not None]
        ratios = [step.train / step.bare for step in steps if step.bare > 0.0]

        def ms(value: Callable[[StepSeconds], float]) -> float:
            return 1e3 * statistics.median(map(value, steps))

        def share(value: Callable[[StepSeconds], float]) -> float:
            return statistics.median(value(step) / (step.whole + each) for step in steps)

        return cls(
            engine=config.engine.name,
            subprocess=config.engine.subprocess,
            allocator=config.allocator,
            steps=len(steps),
            prompts=config.loop.batch_size,
            rollouts=config.loop.total_budget,
            tokens=statistics.median(step.tokens for step in steps),
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
            direct_ratio=direct_ratio,
            sampled_per_second=statistics.median(step.tokens / step.generate for step in steps),
            trained_per_second=statistics.median(
                step.tokens_trained / step.train for step in steps
            ),
            update_ratio=statistics.median(ratios) if ratios else None,
            peak_gib=max(peaks) / 2**30 if peaks else None,
        )

    def rows(self) -> list[Figure]:
        """The lines of the table, in reading order."""

        def share(name: str, ms: float, value: float) -> Figure:
            limit = LIMITS.get(name)
            met = None if limit is None else value < limit
            return Figure(name, ms, f"{100 * value:.3g} %", limit, met)

        step = self.step_ms + self.checkpoint_ms_per_step
        model = self.forward_backward_ms
        figures = [
            share("generation", self.generate_ms, self.generate_ms / step),
            share("forward and backward", model, model / step),
            share("allocation", self.allocate_ms, self.allocation_share),
            share("weight sync", self.sync_ms, self.sync_share),
            share("reward", self.reward_ms, self.reward_ms / step),
            share("checkpoint", self.checkpoint_ms_per_step, self.checkpoint_ms_per_step / step),
            share("the rest", self.rest_ms, self.rest_ms / step),
            share("all overheads", self.overhead_share * step, self.overhead_share),
        ]
        if self.direct_ratio is not None:
            limit, ratio = LIMITS["generate / direct"], self.direct_ratio
            figures.append(
                Figure("generate / direct", None, f"{ratio:.3f} x", limit, ratio <= limit)
            )
        if self.update_ratio is not None:
            figures.append(
                Figure("update / bare model", None, f"{self.update_ratio:.3f} x", None, None)
            )
        figures += [
            Figure("tokens sampled", None, f"{self.sampled_per_second:,.0f} /s", None, None),
            Figure("tokens trained on", None, f"{self.trained_per_second:,.0f} /s", None, None),
        ]
        if self.peak_gib is not None:
            figures.append(Figure("peak memory", None, f"{self.peak_gib:.2f} GiB", None, None))
        return figures

    def to_json(self) -> dict[str, Any]:
        """Plain values, with their limits."""
        return {**asdict(self), "limits": LIMITS}
