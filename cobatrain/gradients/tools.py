"""What every part of a measurement works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from torch import nn

from cobatrain.gradients.chosen import Chosen
from cobatrain.gradients.decision import Decision
from cobatrain.gradients.ledger import Ledger
from cobatrain.gradients.options import GradientOptions
from cobatrain.gradients.per_prompt import trained_parameters
from cobatrain.learner import LanguageModelLearner
from cobatrain.sketch import CountSketch

OnDone = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Tools:
    """A learner, what was decided of it, and what the parts of its measurement share.

    Attributes:
        learner: has the policy.
        decision: what is measured.
        ledger: keeps what is found.
        on_done: gets the name of a phase, what is done of it, and its total.
    """

    learner: LanguageModelLearner
    decision: Decision
    ledger: Ledger
    on_done: OnDone = lambda what, done, total: None

    @property
    def model(self) -> nn.Module:
        """The policy."""
        return self.learner.model

    @property
    def temperature(self) -> float:
        """Of sampling."""
        return self.learner.config.sampling.temperature

    @property
    def options(self) -> GradientOptions:
        """As decided."""
        return self.decision.options

    @property
    def chosen(self) -> Chosen:
        """The prompts."""
        return self.decision.chosen

    @cached_property
    def sketch(self) -> CountSketch:
        """Of gradients; of the parameters that are trained when it is first asked for."""
        sizes = [parameter.numel() for parameter in trained_parameters(self.model)]
        return CountSketch(sizes, self.options.dim, self.options.seed)

    @cached_property
    def second(self) -> CountSketch:
        """An independent one, to know the error."""
        return CountSketch(self.sketch.sizes, self.sketch.dim, self.sketch.seed + 1)
