"""How the model is run in an update: checkpointing, chunks, precision, dropout."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from small_updates import (
    UNEQUAL,
    UNIFORM,
    VOCABULARY,
    assert_same,
    fast_gradient,
    gemma2,
    gpt2,
    make_batch,
    qwen3,
)
from torch.utils._python_dispatch import TorchDispatchMode

from cobatrain.update import UpdateConfig, make_optimiser, update


class Logits(TorchDispatchMode):
    """Notes the positions of every tensor of logits, or of their gradients, that is made."""

    def __init__(self, vocabulary, weights):
        super().__init__()
        self.vocabulary, self.weights, self.most = vocabulary, weights, 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        made = function(*arguments, **(options or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if not isinstance(tensor, torch.Tensor) or tensor.numel() in self.weights:
                continue
            if self.vocabulary in tensor.shape:
                self.most = max(self.most, tensor.numel() // self.vocabulary)
        return made


class Softmaxes(TorchDispatchMode):
    """Notes the rows of every softmax over logits that is taken, those of backward too."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function is torch.ops.aten.logsumexp.default:
            self.rows.append(len(arguments[0]))
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("tied", [True, False])
def test_gradient_checkpointing_and_chunks_change_nothing(tied):
    model = qwen3(tied=tied)
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    with Softmaxes() as softmaxes:
        _, expected = fast_gradient(model, batch, UpdateConfig())
    [whole] = softmaxes.rows
    config = UpdateConfig(gradient_checkpointing=True, logit_chunk=7 * VOCABULARY + 1)
    with Softmaxes() as softmaxes:
        _, gradient = fast_gradient(model, batch, config)
    assert max(softmaxes.rows) == 7
    assert sum(softmaxes.rows) == 2 * whole  # each chunk is recomputed in backward
    assert len(softmaxes.rows) > 6
    assert_same(gradient, expected, 1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_logits_are_never_whole(tied):
    model = qwen3(tied=tied)
    weights = {p.numel() for p in model.parameters() if VOCABULARY in p.shape}
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    most = {}
    for rows in (3, 10_000):
        with Logits(VOCABULARY, weights) as logits:
            fast_gradient(model, batch, UpdateConfig(logit_chunk=rows * VOCABULARY))
        most[rows] = logits.most
    assert most[3] == 3
    assert most[10_000] > 20


@pytest.mark.parametrize("make", [gemma2, gpt2])
def test_models_whose_logits_are_more_than_their_output_layer_lose_nothing(make):
    model = make()
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    _, whole = fast_gradient(model, batch, UpdateConfig())
    _, chunks = fast_gradient(model, batch, UpdateConfig(logit_chunk=3 * VOCABULARY))
    assert_same(chunks, whole, 1e-5)
    assert "forward" not in vars(model.lm_head)  # put back


def test_gradient_checkpointing_really_recomputes():
    layers = {}
    for switch in (False, True):
        model = qwen3()
        count = []
        model.model.layers[0].mlp.register_forward_pre_hook(lambda *_, c=count: c.append(1))
        config = UpdateConfig(gradient_checkpointing=switch)
        update(model, make_optimiser(model, 1e-3), make_batch(UNIFORM, mixed=[0]), config)
        layers[switch] = len(count)
        assert not model.training
    assert layers == {False: 1, True: 2}


def test_dropout_is_not_in_effect():
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0.5
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).double().train()
    batch = make_batch(UNEQUAL, mixed=[2, 4])
    _, one = fast_gradient(model, batch, UpdateConfig())
    _, other = fast_gradient(model, batch, UpdateConfig())
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert model.training


def test_bf16_autocast_is_close_and_keeps_weights_in_float32():
    model = qwen3()
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    _, expected = fast_gradient(model, batch, UpdateConfig())
    metrics, gradient = fast_gradient(model, batch, UpdateConfig(bf16=True))
    assert gradient.dtype == torch.float32
    cosine = torch.nn.functional.cosine_similarity(gradient, expected, dim=0)
    assert 0.99 < cosine < 1 - 1e-7  # close, and really in lower precision
    assert math.isfinite(metrics["entropy"])
