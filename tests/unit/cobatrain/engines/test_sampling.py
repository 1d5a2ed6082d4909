"""Sampling a token from logits."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from hypothesis import given, settings
from hypothesis import strategies as st

from cobatrain.engines import SamplingConfig
from cobatrain.engines.sampling import choose


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=12),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0.3, 0.9, 1.0]),
)
@settings(deadline=None)
def test_choice_is_the_inverse_of_the_cumulative_distribution(logits, u, temperature, top_p):
    sampling = SamplingConfig(temperature=temperature, top_p=top_p)
    token, value = choose(torch.tensor([logits]), torch.tensor([u], dtype=torch.float64), sampling)
    # an independent, plain reference
    p = np.exp(np.array(logits, dtype=np.float64) / temperature)
    p /= p.sum()
    order = sorted(range(len(p)), key=lambda i: -p[i])
    kept, mass = set(), 0.0
    for i in order:
        if mass >= top_p - 1e-6:
            break
        kept.add(i)
        mass += p[i]
    k = int(token)
    near_the_cut = abs(mass - top_p) < 1e-5 or len(set(np.round(p, 6))) < len(p)
    if near_the_cut and top_p < 1:
        return  # float32 and float64 may cut differently
    assert k in kept
    q = np.array([p[i] if i in kept else 0.0 for i in range(len(p))])
    q /= q.sum()
    assert float(value) == pytest.approx(np.log(q[k]), abs=1e-4)
    assert q[:k].sum() - 1e-6 <= u <= q[: k + 1].sum() + 1e-6


def test_greedy_takes_the_most_likely_token():
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    token, value = choose(logits, torch.tensor([0.99]), SamplingConfig(temperature=0.0))
    assert int(token) == 1
    assert float(value) == pytest.approx(float(logits.log_softmax(-1)[0, 1]))
