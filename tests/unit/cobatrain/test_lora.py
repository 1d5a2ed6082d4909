"""LoRA: the model that was loaded until a step is made; only adapters learn; merged is the same."""

from __future__ import annotations

import copy
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("peft", reason="peft is not installed")

from adapted import LORA, adapted
from engine_setup import BUDGETS, PROMPTS, SAMPLING, SEEDS, config_for, largest_difference, load
from small_updates import UNEQUAL, gpt2, make_batch, qwen3

from cobasim.errors import InputError
from cobatrain.engines import make_engine
from cobatrain.engines.weights import named_weights
from cobatrain.gradients.per_prompt import only_parameters
from cobatrain.lora import (
    LoraConfig,
    adapted_layers,
    adapter_size,
    adapters_off,
    add_adapters,
    merge_adapters,
    plain_parameters,
)
from cobatrain.parallel import load_weights, save_checkpoint, whole_weights
from cobatrain.update import UpdateConfig, make_optimiser, update

KINDS = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
TOKENS = torch.tensor([[3, 1, 4, 1, 5, 9, 2, 6]])
STEP = UpdateConfig(learning_rate=1e-2)


def logits(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).logits


def weights(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("targets", [(), ("q_proj", "v_proj")])
def test_before_the_first_step_the_model_is_the_one_that_was_loaded(tied, targets):
    base = qwen3(tied=tied)
    config = LoraConfig(rank=3, targets=targets)
    before = torch.random.get_rng_state()
    model = adapted(copy.deepcopy(base), config)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(logits(model), logits(base))
    assert len(adapted_layers(model)) == 2 * len(targets or KINDS)
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, _ in model.named_parameters() if ".lora_" in name}
    size = adapter_size(base, config)
    assert size.numbers == sum(p.numel() for p in model.parameters() if p.requires_grad)
    plain = dict(plain_parameters(model))
    assert list(plain) == [name for name, _ in base.named_parameters()]
    for name, weight in base.named_parameters():
        assert torch.equal(plain[name], weight)


def test_adapters_depend_on_the_seed_alone():
    models = []
    for state, seed in ((1, 5), (2, 5), (2, 6)):
        model = qwen3()
        torch.manual_seed(state)
        models.append(weights(adapted(model, seed=seed)))
    name = next(name for name in models[0] if ".lora_A." in name)
    assert torch.equal(models[0][name], models[1][name])
    assert not torch.equal(models[0][name], models[2][name])


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_step_changes_adapters_and_nothing_else(tied, checkpointing):
    model = adapted(qwen3(tied=tied), learned=0.1)
    before = weights(model)
    optimiser = make_optimiser(model, 1e-2, weight_decay=0.1)
    config = STEP.model_copy(update={"gradient_checkpointing": checkpointing})
    update(model, optimiser, make_batch(UNEQUAL), config)
    held = {id(p) for group in optimiser.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) == (".lora_" not in name), name
        assert (id(parameter) in held) == (".lora_" in name)


def test_gradients_of_adapters_are_those_of_the_weights_seen_through_them():
    """d/dB = s G A', d/dA = s B' G, where G is the gradient of the merged weight."""
    model = adapted(qwen3(), learned=0.1)
    plain = qwen3()
    plain.load_state_dict(dict(plain_parameters(model)), strict=False)
    found = []
    for one in (model, plain):
        optimiser = torch.optim.SGD([p for p in one.parameters() if p.requires_grad], lr=1.0)
        before = weights(one)
        update(one, optimiser, make_batch(UNEQUAL), STEP.model_copy(update={"max_grad_norm": None}))
        found.append({name: before[name] - p.detach() for name, p in one.named_parameters()})
    start = adapted(qwen3(), learned=0.1)
    for name, layer in adapted_layers(start).items():
        whole = found[1][f"{name}.weight"]
        first, last = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        scale = LORA.alpha / LORA.rank
        for part, expected in (("A", last.T @ whole), ("B", whole @ first.T)):
            got = found[0][f"{name}.lora_{part}.default.weight"]
            torch.testing.assert_close(got, scale * expected.detach(), rtol=2e-3, atol=2e-6)


