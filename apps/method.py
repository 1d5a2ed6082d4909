"""How does it work? Value functions, weighting of the loss, noise: with live figures."""

from __future__ import annotations

import numpy as np
import streamlit as st

from cobasim.allocation import Limits, Observation, one_shot
from cobasim.explorer import SHOWN
from cobasim.figures import noise_of_a_group, preferences, prompt_budgets, pulls, share_scales
from cobasim.updates import WEIGHTINGS
from cobasim.whatif import what_if
from cobasim_apps.elements import BIND, chart

SIZE, MEAN = 128, 16
NAMES = one_shot(SHOWN)

BEGIN = """
Uneven budgets change three things at once: **how often a prompt's group teaches anything**, **how
much the prompt counts in the loss**, and **how much noise the update carries**. Move the policy's
failure rate and watch the budgets of the published allocators follow it, and this project's
`signal`, which weighs all three.
"""
VALUE = r"""
### The published value functions

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
taking the largest gain is exactly optimal.
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
CONCLUSION = r"""
Per rollout the curves differ widely: the prompts that an allocator prefers are trained more. Per prompt,
extra rollouts hardly raise the pull of the preferred prompts, while prompts cut to two rollouts lose half
of theirs; this makes uniform budgets hard to beat. Every comparison here therefore says how prompts were
weighted.

### Which noise it is decides

An update also carries gradient that has nothing to do with passing. Part of it is a **rollout's own**, and
averages out over the prompt's rollouts. Part is **shared by all rollouts of a prompt** (its wording, its
answer's tokens): more rollouts of that prompt do not average it out, only more *prompts* do. In the
simulator the two are `noise` and `prompt_noise`.
"""
SIGNAL = r"""
Where nothing is shared, concentrating rollouts pays; where much is shared, it adds noise faster than
signal. A real run of ours lost up to 6 points to concentrated budgets, and the simulator ranked the
allocators rightly only after shared noise was in it. **`signal`** maximises $S/\sqrt V$: expected signal
over the standard deviation of both noises, under the weighting of the loss, and never ends below uniform
budgets by its own measure. **`signal-skip`** also leaves out prompts that lately taught nothing. If you do
not know which noise you have, use `signal`, or stay with uniform budgets.
"""


def page() -> None:
    """Draw the page."""
    st.title("How does it work?")
    st.markdown(BEGIN)
    _by_failure_rate()
    st.markdown(CONCLUSION)
    chart(noise_of_a_group([0, 5, 10, 20]), "noise")
    st.markdown(SIGNAL)


@st.fragment
def _by_failure_rate() -> None:
    """What follows the slider."""
    failure = st.slider(
        "Smoothed failure rate of the policy", 0.0, 1.0, 0.6, 0.01, key="failure", bind=BIND
    )
    rates = np.linspace(0.5 / SIZE, 1 - 0.5 / SIZE, SIZE)
    obs = Observation(rates, np.full(SIZE, MEAN), failure_rate=failure)
    outcomes = what_if(obs, Limits(MEAN * SIZE, 2, 128), NAMES)
    left, right = st.columns(2)
    with left:
        chart(prompt_budgets(outcomes, obs), "budgets")
    with right:
        chart(preferences(outcomes, MEAN), "preferences")
    st.markdown(VALUE)
    st.markdown(WEIGHTING)
    pair = {weighting: pulls(outcomes, obs, weighting) for weighting in WEIGHTINGS}
    share_scales(list(pair.values()))
    for place, (weighting, figure) in zip(st.columns(2), pair.items(), strict=True):
        with place:
            chart(figure, f"pull-{weighting}")
