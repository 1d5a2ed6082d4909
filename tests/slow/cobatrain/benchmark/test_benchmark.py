"""Where a step's time goes: every phase is charged for its own; no test depends on a speed."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobatrain.benchmark import measure
from cobatrain.benchmark.bare import bare_seconds, caught_batches
from cobatrain.benchmark.peak_memory import PeakMemory
from cobatrain.config import load_config
from cobatrain.engines import HfEngine
from cobatrain.heap import keep_freed_memory
from cobatrain.tasks import Task
from cobatrain.tiny import build_tiny
from cobatrain.trainer import open_learner

SMALL = [
    "loop.batch_size=8", "loop.total_budget=64", "task.train_size=400", "task.heldout_size=50",
    "sampling.max_tokens=5", "engine.name=transformers",
]  # fmt: skip


PHASES = ("generate_ms", "forward_backward_ms", "allocate_ms", "sync_ms", "reward_ms", "rest_ms")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "untrained"
    build_tiny(path, 0, hidden=64, layers=2, heads=2)
    return [*SMALL, f"model.path={path}"]


@pytest.fixture(autouse=True)
def some_signal(monkeypatch):
    """An untrained model never solves anything: rewards are drawn instead."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(
        Task,
        "score",
        lambda self, prompts, texts, finished=None: rng.integers(2, size=len(texts)) * 1.0,
    )


def slowed(act, seconds):
    def slow(*arguments, **options):
        time.sleep(seconds)
        return act(*arguments, **options)

    return slow


def test_every_phase_is_charged_for_its_own(settings, monkeypatch):
    config = load_config("tiny", settings)
    before = torch.Tensor.backward
    monkeypatch.setattr(HfEngine, "sync", slowed_sync(0.3))
    monkeypatch.setattr(Task, "score", slowed(Task.score, 0.2))
    adam = torch.optim.AdamW  # of the update, but not the model's own
    monkeypatch.setattr(adam, "step", slowed(adam.step, 0.4))
    found = measure(config, steps=3, warm_up=1, pairs=1)
    assert torch.Tensor.backward is before
    assert found.sync_ms >= 300
    assert found.reward_ms >= 200
    assert found.rest_ms >= 400
    assert found.generate_ms < 200
    assert found.forward_backward_ms < 400
    assert found.overhead_share > 0.5
    figures = {name: (figure, met) for name, _, figure, _, met in found.rows()}
    assert figures["all overheads"][1] is False
    assert figures["weight sync"][1] is (found.sync_share < 0.1)
    assert found.step_ms == pytest.approx(sum(getattr(found, name) for name in PHASES), rel=0.2)


def slowed_sync(seconds):
    real = HfEngine.sync

    def sync(self, model):
        time.sleep(seconds)
        return real(self, model) + seconds

    return sync


def test_the_models_time_is_the_models(settings, monkeypatch):
    from transformers import Qwen3ForCausalLM

    monkeypatch.setattr(Qwen3ForCausalLM, "forward", slowed(Qwen3ForCausalLM.forward, 0.3))
    found = measure(
        load_config("tiny", [*settings, "engine.subprocess=true"]), steps=2, warm_up=1, pairs=1
    )
    assert found.forward_backward_ms >= 300  # the engine's model, elsewhere, is not slowed
    assert found.rest_ms < 300
    assert found.direct_ratio is None
    assert "generate / direct" not in [row[0] for row in found.rows()]


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_command_prints_every_figure(settings, engine, cobatrain):
    if engine == "vllm":
        pytest.importorskip("vllm", reason="vllm is not installed")
    chosen = [word for text in (*settings, f"engine.name={engine}") for word in ("--set", text)]
    answer = cobatrain("benchmark", "tiny", "--steps", 2, "--json", *chosen)
    assert answer.code == 0
    found = json.loads(answer.out[answer.out.index("{") :])
    assert (found["engine"], found["prompts"], found["rollouts"]) == (engine, 8, 64)
    for name in (*PHASES, "checkpoint_ms", "checkpoint_ms_per_step", "tokens"):
        assert found[name] > 0, name
    for name in ("allocation_share", "sync_share", "overhead_share"):
        assert 0 < found[name] < 1, name
    assert found["overhead_share"] > found["sync_share"]
    assert found["direct_ratio"] > 0.3
    assert found["update_ratio"] > 0.1
    assert found["peak_gib"] > 0.1
    assert found["trained_per_second"] > 0
    assert found["sampled_per_second"] == pytest.approx(
        1e3 * found["tokens"] / found["generate_ms"], rel=0.5
    )
    assert set(found["limits"]) == {
        "allocation", "weight sync", "all overheads", "generate / direct"
    }  # fmt: skip


def test_an_update_is_compared_with_the_bare_model_on_the_rollouts_that_it_trains_on(settings):
    config = load_config("tiny", settings)
    with open_learner(config) as (learner, _), caught_batches(learner) as caught:
        learner.rollout(np.arange(8), np.full(8, 8))
        batch = learner.pending.batch
        numbers = learner.update()
        assert caught == [batch]
        before = [p.detach().clone() for p in learner.model.parameters()]
        rows = []
        learner.model.register_forward_pre_hook(
            lambda _, given, named: rows.append(len(named["input_ids"])), with_kwargs=True
        )
        assert bare_seconds(learner, batch) > 0
        assert sum(rows) == numbers["rollouts_trained"]
        assert all(
            torch.equal(p, q) for p, q in zip(before, learner.model.parameters(), strict=True)
        )
        assert all(p.grad is None for p in learner.model.parameters())
        assert bare_seconds(learner, replace(batch, rewards=np.zeros(len(batch)))) == 0


def test_the_peak_of_memory_is_that_since_the_last_look():
    """Also where the process keeps what it frees, as one that has trained does."""
    keep_freed_memory()
    peak = PeakMemory(torch.device("cpu"))
    block = torch.ones(50_000_000)
    peak.restart()
    with_block = peak.bytes()
    del block
    peak.restart()
    assert with_block - peak.bytes() > 150_000_000


def test_nothing_to_measure_is_refused(settings, monkeypatch):
    monkeypatch.setattr(
        Task, "score", lambda self, prompts, texts, finished=None: np.zeros(len(texts))
    )
    with pytest.raises(InputError, match="no group was mixed"):
        measure(load_config("tiny", settings), steps=1, warm_up=1, pairs=1)
    with pytest.raises(InputError, match="at least 1"):
        measure(load_config("tiny", settings), steps=0)
