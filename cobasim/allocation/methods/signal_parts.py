"""``signal`` with a ratio that follows what the run's own gradients are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cobasim.allocation.base import Allocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.methods.signal import Signal
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter, parameter_of
from cobasim.arrays import IntArray

MOST = 1e3  # a larger ratio changes no budget


@dataclass(frozen=True, kw_only=True)
class SignalParts(Allocator):
    """Budgets as ``signal`` makes them, with the ratio of own to noise measured during the run.

    A step's gradient is sum_i w_i (u_i phi_i + e_i), with u_i the move of group i, e_i the noise of
    its rollouts (variance v s_i / n_i), and phi_i the gradient of its prompt's logit, of which H is
    shared with other prompts, on average, and O its own (``GradientParts``). What another prompt
    gains from a step of length 1 along it is

        H S / sqrt(H S^2 + O sum_i w_i^2 u_i^2 + v sum_i w_i^2 s_i / n_i),   S = sum_i w_i u_i,

    which this maximises with each sum at its expectation. It grows with S^2 / V and with nothing
    else, where V = sum_i w_i^2 (s_i / n_i + O / v u_i^2): this is ``signal`` with ratio = O / v,
    whatever the shared part is. H says how much there is to gain, not by which budgets.

    The limits, loss weighted per rollout: for O / v = 0 V hardly depends on the budgets, and
    rollouts go where a rollout moves most, up to ``high``. For large O / v budgets make all w_i u_i
    alike, the largest effective number of prompts: nothing is concentrated on moves that are large
    already.

    Approximations: prompts are exchangeable but for their pass rates; a step is as long whatever
    its gradient's length (clipping, Adam); what is learned on a prompt alone counts for nothing.

    The ratio starts at ``ratio``, which counts as much as ``trust`` steps of measurement. A learner
    that does not measure leaves it there.
    """

    source: ClassVar[str] = "this project, docs/signal.md"
    estimator: ClassVar[str] = Signal.estimator
    needs: ClassVar[frozenset[str]] = Signal.needs | {"parts"}

    ratio: float = parameter_of(Signal, "ratio")
    trust: float = parameter(10.0, "steps that the first ratio counts for", at_least=0)
    weighting: str | None = parameter_of(Signal, "weighting")
    update: str = parameter_of(Signal, "update")

    def ratio_now(self, obs: Observation) -> float:
        """The ratio in use: ``ratio`` and the measured one, weighed by ``trust`` and steps."""
        if obs.parts is None or obs.parts.steps == 0:
            return self.ratio
        share = obs.parts.steps / (obs.parts.steps + self.trust)
        return (1.0 - share) * self.ratio + share * min(obs.parts.ratio, MOST)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        division = Signal(ratio=self.ratio_now(obs), weighting=self.weighting, update=self.update)
        return division(obs, limits)
