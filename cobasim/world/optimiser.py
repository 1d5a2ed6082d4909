"""SGD and Adam for a simulated policy's shared and own parameters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cobasim.arrays import FloatArray, IntArray

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True, slots=True)
class GradientStep:
    """A clipped gradient on its way into the parameters.

    Attributes:
        number: of the step, from 1.
        prompts: (m,) those with own parameters in it.
        shared: (d,) gradient of the shared parameters.
        own: (m,) of the own ones.
        length: norm of the whole gradient.
        pace: share of the learning rate: less than 1 while it warms up.
    """

    number: int
    prompts: IntArray
    shared: FloatArray
    own: FloatArray
    length: float
    pace: float = 1.0


class Optimiser:
    """Applies gradients to shared parameters (d,) and to the prompts' own parameters (P,).

    Own parameters share one second moment, so that their relative sizes (the weights of the loss)
    survive, and have no momentum, so that only visited prompts move.

    Args:
        kind: "adam" or "sgd".
        size: d.
        rate: learning rate.
        own_rate: learning rate of own parameters.
    """

    def __init__(self, kind: str, size: int, rate: float, own_rate: float) -> None:
        self.adam, self.rate, self.own_rate = kind == "adam", rate, own_rate
        self.moment = np.zeros(size)
        self.square = np.zeros(size)
        self.own_square = 0.0

    def step(self, parameters: FloatArray, own: FloatArray, step: GradientStep) -> None:
        """Move ``parameters`` (d,) and the ``own`` ones (P,) of the step's prompts in place."""
        prompts, gradient, own_gradient, number = step.prompts, step.shared, step.own, step.number
        rate, own_rate = step.pace * self.rate, step.pace * self.own_rate
        if not self.adam:
            parameters += rate * gradient
            own[prompts] += own_rate * own_gradient
            return
        self.moment += (1.0 - BETA1) * (gradient - self.moment)
        self.square += (1.0 - BETA2) * (gradient * gradient - self.square)
        root = np.sqrt(self.square / (1.0 - BETA2**number))
        parameters += rate * (self.moment / (1.0 - BETA1**number)) / (root + EPSILON)
        mean_square = float(own_gradient @ own_gradient) / own_gradient.size
        self.own_square += (1.0 - BETA2) * (mean_square - self.own_square)
        own_root = np.sqrt(self.own_square / (1.0 - BETA2**number))
        own[prompts] += own_rate * own_gradient / (own_root + EPSILON)

    def squared_step(self, variance: float, number: int) -> float:
        """Expected squared length, in learning rates, of the step that noise in a gradient makes.

        Args:
            variance: expected squared length of the noise in the gradient just applied.
            number: of the step, from 1.
        """
        if not self.adam:
            return variance
        total = float(self.square.sum()) / (1.0 - BETA2**number)
        return variance * self.square.size / max(total, EPSILON)


class ScaledAdam(Optimiser):
    """Adam whose second moments keep their proportions, in coordinates where these are equal.

    The step is rate * m / sqrt(v): m the mean of the gradients given, v that of the squared lengths
    of the whole gradients, both corrected for their start. Own parameters have no
    momentum, so that only visited prompts move: what momentum spreads over steps, they get at once.

    Args:
        size: d.
        rate: learning rate.
    """

    def __init__(self, size: int, rate: float) -> None:
        super().__init__("adam", size, rate, rate)

    def step(self, parameters: FloatArray, own: FloatArray, step: GradientStep) -> None:
        """As ``Optimiser.step``."""
        self.moment += (1.0 - BETA1) * (step.shared - self.moment)
        self.own_square += (1.0 - BETA2) * (step.length * step.length - self.own_square)
        root = float(np.sqrt(self.own_square / (1.0 - BETA2**step.number))) + EPSILON
        rate, own_rate = step.pace * self.rate, step.pace * self.own_rate
        parameters += (rate / (1.0 - BETA1**step.number) / root) * self.moment
        own[step.prompts] += (own_rate / root) * step.own

    def coast(self, parameters: FloatArray, number: int, pace: float = 1.0) -> None:
        """Move ``parameters`` (d,) as far as momentum would without further gradients.

        Args:
            parameters: moved in place.
            number: of the last step, from 1.
            pace: share of the learning rate in the steps that follow.
        """
        root = float(np.sqrt(self.own_square / (1.0 - BETA2**number))) + EPSILON
        parameters += (pace * self.rate * BETA1 / (1.0 - BETA1) / root) * self.moment
