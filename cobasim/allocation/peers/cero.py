"""CERO: prompts compete for rollouts across epochs through one price (arXiv 2606.05606)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cobasim.allocation.base import Allocator
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.solving import ValueFunction, solve, uniform_budgets
from cobasim.arrays import FloatArray, IntArray

FIRST = 1.0  # a0 = b0 of the prior
TINY_RATE = 1e-12


class CeroValue(ValueFunction):
    """U(z + n) - U(z) with U = 1 - exp(-k z), k = 4 lambda q / R, z units had before.

    Args:
        variance: (m,) q, the expected variance of an outcome.
        units: (m,) z.
        scale: 4 lambda / R.
    """

    def __init__(self, variance: FloatArray, units: FloatArray, scale: float) -> None:
        self.pass_rate = variance  # the batch's shape; the value knows no rate
        self.decay = np.maximum(scale * variance, TINY_RATE)
        self.log_first = np.log(-np.expm1(-self.decay)) - self.decay * units

    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """See the class."""
        n = np.asarray(rollouts, dtype=np.float64)
        first_gain = np.log(-np.expm1(-self.decay))
        with np.errstate(divide="ignore"):
            return np.asarray(self.log_first - first_gain + np.log(-np.expm1(-self.decay * n)))

    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """Linear in n."""
        return np.asarray(self.log_first - self.decay * np.asarray(rollouts))

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """Closed form."""
        return (self.log_first - log_gain) / self.decay, 1.0 / self.decay


@dataclass(frozen=True, kw_only=True)
class Cero(Allocator):
    """CERO: buy rollouts while their gain is above a price that holds for the whole run.

    The gain is that of U(q, z) = 1 - exp(-4 lambda q z / R), z the rollouts that a prompt has had
    in the run, R the mean budget, and q = a b / ((a+b) (a+b+1)) the expected variance under
    Beta(a, b), a <- a0 + fade (a - a0) + passes, b likewise. The price rises after a step that
    spent more than the total and falls after one that spent less. Prompts that would get fewer
    than the lower bound are skipped. Our choices: lambda, fade and rate (the paper's values were
    not known to us); a step spends within ``slack`` of the total; the first one is uniform.
    """

    source: ClassVar[str] = "CERO, arXiv 2606.05606"
    needs: ClassVar[frozenset[str]] = frozenset()
    exact: ClassVar[bool] = False
    scale: float = parameter(1.0, "lambda of the utility", above=0)
    fade: float = parameter(0.9, "rho: what a visit leaves of earlier evidence", at_least=0, at_most=1)  # fmt: skip  # noqa: E501
    rate: float = parameter(0.5, "nats of price for a step that spends nothing", at_least=0)
    slack: float = parameter(0.5, "how far a step may be from the total (share)", at_least=0, at_most=0.95)  # fmt: skip  # noqa: E501

    def memory(self, num_prompts: int) -> dict[str, NDArray[Any]]:
        """Posterior and units of each prompt, and the log price (NaN: none yet)."""
        return {
            "a": np.full(num_prompts, FIRST),
            "b": np.full(num_prompts, FIRST),
            "units": np.zeros(num_prompts),
            "log_price": np.full(1, np.nan),
        }

    def value(self, obs: Observation, limits: Limits) -> CeroValue:
        """The utility of the batch, beyond what its prompts have had."""
        size = obs.pass_rate.size
        if obs.memory is None or obs.prompts is None:
            (a, b), units = obs.beta(), np.zeros(size)
        else:
            a, b, units = (obs.memory[name][obs.prompts] for name in ("a", "b", "units"))
        variance = a * b / ((a + b) * (a + b + 1.0))
        return CeroValue(variance, units, 4.0 * self.scale * size / limits.total)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """See the class."""
        size = obs.pass_rate.size
        bounded = limits.for_batch(size)
        price = np.nan if obs.memory is None else float(obs.memory["log_price"][0])
        if np.isnan(price):
            return uniform_budgets(size, bounded)
        value = self.value(obs, limits)
        high = limits.high
        budgets = value.first_below(price, 0, high)
        least = int((1.0 - self.slack) * limits.total)
        most = min(int((1.0 + self.slack) * limits.total), size * high)
        spent = int(budgets.sum())
        if not least <= spent <= most:
            budgets = solve(value, Limits(min(max(spent, least), most), 0, high))
        budgets[budgets < limits.low] = 0
        if not budgets.any():
            budgets[np.argmax(value.log_first)] = max(limits.low, 1)
        return budgets

    def learn(self, obs: Observation, limits: Limits, budgets: IntArray, passes: IntArray) -> None:
        """Posterior, units and price after a step."""
        memory, prompts = obs.memory, obs.prompts
        assert memory is not None
        assert prompts is not None
        price = memory["log_price"]
        if np.isnan(price[0]):  # what the last rollout of the mean budget was worth
            mean = limits.total / obs.pass_rate.size
            price[0] = self.value(obs, limits).log_gain(mean - 1.0).mean()
        else:
            price += self.rate * (float(budgets.sum()) / limits.total - 1.0)
        tried = budgets > 0
        prompts, budgets, passes = prompts[tried], budgets[tried], passes[tried]
        for name, counts in (("a", passes), ("b", budgets - passes)):
            memory[name][prompts] = FIRST + self.fade * (memory[name][prompts] - FIRST) + counts
        memory["units"][prompts] += budgets
