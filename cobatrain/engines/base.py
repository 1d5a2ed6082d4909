"""What every rollout engine promises, and the part that all engines share.

An engine turns prompts and budgets into token rollouts. It holds its own copy of the policy's
weights, which `Engine.sync` overwrites after every update of the training model.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

from cobasim.arrays import IntArray
from cobatrain.engines.config import EngineConfig, SamplingConfig
from cobatrain.engines.requests import Request, checked_request
from cobatrain.engines.rollouts import Rollouts

if TYPE_CHECKING:
    import torch

Weights: TypeAlias = "torch.nn.Module | Mapping[str, torch.Tensor]"
"""A training model, or its parameters by checkpoint name."""

CLOSED = "the engine is closed; make a new one with make_engine"


class EngineError(RuntimeError):
    """An engine could not start, failed, hung or died; the message says which and what to do."""


class Engine(Protocol):
    """Prompts and budgets -> rollouts, with the weights of the last sync."""

    shares_memory: bool
    """Whether the engine takes GPU memory from what torch keeps for the trainer in this process."""

    def generate(
        self,
        prompt_tokens: Sequence[Sequence[int]],
        budgets: IntArray,
        seeds: IntArray,
        sampling: SamplingConfig,
        first: IntArray | None = None,
    ) -> Rollouts:
        """Sample exactly budgets[i] completions of prompt i.

        Args:
            prompt_tokens: m prompts, token ids, none empty.
            budgets: (m,) rollouts per prompt, >= 0.
            seeds: (m,) seed of each prompt, >= 0. Equal seeds, prompts and weights give equal
                rollouts, and rollout j does not depend on the budget. Not used if the engine's
                config says `seeded: false`.
            sampling: how to sample.
            first: (m,) the number, within its group, of each prompt's first rollout here, where
                several engines share a group; None: 0. Rollout j of the call is then number
                first[i] + j of the group, with that number's outcome.

        Raises:
            ValueError: bad shapes or values, or a prompt that leaves no room in max_model_len.
            EngineError: the engine failed or died.
        """
        ...

    def sync(self, model: Weights) -> float:
        """Overwrite the engine's weights, forget every cached prefix; return the seconds taken.

        Takes the training model or its parameters by checkpoint name. Sharded (FSDP2) parameters
        are gathered, so every rank must call it.
        """
        ...

    def sleep(self) -> None:
        """Free memory until the next call, as the config's sleep_level says."""
        ...

    def close(self) -> None:
        """End the engine and its processes; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class BaseEngine(ABC):
    """What engines share: requests are checked here, and leaving the `with` block closes."""

    shares_memory = False

    def __init__(self, config: EngineConfig) -> None:
        self.config = config

    def generate(
        self,
        prompt_tokens: Sequence[Sequence[int]],
        budgets: IntArray,
        seeds: IntArray,
        sampling: SamplingConfig,
        first: IntArray | None = None,
    ) -> Rollouts:
        """See `Engine.generate`."""
        self.check_open()
        return self.answer(
            checked_request(
                prompt_tokens, budgets, seeds, sampling, self.config.max_model_len, first
            )
        )

    @abstractmethod
    def answer(self, request: Request) -> Rollouts:
        """The rollouts of a checked request."""

    @abstractmethod
    def check_open(self) -> None:
        """Raise EngineError if the engine is closed or broken."""

    @abstractmethod
    def close(self) -> None:
        """End the engine; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
