"""What the loop asks of a learner: a small required part, and optional abilities."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from cobasim.allocation import Kept
from cobasim.arrays import FloatArray, IntArray
from cobasim.gradients import GradientParts


class Learner(Protocol):
    """What acts and learns. Prompts are indices 0 .. num_prompts - 1 into its pool."""

    num_prompts: int

    def rollout(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """Sample ``budgets[i]`` rollouts of ``prompts[i]``; return how many passed, (m,)."""

    def update(self) -> dict[str, float]:
        """One policy update from the last rollouts; return numbers worth recording."""

    def evaluate(self) -> dict[str, Any]:
        """Accuracies by name ("heldout", ...); never seen by an allocator. Changes nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes in a run."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``."""


@runtime_checkable
class KnowsTruth(Protocol):
    """A learner whose true pass rates can be asked for: a simulation."""

    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """True pass rates (m,). Changes nothing."""


@runtime_checkable
class EvaluatesPool(Protocol):
    """A learner whose evaluations may compute the true pass rates of its pool."""

    def evaluated_pass_rates(self) -> FloatArray | None:
        """True pass rates (P,) that the last ``evaluate`` computed; None: it did not.

        Changes nothing. No allocator sees them.
        """


@runtime_checkable
class SamplesInRounds(Protocol):
    """A learner that can sample more before it learns."""

    def rollout_more(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """As ``rollout``, but these rollouts join those made since the last update."""


@runtime_checkable
class TrainsOnPart(Protocol):
    """A learner that can leave some of its rollouts out of the update."""

    def keep(self, prompts: IntArray, kept: Kept) -> None:
        """Let the next update see only this part (m,) of the rollouts of ``prompts`` (m,)."""


@runtime_checkable
class WeighsAsTold(Protocol):
    """A learner whose loss can weigh prompts by other budgets than those spent."""

    def weigh(self, prompts: IntArray, budgets: IntArray) -> None:
        """Let the next update weigh ``prompts`` (m,) as if ``budgets`` (m,) had been spent."""


@runtime_checkable
class KnowsFeatures(Protocol):
    """A learner that has a feature vector of every prompt, such as an embedding."""

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """Features (m, d) that do not change in a run and may be shown to an allocator."""


@runtime_checkable
class CountsTokens(Protocol):
    """A learner that counts the tokens of its responses, if ``counts_tokens`` is true.

    It is false where all responses are equally long, so that there is nothing to learn.
    """

    counts_tokens: bool

    def response_tokens(self, prompts: IntArray) -> FloatArray:
        """Tokens (m,) of all responses to prompts since the last update, in any one unit.

        Changes nothing.
        """


@runtime_checkable
class KnowsLengths(Protocol):
    """A learner whose true response lengths can be asked for: a simulation."""

    def prompt_lengths(self, prompts: IntArray) -> FloatArray:
        """Mean response lengths (m,), in the unit of the tokens. Changes nothing."""


@runtime_checkable
class KnowsGradients(Protocol):
    """A learner that knows how strongly a prompt's logit depends on its parameters."""

    def gradient_norms(self, prompts: IntArray) -> FloatArray:
        """Norms (m,) of the gradients of prompts' logits, as of now."""


@runtime_checkable
class KnowsParts(Protocol):
    """A learner that knows what its gradients are made of."""

    def gradient_parts(self) -> GradientParts | None:
        """The parts as of now; None while they are not known. Changes nothing."""
