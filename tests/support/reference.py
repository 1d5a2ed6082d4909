"""Slow and independent references: exact arithmetic, and rules written out in plain Python."""

import math
from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

DIGITS = 60


def exact_exp(log):
    """exp of a Fraction, to 60 digits, as a Fraction; strictly increasing over floats."""
    with localcontext() as context:
        context.prec = DIGITS
        return Fraction((Decimal(log.numerator) / Decimal(log.denominator)).exp())


def exact_gains(value, low, high):
    """(gains, faithful): gains[i][j] is what rollout low + j of prompt i adds, as Fractions.

    ``faithful``: they are the gains of ``value`` up to a common factor. Where these span more than
    1000 nats, numbers in the same order stand for them: as gains never increase within a prompt,
    the order alone decides which budgets are best.
    """
    columns = [value.log_gain(np.int64(n)).tolist() for n in range(low, high)]
    logs = [[column[i] for column in columns] for i in range(value.pass_rate.size)]
    finite = [log for row in logs for log in row if log > -math.inf]
    top, bottom = max(finite, default=0.0), min(finite, default=0.0)
    if top - bottom <= 1000:
        return [[exact_exp(Fraction(log) - Fraction(top)) if log > -math.inf else Fraction(0)
                 for log in row] for row in logs], True  # fmt: skip
    return [[1 + Fraction(log) - Fraction(bottom) if log > -math.inf else Fraction(0)
             for log in row] for row in logs], False  # fmt: skip


def exact_optimum(gains, amount):
    """The most that ``amount`` rollouts can add: a dynamic program on exact rationals.

    Assumes nothing about the gains. ``gains[i]`` holds the gains of prompt i in their order.
    """
    scale = math.lcm(1, *(gain.denominator for row in gains for gain in row))
    best = [0] + [None] * amount  # best[r]: r rollouts over the prompts so far, times the scale
    for row in gains:
        worth = [0]
        for gain in row:
            worth.append(worth[-1] + gain.numerator * (scale // gain.denominator))
        new = [None] * (amount + 1)
        for spent in range(amount + 1):
            for units in range(min(len(row), spent) + 1):
                before = best[spent - units]
                if before is None:
                    continue
                total = before + worth[units]
                if new[spent] is None or total > new[spent]:
                    new[spent] = total
        best = new
    return Fraction(best[amount], scale)


def exact_worth(gains, budgets, low):
    """What ``budgets`` add over ``low`` for everybody, exactly."""
    return sum(
        (
            sum(row[: int(budget) - low], Fraction(0))
            for row, budget in zip(gains, budgets, strict=True)
        ),
        Fraction(0),
    )


def coba_value(n, p, alpha, beta, tau):
    """log V(n, p) and log (V(n+1, p) - V(n, p)) of Eq. 9, by 60 digits; p strictly inside (0, 1).

    Only the normalising Beta function is a float (lgamma).
    """
    with localcontext() as context:
        context.prec = 400  # V(n+1) - V(n) is taken literally; nothing may cancel away
        x = Decimal(p)
        k = x * (1 - x) / Decimal(tau)

        def eta(rollouts):
            return 1 - (-k * rollouts).exp()

        log_density = (
            (Decimal(alpha) - 1) * x.ln()
            + (Decimal(beta) - 1) * (1 - x).ln()
            - Decimal(log_beta_function(alpha, beta))
        )
        log_value = float(log_density + eta(n).ln()) if n > 0 else -math.inf
        return log_value, float(log_density + (eta(n + 1) - eta(n)).ln())


def log_beta_function(alpha, beta):
    return math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)


def knapsack_value(n, p):
    """V(n, p) of Knapsack-RL as an exact Fraction of the float p."""
    p = Fraction(p)
    return (1 - p**n - (1 - p) ** n) * p * (1 - p) ** 2


# -- batches to allocate for ---------------------------------------------------------------

EDGES = [0.0, 1.0, 1e-300, 1e-200, 1e-17, 1e-9, 1.0 - 1e-16, 1.0 - 1e-9, 0.5, 1.0 / 3.0]

pass_rates = st.one_of(
    st.sampled_from(EDGES),
    st.integers(0, 16).map(lambda k: k / 16),
    st.integers(0, 2).map(lambda k: k / 2),
    st.floats(0, 1, allow_subnormal=False),
)


def log_uniform(low, high):
    return st.floats(math.log(low), math.log(high)).map(math.exp)


shapes = log_uniform(1e-2, 500)
scales = log_uniform(1e-6, 1e6)


def totals(num_prompts, low, high):
    least, most = num_prompts * low, num_prompts * high
    return st.one_of(
        st.sampled_from([least, most, min(least + 1, most), max(most - 1, least)]),
        st.integers(least, most),
    )
