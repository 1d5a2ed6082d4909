"""What n rollouts of a prompt with pass rate p are worth. Pure, in log space.

A value function V(n, p) is described to the solvers by the logarithm of its marginal gain
``log(V(n+1) - V(n))``, which must not increase with n, and by the inverse of that: the (real)
number of rollouts at which the log gain has fallen to a threshold.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from cobasim.arrays import BoolArray, FloatArray, IntArray
from cobasim.errors import InputError


def log_beta_density(pass_rate: ArrayLike, alpha: ArrayLike, beta: ArrayLike) -> FloatArray:
    """Log of the Beta(alpha, beta) density at ``pass_rate`` (Eq. 5 of arXiv 2602.03048).

    Shapes broadcast. +inf at p = 0 for alpha < 1 (at p = 1 for beta < 1), -inf there for a shape
    above 1.
    """
    from scipy import special  # slow to import, and not all allocators need it

    p, a, b = (np.asarray(x, dtype=np.float64) for x in (pass_rate, alpha, beta))
    density = special.xlogy(a - 1.0, p) + special.xlog1py(b - 1.0, -p) - special.betaln(a, b)
    return np.asarray(density, dtype=np.float64)


def saturation(rollouts: ArrayLike, pass_rate: ArrayLike, *, tau: float) -> FloatArray:
    """Budget saturation factor 1 - exp(-n p (1-p) / tau) (Eq. 8 of arXiv 2602.03048)."""
    n, p = np.asarray(rollouts, dtype=np.float64), np.asarray(pass_rate, dtype=np.float64)
    return np.asarray(-np.expm1(-n * p * (1.0 - p) / tau), dtype=np.float64)


def _log1mexp(x: FloatArray) -> FloatArray:
    """log(1 - exp(-x)) for x > 0, accurate for small and for large x."""
    result: FloatArray = np.log(-np.expm1(-x))
    return result


TINY = float(np.finfo(np.float64).tiny)  # what is below counts as 0: its inverse must be finite

BLOCK = 16384  # prompts that are gone through together: their arrays fit a processor's cache


def blocks(size: int) -> Iterator[slice]:
    """Slices of at most BLOCK that cover 0 .. size - 1."""
    for first in range(0, size, BLOCK):
        yield slice(first, min(first + BLOCK, size))


class ValueFunction(ABC):
    """The worth of n rollouts for each prompt of a batch, V(n, p), concave in n.

    Subclasses set ``pass_rate`` and any other array of the batch's shape (..., m) as attributes,
    so that ``take`` works, and give ``log_value`` and ``log_gain``. ``rollouts_at`` has a default
    that bisects; a closed form makes the threshold solver faster, not different.

    Attributes:
        pass_rate: (..., m) in [0, 1].
        first: the smallest n from which the gains decrease; limits below it are refused.
    """

    pass_rate: FloatArray
    first: int = 0

    @abstractmethod
    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """log V(n, p); ``rollouts`` broadcasts against (..., m). -inf where the value is 0."""

    @abstractmethod
    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """log(V(n+1, p) - V(n, p)), not increasing in n; -inf where the gain is 0.

        The array is new: the caller may write to it. The solvers ask for whole numbers between
        ``low`` and ``high`` only.
        """

    def value(self, rollouts: ArrayLike) -> FloatArray:
        """V(n, p), shape as ``log_value``."""
        return np.asarray(np.exp(self.log_value(rollouts)), dtype=np.float64)

    def gain(self, rollouts: ArrayLike) -> FloatArray:
        """The marginal gain V(n+1, p) - V(n, p), shape as ``log_gain``."""
        return np.asarray(np.exp(self.log_gain(rollouts)), dtype=np.float64)

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """The real n in [low, high] at which the log gain falls to ``log_gain``.

        Returns (n, rate), each (m,), where rate = -dn / d(log gain) >= 0 is the number of
        rollouts that one nat of threshold buys. The default finds n by integer bisection and
        sets the rate from its neighbour; it is right, but slower than a closed form.
        """
        n = self.first_below(log_gain, low, high)
        with np.errstate(invalid="ignore"):
            drop = self.log_gain(n) - self.log_gain(n + 1)
        rate: FloatArray = np.ones(self.pass_rate.shape)
        np.divide(1.0, drop, out=rate, where=np.isfinite(drop) & (drop > 1e-9))
        exact: FloatArray = n.astype(np.float64) - 0.5
        return exact, rate

    def worthless_at(self, rollouts: int) -> bool:
        """Whether the gain at so many rollouts may be 0 for a prompt; False only if it never is."""
        return min(float(part.log_gain(rollouts).min()) for _, part in self.pieces()) == -np.inf

    def first_below(self, log_gain: float, low: int, high: int) -> IntArray:
        """(m,) the smallest n in [low, high] whose log gain is not above ``log_gain``, else high.

        By bisection on the floats of ``log_gain`` itself, so it is exact for any value function.
        """
        fewest = np.full(self.pass_rate.shape, low, dtype=np.int64)
        most = np.full(self.pass_rate.shape, high, dtype=np.int64)
        while bool(np.any(fewest < most)):
            middle = (fewest + most) // 2
            is_above = (self.log_gain(middle) > log_gain) & (middle < most)
            fewest = np.where(is_above, middle + 1, fewest)
            most = np.where(is_above, most, middle)
        return fewest

    def take(self, index: IntArray | BoolArray | slice) -> ValueFunction:
        """The value function of the prompts ``index`` of a flat batch (with repeats, if any).

        A slice gives views.
        """
        part = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, np.ndarray) and value.shape == self.pass_rate.shape:
                setattr(part, name, value[index])
        return part

    def pieces(self) -> Pieces:
        """A flat batch in blocks, each with its place in the batch."""
        size = self.pass_rate.size
        if size <= BLOCK:
            return [(slice(0, size), self)]
        return [(place, self.take(place)) for place in blocks(size)]

    def log_gain_of(self, prompts: IntArray, rollouts: IntArray) -> FloatArray:
        """Log gain of ``prompts[j]`` at ``rollouts[j]``, for each j."""
        return self.take(prompts).log_gain(rollouts)

    def scalar_log_gain(self, low: int, high: int) -> Callable[[int, int], float]:
        """A plain function (prompt, n) -> log gain for ``low <= n < high``, for the heap.

        It returns the very same floats as ``log_gain``. The default tabulates them.
        """
        table = self.log_gain(np.arange(low, max(high, low + 1))[:, None]).T.tolist()
        return lambda prompt, n: float(table[prompt][n - low])


Pieces = list[tuple[slice, ValueFunction]]


def _log_density(p: FloatArray, q: FloatArray, alpha: Any, beta: Any) -> FloatArray:
    """``log_beta_density`` for p inside (0, 1) and q = 1 - p: plain logarithms, faster."""
    from scipy import special

    density: FloatArray = np.log(p)
    density *= alpha - 1.0
    log_q = np.log(q)
    log_q *= beta - 1.0
    density += log_q
    density -= special.betaln(alpha, beta)
    return density


class CobaValue(ValueFunction):
    """CoBA-RL's value: eta(n, p) * Beta(alpha, beta) density at p (Eq. 9 of arXiv 2602.03048).

    With k = p (1-p) / tau and C the density, the marginal gain (Appendix A there) is
    C (1 - exp(-k)) exp(-k n): geometric in n, hence linear in log space. At p = 0 and p = 1 no
    number of rollouts is worth anything, also where alpha or beta below 1 sends the density to
    infinity (eta vanishes faster there). Departure: k below the smallest normal float counts as 0.

    Args:
        pass_rate: (..., m) in [0, 1].
        alpha, beta: shape of the preference density, > 0; broadcast against ``pass_rate``.
        tau: saturation scale, > 0, scalar.
    """

    def __init__(
        self, pass_rate: FloatArray, *, alpha: ArrayLike, beta: ArrayLike, tau: float
    ) -> None:
        for name, shape in (("alpha", alpha), ("beta", beta)):
            if not (shape > 0.0 if isinstance(shape, float) else np.all(np.asarray(shape) > 0.0)):
                raise InputError(f"{name} must be above 0, got {shape!r}")
        a = alpha if isinstance(alpha, float) else np.asarray(alpha, dtype=np.float64)
        b = beta if isinstance(beta, float) else np.asarray(beta, dtype=np.float64)
        if not 0 < tau < np.inf:
            raise InputError(f"tau must be above 0, got {tau}")
        p = np.asarray(pass_rate, dtype=np.float64)
        if not (isinstance(a, float) and isinstance(b, float)):
            p, a, b = np.broadcast_arrays(p, a, b)
        self.pass_rate = p
        self.alpha, self.beta = a, b
        self._density: FloatArray | None = None
        # at p = 0 and 1, and where (alpha - 1) log p leaves the range of a float
        self._worthless = not (isinstance(a, float) and isinstance(b, float) and a + b < 1e300)
        self.decay: FloatArray = np.empty(p.shape)
        self.log_first: FloatArray = np.empty(p.shape)
        if p.ndim == 1 and isinstance(a, float) and isinstance(b, float):
            for place in blocks(p.size):
                self._fill(place, a, b, tau)
        else:
            self._fill(..., a, b, tau)

    def _fill(self, place: Any, a: Any, b: Any, tau: float) -> None:
        """k, and the log gain at n = 0, of the prompts at ``place``."""
        p: FloatArray = self.pass_rate[place]
        q = 1.0 - p
        decay = np.multiply(p, q, out=self.decay[place])  # k
        decay /= tau
        dead = None
        if decay.size and not decay.min() >= TINY:
            dead = decay < TINY
            self._worthless = True
            p, q = np.where(dead, 0.5, p), np.where(dead, 0.5, q)
            decay[dead] = 1.0  # any positive number: the gain is set to -inf whatever n is
        density = _log_density(p, q, a, b)
        if dead is not None:
            density[dead] = -np.inf
        first = np.negative(decay, out=self.log_first[place])  # log(1 - exp(-k)), as _log1mexp
        np.log(np.negative(np.expm1(first, out=first), out=first), out=first)
        first += density

    @property
    def log_density(self) -> FloatArray:
        """log C (..., m); -inf where no number of rollouts is worth anything. Kept once made."""
        if self._density is None:  # solvers do without
            dead = self.log_first == -np.inf
            p = np.where(dead, 0.5, self.pass_rate)
            density = _log_density(p, 1.0 - p, self.alpha, self.beta)
            self._density = np.where(dead, -np.inf, density)
        return self._density

    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """log V(n, p); see the class."""
        with np.errstate(divide="ignore"):  # V(0, p) = 0
            result: FloatArray = self.log_density + _log1mexp(self.decay * np.asarray(rollouts))
        return result

    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """log gain, linear in n; see the class."""
        result: FloatArray = self.log_first - self.decay * np.asarray(rollouts)
        return result

    def worthless_at(self, rollouts: int) -> bool:
        """See ``ValueFunction``; quick where all pass rates lie between 0 and 1."""
        return self._worthless and super().worthless_at(rollouts)

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """Closed form: n = (log gain at 0 - threshold) / k, rate 1 / k."""
        rate = 1.0 / self.decay
        return (self.log_first - log_gain) * rate, rate

    def log_gain_of(self, prompts: IntArray, rollouts: IntArray) -> FloatArray:
        """Closed form, see the class."""
        gains: FloatArray = self.log_first[prompts] - self.decay[prompts] * rollouts
        return gains

    def scalar_log_gain(self, low: int, high: int) -> Callable[[int, int], float]:
        """Closed form, without a table."""
        first, decay = self.log_first.tolist(), self.decay.tolist()
        return lambda prompt, n: float(first[prompt] - decay[prompt] * n)


class KnapsackValue(ValueFunction):
    """Knapsack-RL's value [1 - p^n - (1-p)^n] p (1-p)^2 (arXiv 2509.25849).

    The chance that a group of n has both outcomes, times the expected gain of one update. The
    marginal gain is [p^n (1-p) + (1-p)^n p] p (1-p)^2 for n >= 1; a first rollout alone is worth
    nothing, so gains decrease from n = 1 only (``first``). With r >= s the larger and the smaller
    of p and 1-p its logarithm is n log r + log s + log(1 + (s/r)^(n-1)) + log(p (1-p)^2).

    Args:
        pass_rate: (..., m) in [0, 1].
    """

    first = 1

    def __init__(self, pass_rate: FloatArray) -> None:
        p = np.asarray(pass_rate, dtype=np.float64)
        self.pass_rate = p
        with np.errstate(divide="ignore"):
            log_p, log_q = np.log(p), np.log1p(-p)
        log_r, log_s = np.maximum(log_p, log_q), np.minimum(log_p, log_q)
        self.dead = ~(log_r < -TINY)  # s is then below TINY too, or 0
        self.log_weight = np.where(self.dead, -np.inf, log_p + 2.0 * log_q)
        self.log_r = np.where(self.dead, -1.0, log_r)
        self.log_s = np.where(self.dead, -1.0, log_s)
        self.log_ratio = self.log_s - self.log_r

    def log_value(self, rollouts: ArrayLike) -> FloatArray:
        """log V(n, p); see the class. -inf for n <= 1."""
        n = np.asarray(rollouts, dtype=np.float64)
        with np.errstate(divide="ignore"):
            mixed = -np.expm1(n * self.log_r) - np.exp(n * self.log_s)
            # at n = 1 the two terms cancel to rounding: the value is exactly 0 there
            log_mixed = np.where(n <= 1, -np.inf, np.log(np.maximum(mixed, 0.0)))
        result: FloatArray = log_mixed + self.log_weight
        return result

    def log_gain(self, rollouts: ArrayLike) -> FloatArray:
        """log gain; see the class. Defined for n >= 1."""
        n = np.asarray(rollouts, dtype=np.float64)
        both = np.log1p(np.exp(np.asarray((n - 1.0) * self.log_ratio)))
        result: FloatArray = n * self.log_r + self.log_s + both + self.log_weight
        return result

    def rollouts_at(self, log_gain: float, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """Newton from the left on a convex, decreasing function: monotone, few steps."""
        base = self.log_s + self.log_weight - log_gain
        with np.errstate(invalid="ignore", over="ignore"):
            n = np.clip(np.where(self.dead, low, -base / self.log_r), 1.0, high)
            slope = self.log_r
            for _ in range(8):
                tail = np.exp((n - 1.0) * self.log_ratio)  # (s/r)^(n-1)
                slope = self.log_r + self.log_ratio * tail / (1.0 + tail)
                step = (n * self.log_r + np.log1p(tail) + base) / slope
                before = n
                n = np.where(self.dead, low, np.clip(n - step, 1.0, 2.0 * high + 2.0))
                if bool(np.all(np.abs(n - before) < 1e-7)):
                    break
        return n, -1.0 / slope
