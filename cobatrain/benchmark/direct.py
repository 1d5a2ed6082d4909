"""What the learner adds to generation, against the same requests to the engine's library."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from cobasim.allocation import Allocator
from cobasim.loop import Loop
from cobatrain.engines import HfEngine, Rollouts, VllmEngine, sample
from cobatrain.learner import LanguageModelLearner

Capture = Callable[[Callable[[], Rollouts]], None]


def direct_ratio(
    learner: LanguageModelLearner, loop: Loop, allocator: Allocator, pairs: int
) -> float | None:
    """Seconds of generation as the learner does it over those of the engine's library alone.

    The median over ``pairs`` of both, one after the other. None if the engine has a process of its
    own, where its library cannot be called directly.
    """
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
        # alternating which comes first, so that a change of the machine's speed affects both
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
