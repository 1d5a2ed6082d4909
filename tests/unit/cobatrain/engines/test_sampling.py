"""Sampling a token from logits."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from hypothesis import example, given, settings
from hypothesis import strategies as st
from on_gpu import llama

from cobatrain.engines import SamplingConfig
from cobatrain.engines.sampling import choose, sample


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


@given(
    st.integers(1, 2000),
    st.integers(0, 10**6),
    st.sampled_from([0.1, 1.0, 30.0]),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=1, max_size=8),
)
@example(364, 0, 30.0, [0.0, 0.0])  # a mass that float32 rounds to a subnormal number
@settings(deadline=None)
def test_a_vocabulary_of_many_blocks_is_sampled_as_a_whole(entries, seed, spread, uniforms):
    """Against one cumulative sum over all entries, in double."""
    rng = np.random.default_rng(seed)
    logits = (spread * rng.normal(size=(len(uniforms), entries))).astype(np.float32)
    logits[:, rng.random(entries) < 0.2] = -1e9  # never, also at the ends of blocks
    u = np.array(uniforms)
    tokens, values = choose(torch.from_numpy(logits), torch.from_numpy(u), SamplingConfig())
    exact = np.exp(logits.astype(np.float64) - logits.max(-1, keepdims=True))
    exact /= exact.sum(-1, keepdims=True)
    rows, k = np.arange(len(u)), tokens.numpy()
    upper = exact.cumsum(-1)[rows, k]
    assert (exact[rows, k] > 0).all()
    assert (upper - exact[rows, k] <= u + 1e-5).all()
    assert (u <= upper + 1e-5).all()
    np.testing.assert_allclose(values.numpy(), np.log(exact[rows, k]), atol=2e-5, rtol=1e-5)


def test_each_token_is_drawn_as_often_as_its_probability_says():
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=700)).float()
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    tokens, _ = choose(logits.expand(len(u), -1), u, SamplingConfig())
    share = torch.bincount(tokens, minlength=700) / len(u)
    assert (share - logits.softmax(-1)).abs().max() < 2 / len(u)


@pytest.mark.parametrize("lengths", [[3, 7, 5], [4, 4]])
def test_the_output_layer_is_given_no_view(lengths):
    """For a view, torch copies the layer's weight once per prompt."""
    model = llama(layers=1, hidden=64, vocabulary=600)
    head, contiguous = model.get_output_embeddings(), []
    head.register_forward_hook(lambda _, given, __: contiguous.append(given[0].is_contiguous()))
    sample(
        model,
        [[1] * n for n in lengths],
        np.full(len(lengths), 2),
        np.arange(len(lengths)),
        SamplingConfig(max_tokens=3),
        end_ids=[0],
        max_num_seqs=8,
    )
    assert contiguous
    assert all(contiguous)
    assert not head._forward_pre_hooks  # nothing stays behind


def test_greedy_takes_the_most_likely_token():
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    token, value = choose(logits, torch.tensor([0.99]), SamplingConfig(temperature=0.0))
    assert int(token) == 1
    assert float(value) == pytest.approx(float(logits.log_softmax(-1)[0, 1]))
