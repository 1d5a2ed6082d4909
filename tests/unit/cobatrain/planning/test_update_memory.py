"""Planned memory of an update against what torch really keeps, and its laws."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from hypothesis import given
from hypothesis import strategies as st
from planned_models import MODES, kept_for_backward, planned_config, small_model

from cobatrain.config import load_config
from cobatrain.lora import LoraConfig, add_adapters
from cobatrain.planning import (
    activation_bytes,
    certain_bytes,
    longest_micro_batch,
    model_shape,
    planned_update_bytes,
    shape_of,
    update_moments,
)
from cobatrain.planning.activations import layer_bytes
from cobatrain.planning.update_memory import loading_bytes
from cobatrain.planning.widths import widths

QWEN = load_config("qwen3-1.7b")
SHAPE = model_shape(QWEN)
LORA = LoraConfig(rank=8)
ADAPTED = model_shape(
    QWEN.model_copy(update={"model": QWEN.model.model_copy(update={"lora": LORA})})
)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama"])
def test_a_layer_keeps_what_autograd_keeps(kind, mode):
    """Exactly: differences in layers and in tokens leave out all that is fixed."""
    two, one = (small_model(kind, mode, num_hidden_layers=layers) for layers in (2, 1))
    kept = [
        [kept_for_backward(model, mode, tokens) for tokens in (512, 256)] for model in (two, one)
    ]
    (long_two, short_two), (long_one, short_one) = kept
    per_token = ((long_two - short_two) - (long_one - short_one)) / 256
    assert layer_bytes(shape_of(two), widths(planned_config(mode), 1)) == per_token


def test_without_activations_the_peak_is_adams_step():
    """Weights, gradients, two moments, and one copy while Adam steps."""
    shape = shape_of(small_model("qwen3", "float32"))
    assert planned_update_bytes(planned_config(), shape, tokens=1) == 5 * 4 * shape.parameters


settings = st.tuples(
    st.sampled_from(["shard", "replicate"]), st.booleans(), st.booleans(), st.integers(0, 1)
)


def chosen(setting, **update):
    parallel, bf16, checkpointing, kl = setting
    values = {
        "bf16": bf16, "gradient_checkpointing": checkpointing, "kl_coef": 0.1 * kl, **update
    }  # fmt: skip
    return QWEN.model_copy(
        update={"parallel": parallel, "update": QWEN.update.model_copy(update=values)}
    )


@given(
    setting=settings, gpus=st.integers(1, 64), few=st.integers(1, 10**5), more=st.integers(0, 10**5)
)
def test_more_tokens_never_take_less(setting, gpus, few, more):
    small, large = (chosen(setting, micro_tokens=tokens) for tokens in (few, few + more))
    assert longest_micro_batch(small, gpus) <= longest_micro_batch(large, gpus)
    assert planned_update_bytes(small, SHAPE, gpus=gpus) <= planned_update_bytes(
        large, SHAPE, gpus=gpus
    )


@given(setting=settings, gpus=st.integers(1, 64), tokens=st.integers(1, 10**5))
def test_checkpointing_keeps_less(setting, gpus, tokens):
    config = chosen(setting, micro_tokens=tokens)
    with_it, without = (
        activation_bytes(config, SHAPE, gpus, checkpointing=flag) for flag in (True, False)
    )
    assert with_it < without


@given(setting=settings, gpus=st.integers(2, 64), tokens=st.integers(1, 10**5))
def test_more_gpus_take_less_of_each_only_if_sharded(setting, gpus, tokens):
    config = chosen(setting)
    parts = [
        {m.name: m for m in update_moments(config, SHAPE, count, tokens)}["update: step"].total
        for count in (gpus, 2 * gpus)
    ]
    if config.parallel == "shard":
        assert parts[1] < parts[0]
        assert certain_bytes(config, SHAPE, 2 * gpus) < certain_bytes(config, SHAPE, gpus)
    else:
        assert parts[1] == parts[0]
    assert planned_update_bytes(config, SHAPE, gpus=2 * gpus, tokens=tokens) <= (
        planned_update_bytes(config, SHAPE, gpus=gpus, tokens=tokens)
    )


@given(
    setting=settings, nodes=st.integers(1, 8), gpus=st.integers(2, 8), tokens=st.integers(1, 10**5)
)
def test_a_hybrid_takes_of_each_gpu_what_shards_in_one_machine_take(setting, nodes, gpus, tokens):
    hybrid, shard = (chosen((name, *setting[1:])) for name in ("hybrid", "shard"))
    assert update_moments(hybrid, SHAPE, nodes * gpus, tokens, nodes) == (
        update_moments(shard, SHAPE, gpus, tokens)
    )
    assert certain_bytes(hybrid, SHAPE, nodes * gpus, nodes) == certain_bytes(shard, SHAPE, gpus)


@given(setting=settings, gpus=st.integers(2, 64))
def test_no_gpu_loads_a_whole_model_only_to_shard_it(setting, gpus):
    config = chosen(setting)
    taken = sum(loading_bytes(config, SHAPE, gpus).values())
    whole = 4 * SHAPE.parameters
    if config.parallel == "shard":
        models = 2 if config.update.kl_coef else 1
        assert taken <= models * whole / gpus + 4 * max(SHAPE.root, SHAPE.layer) + 8
    else:
        assert whole <= taken <= 2 * whole


@given(setting=settings, gpus=st.integers(1, 64))
def test_what_is_certain_is_in_every_moment(setting, gpus):
    config = chosen(setting)
    for moment in update_moments(config, SHAPE, gpus):
        assert moment.total >= certain_bytes(config, SHAPE, gpus)
    no_reference = chosen((*setting[:3], 0))
    assert planned_update_bytes(config, SHAPE, gpus=gpus) >= planned_update_bytes(
        no_reference, SHAPE, gpus=gpus
    )


@given(setting=settings, gpus=st.integers(1, 64), tokens=st.integers(1, 10**5))
def test_adapters_take_less_than_the_weights(setting, gpus, tokens):
    config = chosen(setting)
    assert ADAPTED.parameters == SHAPE.parameters
    assert ADAPTED.trained < SHAPE.trained == SHAPE.parameters
    assert certain_bytes(config, ADAPTED, gpus) < certain_bytes(config, SHAPE, gpus)
    for small, large in zip(
        update_moments(config, ADAPTED, gpus, tokens),
        update_moments(config, SHAPE, gpus, tokens),
        strict=True,
    ):
        for part in ("gradients", "optimiser"):
            assert small.parts[part] < large.parts[part] / 10
        assert "reference" not in small.parts
        assert small.total >= certain_bytes(config, ADAPTED, gpus)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_certain_of_adapters_is_what_torch_holds(mode):
    pytest.importorskip("peft", reason="peft is not installed")
    model = small_model("llama", mode)
    planned = certain_bytes(planned_config(mode), shape_of(model, LORA), 1)
    add_adapters(model, LORA, 0)
    held = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    assert planned == held + 3 * trained


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["qwen3", "llama"])
def test_a_layer_with_adapters_keeps_hardly_less_than_is_planned(kind, mode):
    """An upper bound: inputs that frozen products do not keep any more are counted still."""
    pytest.importorskip("peft", reason="peft is not installed")
    kept = []
    for layers in (2, 1):
        model = small_model(kind, mode, num_hidden_layers=layers)
        shape = shape_of(model, LORA)
        add_adapters(model, LORA, 0)
        few, many = (kept_for_backward(model, mode, tokens) for tokens in (256, 512))
        kept.append(many - few)
    per_token = (kept[0] - kept[1]) / 256
    planned = layer_bytes(shape, widths(planned_config(mode), 1))
    assert per_token <= planned <= 1.5 * per_token, (per_token, planned)
