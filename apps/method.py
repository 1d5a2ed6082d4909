"""What the value function does, and why the weighting of the loss matters: with live figures."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from cobasim.allocation import Limits, Observation
from cobasim.figures import preferences, prompt_budgets, pulls
from cobasim.whatif import what_if
from cobasim_apps.common import BIND, chart

SIZE, MEAN = 512, 16


def page() -> None:
    """Draw the page."""
    st.title("About the method")
    st.markdown(
        r"""
In reinforcement learning with verifiable rewards a policy answers each prompt of a batch several
times; the group of rollouts of one prompt gives its advantages. A group in which all rollouts pass,
or all fail, teaches nothing. GRPO
([arXiv 2402.03300](https://arxiv.org/abs/2402.03300)) makes equally many rollouts for each prompt.
A *rollout-budget allocator* gives prompt $i$ its own $B_i$ under the same total.

**CoBA-RL** ([arXiv 2602.03048](https://arxiv.org/abs/2602.03048)) maximises $\sum_i V(B_i, p_i)$ with

$$V(n, p) = \mathrm{Beta}(p;\,\alpha, \beta)\;\bigl(1 - e^{-n\,p(1-p)/\tau}\bigr)$$

The first factor says which pass rates are preferred, the second how soon more rollouts stop paying.
$\alpha + \beta = \kappa$ is constant, and $\alpha$ follows the policy's global failure rate: while most
rollouts fail, prompts that mostly pass are preferred (*exploit*); as the policy gets better the
preference moves to prompts that mostly fail (*explore*). Gains of one more rollout decrease, so taking
the largest gain again and again is exactly optimal. Move the failure rate:
"""
    )
    failure = st.slider(
        "Global failure rate of the policy", 0.0, 1.0, 0.6, 0.01, key="failure", bind=BIND
    )
    rates = np.linspace(0.5 / SIZE, 1 - 0.5 / SIZE, SIZE)
    obs = Observation(rates, np.ones(SIZE), failure_rate=failure)
    limits = Limits(MEAN * SIZE, 2, 128)
    outcomes = what_if(obs, limits, ["uniform", "knapsack", "coba"])
    one, two = st.columns(2)
    with one:
        chart(preferences(outcomes, MEAN), "preferences")
    with two:
        chart(prompt_budgets(outcomes, obs), "budgets")
    st.markdown(
        r"""
**Knapsack-RL** ([arXiv 2509.25849](https://arxiv.org/abs/2509.25849)) values the chance of a mixed
group, $1 - p^n - (1-p)^n$, times the gain of one update, $p(1-p)^2$; nothing in it follows the policy.

### Why the weighting of the loss matters

A group of $n$ rollouts of which $m$ pass moves its prompt's logit by
$u = \sqrt{m(n-m)}/n$ (std-normalised GRPO). Its expectation rises with $n$ and soon stops near
$\sqrt{p(1-p)}$: that is all that more rollouts buy *when every prompt counts alike in the loss*. When
the loss is a mean over all *rollouts* (or tokens), as in public code, the group's pull is
$B_i\,u_i / \sum_j B_j$: a prompt with ten times the budget also gets ten times the weight. An
allocator then changes not only how well each gradient is measured but *which objective* is trained. Below:
the expected pull of each prompt on the update, under both weightings, for the budgets above.
"""
    )
    one, two = st.columns(2)
    for place, weighting in ((one, "rollout"), (two, "prompt")):
        with place:
            figure: go.Figure = pulls(outcomes, obs, weighting)
            chart(figure, f"pull-{weighting}")
    st.markdown(
        """
Per rollout the curves differ much: what an allocator prefers is trained more. Per prompt, extra
rollouts hardly lift the pull of the preferred prompts, while those cut to two rollouts lose half of
theirs, which makes uniform budgets hard to beat. In the simulator this decides who wins; the project's
README has both tables, and what a tiny real model said. Every comparison here therefore says how
prompts were weighted.
"""
    )