@pytest.mark.parametrize("tied", [False, True])
def test_merged_weights_compute_the_same_and_the_model_keeps_its_own(tied):
    base = qwen3(tied=tied)
    model = adapted(copy.deepcopy(base), learned=0.3)
    before, expected = weights(model), logits(model)
    assert (expected - logits(base)).abs().max() > 0.1  # adapters do something
    other = qwen3(seed=1, tied=tied)
    own = dict(other.named_parameters())
    with torch.no_grad():
        for name, weight in named_weights(model):
            own[name].copy_(weight)
    torch.testing.assert_close(logits(other), expected, rtol=0, atol=1e-4)
    for name, weight in model.named_parameters():
        assert torch.equal(weight, before[name])
    merge_adapters(model)
    assert torch.equal(logits(model), logits(other))
    assert [name for name, _ in model.named_parameters()] == list(own)
    assert not hasattr(model, "peft_config")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_adapters_are_float32_at_least(dtype):
    model = adapted(qwen3().to(dtype), learned=0.1)
    kept = {p.dtype for p in model.parameters() if p.requires_grad}
    assert kept == {torch.promote_types(dtype, torch.float32)}
    assert {weight.dtype for _, weight in plain_parameters(model)} == {dtype}
    update(model, make_optimiser(model, 1e-2), make_batch(UNEQUAL), STEP)


def test_the_reference_of_the_kl_is_the_model_with_its_adapters_off():
    base = qwen3()
    config = STEP.model_copy(update={"kl_coef": 0.5})
    after = []
    for own in (True, False):
        model = adapted(copy.deepcopy(base), learned=0.2)
        with adapters_off(model):
            assert torch.equal(logits(model), logits(base))
        assert not torch.equal(logits(model), logits(base))
        metrics = update(
            model, make_optimiser(model, 1e-2), make_batch(UNEQUAL), config,
            reference=model if own else base,
        )  # fmt: skip
        assert metrics["kl"] > 1e-3
        after.append((metrics, weights(model)))
    assert after[0][0] == after[1][0]
    for name, weight in after[0][1].items():
        assert torch.equal(weight, after[1][1][name])
    with adapters_off(base):  # a plain model as ever
        assert torch.equal(logits(base), logits(adapted(copy.deepcopy(base))))


def test_checkpoints_hold_adapters_only_and_fit_no_other_model(tmp_path):
    model = adapted(qwen3(), learned=0.2)
    stored = whole_weights(model)
    assert set(stored) == {name for name, _ in model.named_parameters() if ".lora_" in name}
    checkpoint = save_checkpoint(tmp_path, 1, stored, {}, {})
    again = adapted(qwen3(), seed=3)
    load_weights(checkpoint, again)
    assert torch.equal(logits(again), logits(model))
    for other in (
        qwen3(),
        adapted(qwen3(), LoraConfig(rank=4)),
        adapted(qwen3(), LoraConfig(rank=3, targets=("q_proj",))),
    ):
        before = weights(other)
        with pytest.raises(InputError, match="does not fit this model") as caught:
            load_weights(checkpoint, other)
        assert "\n" not in str(caught.value)
        for name, weight in other.named_parameters():
            assert torch.equal(weight, before[name])


@pytest.mark.parametrize("tied", [False, True])
def test_engines_sample_from_the_merged_weights(tiny_folders, tied):
    model = adapted(load(tiny_folders[tied]), learned=0.1)
    with make_engine(config_for("transformers"), tiny_folders[tied]) as engine:
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert largest_difference(model, PROMPTS, rollouts) > 1e-2  # can fail
        engine.sync(model)
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert largest_difference(model, PROMPTS, rollouts) < 1e-4


def test_a_part_of_the_adapters_can_be_measured():
    model = adapted(qwen3())
    with only_parameters(model, "lora_A"):
        left = {name for name, p in model.named_parameters() if p.requires_grad}
    assert left == {name for name, _ in model.named_parameters() if ".lora_A." in name}
    with (
        pytest.raises(InputError, match="found in no name of the 28 trained"),
        only_parameters(model, "embed"),
    ):
        pass


def test_what_cannot_be_adapted_is_one_line(monkeypatch):
    names = ", ".join(KINDS)
    for target in ("q_prj", "lm_head", "layers"):
        with pytest.raises(InputError, match=f"no linear layer is named '{target}'.* {names}"):
            add_adapters(qwen3(), LoraConfig(targets=("v_proj", target)), 0)
    with pytest.raises(InputError, match="GPT2LMHeadModel has no linear layers"):
        add_adapters(gpt2(), LORA, 0)
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"needs the package peft: pip install peft"):
        add_adapters(qwen3(), LORA, 0)
