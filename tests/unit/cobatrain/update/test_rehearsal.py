"""A rehearsal runs what an update runs, and leaves everything as it was."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from small_updates import UNEQUAL, make_batch, qwen3

from cobasim.errors import InputError
from cobatrain.update import UpdateConfig, make_optimiser, rehearse, update


def seen_shapes(model, run) -> list:
    """Shapes of the token ids that the model was called with."""
    shapes = []
    hook = model.model.register_forward_pre_hook(
        lambda _, args, kwargs: shapes.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    run()
    hook.remove()
    return shapes


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize(
    ("micro_tokens", "rows", "packed"), [(100, 5, (2, 47)), (20, 1, (1, 19)), (7, 1, (1, 19))]
)
def test_the_largest_micro_batch_is_run_and_nothing_is_changed(
    checkpointing, micro_tokens, rows, packed
):
    model = qwen3().train()
    config = UpdateConfig(micro_tokens=micro_tokens, gradient_checkpointing=checkpointing)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.lm_head.weight.grad = torch.ones_like(model.lm_head.weight)
    state = torch.get_rng_state()
    shapes = seen_shapes(model, lambda: rehearse(model, config, 20, 8))
    assert set(shapes) == {(rows, 20), packed}  # rows of 12 + 5 * 7 tokens, or one rollout
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.lm_head.weight.grad, torch.ones_like(model.lm_head.weight))
    assert all(p.grad is None for n, p in model.named_parameters() if n != "lm_head.weight")
    assert model.training


def test_an_update_after_it_is_the_same():
    batch, after = make_batch(UNEQUAL, mixed=[1, 2]), []
    for rehearsed in (False, True):
        model = qwen3()
        optimiser = make_optimiser(model, 1e-3)
        if rehearsed:
            rehearse(model, UpdateConfig(), 30, 8, reference=qwen3(seed=1))
        update(model, optimiser, batch, UpdateConfig())
        after.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(*after)


def test_what_does_not_fit_names_the_setting(monkeypatch):
    model = qwen3()

    def full(*_args, **_kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB. GPU 0 has")

    monkeypatch.setattr("cobatrain.update.rehearsal.token_log_probs", full)
    with pytest.raises(InputError, match=r"10,000 tokens \(500 rollouts of 20\).*to 5000 or"):
        rehearse(model, UpdateConfig(micro_tokens=10_000), 20, 8)
    assert all(p.grad is None for p in model.parameters())
