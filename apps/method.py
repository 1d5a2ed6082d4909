"""What the value function does, and why the weighting of the loss matters: with live figures."""

from __future__ import annotations

import numpy as np
import streamlit as st

from cobasim.allocation import Limits, Observation
from cobasim.figures import preferences, prompt_budgets, pulls
from cobasim.whatif import what_if
from cobasim_apps.elements import BIND, chart

SIZE, MEAN = 512, 16

VALUE = r"""
In reinforcement learning with verifiable rewards, a policy answers each prompt of a batch several
times. These rollouts are the prompt's group, and advantages are computed within it. A group in which
all rollouts pass, or all fail, teaches nothing. GRPO
([arXiv 2402.03300](https://arxiv.org/abs/2402.03300)) gives every prompt the same number of rollouts.
A *rollout-budget allocator* gives prompt $i$ its own number $B_i$ under the same total.

**CoBA-RL** ([arXiv 2602.03048](https://arxiv.org/abs/2602.03048)) maximises $\sum_i V(B_i, p_i)$ with

$$V(n, p) = \mathrm{Beta}(p;\,\alpha, \beta)\;\bigl(1 - e^{-n\,p(1-p)/\tau}\bigr)$$

The first factor says which pass rates are preferred, the second how soon further rollouts stop paying.
$\alpha + \beta = \kappa$ is constant, and $\alpha$ follows the policy's failure rate. While most rollouts
fail, prompts that mostly pass are preferred (*exploit*); as the policy improves, the preference moves to
prompts that mostly fail (*explore*). The gain of one more rollout falls with every rollout, so always
taking the largest gain is exactly optimal. Move the failure rate to see it:
"""
WEIGHTING = r"""
**Knapsack-RL** ([arXiv 2509.25849](https://arxiv.org/abs/2509.25849)) multiplies the chance of a mixed
group, $1 - p^n - (1-p)^n$, by the gain of one update, $p(1-p)^2$. Nothing in it follows the policy.

### Why the weighting of the loss matters

A group of $n$ rollouts of which $m$ pass moves its prompt's logit by
$u = \sqrt{m(n-m)}/n$ (std-normalised GRPO). The expected move rises with $n$ and soon levels off near
$\sqrt{p(1-p)}$: more rollouts buy no more than that *when every prompt counts alike in the loss*. When
the loss is a mean over all *rollouts* (or tokens), as in public code, the group's pull is
$B_i\,u_i / \sum_j B_j$: a prompt with ten times the budget also gets ten times the weight. An
allocator then changes not only how well each gradient is measured, but also *which objective* is trained.
The figures show the expected pull of each prompt on the update, under both weightings, for the budgets
above.
"""
CONCLUSION = """
Per rollout the curves differ widely: the prompts that an allocator prefers are trained more. Per prompt,
extra rollouts hardly raise the pull of the preferred prompts, while prompts cut to two rollouts lose half
of theirs; this makes uniform budgets hard to beat. In the simulator the weighting decides who wins. The
project's README has both tables, and the results of a tiny real model. Every comparison here therefore
says how prompts were weighted.
"""


def page() -> None:
    """Draw the page."""
    st.title("About the method")
    st.markdown(VALUE)
    failure = st.slider(
        "Smoothed failure rate of the policy", 0.0, 1.0, 0.6, 0.01, key="failure", bind=BIND
    )
    rates = np.linspace(0.5 / SIZE, 1 - 0.5 / SIZE, SIZE)
    obs = Observation(rates, np.ones(SIZE), failure_rate=failure)
    outcomes = what_if(obs, Limits(MEAN * SIZE, 2, 128), ["uniform", "knapsack", "coba"])
    left, right = st.columns(2)
    with left:
        chart(preferences(outcomes, MEAN), "preferences")
    with right:
        chart(prompt_budgets(outcomes, obs), "budgets")
    st.markdown(WEIGHTING)
    left, right = st.columns(2)
    for place, weighting in ((left, "rollout"), (right, "prompt")):
        with place:
            chart(pulls(outcomes, obs, weighting), f"pull-{weighting}")
    st.markdown(CONCLUSION)
