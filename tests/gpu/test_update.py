"""Updates on a GPU: the same gradients as on a CPU, and less memory where it was promised."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from adapted import adapted
from on_gpu import VOCABULARY, apart, llama, one_rank, peak_of_updates, rollouts, taken
from planned_models import planned_config

from cobatrain.parallel import full_parameters, shard
from cobatrain.planning import planned_update_bytes, shape_of
from cobatrain.update import UpdateConfig, update

WHOLE = 2**40  # a chunk that no batch fills


@pytest.fixture(scope="module")
def model():
    return llama()


@pytest.fixture(scope="module")
def batch():
    return rollouts(groups=4, each=4, prompt=12, response=24)


@pytest.fixture(scope="module")
def expected(model, batch):
    """On the CPU in float32."""
    return taken(model, batch, "cpu")


def test_float32_equals_the_cpu(model, batch, expected):
    found = taken(model, batch, "cuda")
    assert apart(found.gradient, expected.gradient) < 1e-4
    for name in ("loss", "grad_norm", "entropy", "log_prob_gap_mean"):
        assert found.metrics[name] == pytest.approx(expected.metrics[name], rel=1e-3, abs=1e-5)


def test_bfloat16_is_near(model, batch, expected):
    found = taken(model, batch, "cuda", bf16=True)
    assert 1e-5 < apart(found.gradient, expected.gradient) < 0.05
    assert found.metrics["entropy"] == pytest.approx(expected.metrics["entropy"], rel=1e-2)


@pytest.mark.parametrize("bf16", [False, True])
def test_micro_batches_and_chunks_change_nothing(model, batch, bf16):
    whole = taken(model, batch, "cuda", bf16=bf16, logit_chunk=WHOLE)
    bound = 2e-2 if bf16 else 1e-4
    for settings in (
        {"micro_tokens": 80},
        {"logit_chunk": 5 * VOCABULARY},
        {"gradient_checkpointing": True},
        {"skip_no_signal": False},
    ):
        other = taken(model, batch, "cuda", bf16=bf16, **settings)
        assert apart(other.gradient, whole.gradient) < bound


@pytest.mark.parametrize("bf16", [False, True])
def test_chunks_of_logits_need_less_memory(model, bf16):
    batch = rollouts(groups=8, each=8, prompt=32, response=128)
    settings = {"bf16": bf16, "micro_tokens": 16_384}
    whole = taken(model, batch, "cuda", logit_chunk=WHOLE, **settings)
    chunks = taken(model, batch, "cuda", logit_chunk=2**24, **settings)
    print(f"peak {whole.peak / 2**30:.2f} GiB whole, {chunks.peak / 2**30:.2f} GiB by chunks")
    assert chunks.peak < whole.peak / 2
    assert apart(chunks.gradient, whole.gradient) < (2e-2 if bf16 else 1e-4)


def test_checkpointing_needs_less_memory():
    model = llama(layers=16, vocabulary=1024)
    batch = rollouts(groups=8, each=8, prompt=64, response=256, vocabulary=1024)
    settings = {"bf16": True, "micro_tokens": 32_768}
    kept = taken(model, batch, "cuda", **settings)
    again = taken(model, batch, "cuda", gradient_checkpointing=True, **settings)
    print(f"peak {kept.peak / 2**30:.2f} GiB kept, {again.peak / 2**30:.2f} GiB recomputed")
    assert again.peak < kept.peak / 3
    assert apart(again.gradient, kept.gradient) < 2e-2


@pytest.mark.parametrize("bf16", [False, True])
def test_adapters_equal_the_cpu(batch, bf16):
    """Of a LoRA step too; the weights below the adapters stay where they are."""
    model = adapted(llama(), learned=0.02)
    cpu = taken(model, batch, "cpu")
    found = taken(model, batch, "cuda", bf16=bf16)
    assert apart(found.gradient, cpu.gradient) < (0.05 if bf16 else 1e-4)
    assert torch.equal(found.gradient == 0, cpu.gradient == 0) or bf16
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    assert int((found.gradient == 0).sum()) >= frozen


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("mode", ["float32", "mixed"])
def test_the_peak_of_an_update_is_within_the_plan(mode, checkpointing):
    """Weights, gradients, moments, activations, logits: as ``cobatrain plan`` adds them up."""
    sizes = {"micro_tokens": 8192, "gradient_checkpointing": checkpointing}
    sizes |= {"bf16": mode == "mixed", "shared_prompts": False}
    flags = [f"update.{name}={str(value).lower()}" for name, value in sizes.items()]
    model = llama(layers=8)
    planned = planned_update_bytes(planned_config(mode, *flags), shape_of(model), tokens=8192)
    seen = peak_of_updates(model, rollouts(groups=16, each=8, prompt=64, response=64), sizes)
    print(f"peak {seen / 2**30:.2f} GiB, planned {planned / 2**30:.2f} GiB")
    assert seen <= planned <= 1.5 * seen


@pytest.mark.parametrize("bf16", [False, True])
def test_shards_of_one_rank_change_nothing(model, batch, expected, bf16):
    """FSDP2 over NCCL: the hooks around the model and the head by chunks go together."""
    sharded = copy.deepcopy(model).cuda()
    with one_rank():
        ranks = shard(sharded, bf16=bf16)
        before = [value.clone() for _, value in full_parameters(sharded)]
        optimiser = torch.optim.SGD(sharded.parameters(), lr=1.0)
        config = UpdateConfig(max_grad_norm=None, logit_chunk=5 * VOCABULARY)
        update(sharded, optimiser, batch, config, parallel=ranks)
        moved = [
            (old - new).flatten()
            for old, (_, new) in zip(before, full_parameters(sharded), strict=True)
        ]
        gradient = torch.cat(moved).cpu()
    assert apart(gradient, expected.gradient) < (0.05 if bf16 else 1e-4)
