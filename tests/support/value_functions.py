"""Value functions made for tests of solvers, and batches with limits to solve."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from reference import pass_rates, scales, shapes, totals

from cobasim.allocation import CobaValue, KnapsackValue, Limits, ValueFunction


class LogUtility(ValueFunction):
    """p log(1 + n): only what a value function must give."""

    def __init__(self, pass_rate):
        self.pass_rate = np.asarray(pass_rate, dtype=np.float64)

    def log_value(self, rollouts):
        with np.errstate(divide="ignore"):
            return np.log(self.pass_rate) + np.log(np.log1p(np.asarray(rollouts, dtype=float)))

    def log_gain(self, rollouts):
        with np.errstate(divide="ignore"):
            return np.log(self.pass_rate) + np.log(np.log1p(1.0 / (1.0 + np.asarray(rollouts))))


class Capped(ValueFunction):
    """p min(n, cap): equal gains, then a gain of exactly 0."""

    def __init__(self, pass_rate, cap):
        self.pass_rate = np.asarray(pass_rate, dtype=np.float64)
        self.cap = np.asarray(cap, dtype=np.float64)

    def log_value(self, rollouts):
        with np.errstate(divide="ignore"):
            return np.log(self.pass_rate * np.minimum(rollouts, self.cap))

    def log_gain(self, rollouts):
        with np.errstate(divide="ignore"):
            n = np.asarray(rollouts)
            return np.where(n < self.cap, np.log(self.pass_rate) + 0.0 * n, -np.inf)


class Table(ValueFunction):
    """Gains looked up by the whole number of rollouts: as a measured curve would be."""

    def __init__(self, pass_rate, log_gains):
        self.pass_rate, self.log_gains = np.asarray(pass_rate), np.asarray(log_gains)

    def log_value(self, rollouts):
        raise NotImplementedError

    def log_gain(self, rollouts):
        n = np.minimum(rollouts, len(self.log_gains) - 1)
        return np.log(self.pass_rate) + self.log_gains[n]


class Scaled(ValueFunction):
    """Another value function times exp(constant), by the two obligatory methods alone."""

    def __init__(self, value, constant):
        self.value_, self.constant = value, constant
        self.pass_rate, self.first = value.pass_rate, value.first

    def take(self, index):
        return Scaled(self.value_.take(index), self.constant)

    def log_value(self, rollouts):
        return self.value_.log_value(rollouts) + self.constant

    def log_gain(self, rollouts):
        return self.value_.log_gain(rollouts) + self.constant


@st.composite
def problems(draw, max_prompts=5, max_width=7, max_amount=None, kinds=("coba", "knapsack")):
    p = np.array(draw(st.lists(pass_rates, min_size=1, max_size=max_prompts)))
    if draw(st.booleans()):  # repeated pass rates: ties
        p = np.resize(p[: draw(st.integers(1, p.size))], p.size)
    kind = draw(st.sampled_from(kinds))
    if kind == "coba":
        value = CobaValue(p, alpha=draw(shapes), beta=draw(shapes), tau=draw(scales))
    elif kind == "knapsack":
        value = KnapsackValue(p)
    elif kind == "log":
        value = LogUtility(p)
    else:
        value = Capped(p, draw(st.lists(st.integers(0, 9), min_size=p.size, max_size=p.size)))
    low = value.first + draw(st.integers(0, 3))
    high = low + draw(st.integers(0, max_width))
    total = draw(totals(p.size, low, high))
    if max_amount is not None:
        total = min(total, p.size * low + max_amount)
    return value, Limits(total, low, high)


ALL_KINDS = ("coba", "knapsack", "log", "capped")
