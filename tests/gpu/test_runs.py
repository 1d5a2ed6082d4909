"""Whole runs and measurements on a GPU."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from training import plain

from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.gradients import GradientOptions, decide, measure_gradients
from cobatrain.parallel import checkpoints, load_checkpoint


def config_of(tiny, *settings: str):
    return load_config(
        "tiny-compare",
        [
            f"model.path={tiny}", "loop.steps=8", "loop.eval_every=4", "checkpoint.every=4",
            "checkpoint.keep=3", "evaluation.exact=true", *settings,
        ],
    )  # fmt: skip


@pytest.mark.parametrize("allocator", ["coba", "signal-parts"])
def test_a_run_learns_and_is_as_on_a_cpu(tiny, tmp_path, allocator):
    """The first step samples the same tokens on both; later ones may differ by rounding."""
    runs = {}
    for device in ("cuda", "cpu"):
        config = config_of(tiny, f"model.device={device}", f"allocator={allocator}")
        trainer.train(config, tmp_path / device)
        runs[device] = plain(tmp_path / device)
    gpu, cpu = runs["cuda"], runs["cpu"]
    gpu_steps, cpu_steps = gpu[1:], cpu[1:]
    apart = [
        abs(a["failure_rate"] - b["failure_rate"])
        for a, b in zip(gpu_steps, cpu_steps, strict=True)
    ]
    print(f"failure rates, GPU minus CPU, by step: {apart}")
    assert apart[0] == 0
    ends = [run[-1]["evaluation"]["heldout"] for run in (gpu, cpu)]
    starts = [run[0]["evaluation"]["heldout"] for run in (gpu, cpu)]
    print(f"held out: {starts} at the start, {ends} at the end")
    assert starts[0] == pytest.approx(starts[1], abs=1e-4)
    assert ends[0] == pytest.approx(ends[1], abs=0.02)


def test_a_resumed_run_is_the_unbroken_one(tiny, tmp_path):
    config = config_of(tiny, "model.device=cuda")
    trainer.train(config, tmp_path / "whole")
    kept = tmp_path / "whole" / "checkpoints" / "step-000004"
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("header.json", "steps.jsonl"):
        (broken / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    (broken / "checkpoints").mkdir()
    kept.rename(broken / "checkpoints" / kept.name)
    trainer.train(config, broken, resume=True)
    whole, again = plain(tmp_path / "whole"), plain(broken)
    assert len(whole) == len(again)
    for one, other in zip(whole, again, strict=True):
        assert one["bins"] == other["bins"]
        assert one["failure_rate"] == other["failure_rate"]


def test_a_checkpoint_of_a_gpu_loads_on_a_cpu(tiny, tmp_path):
    from transformers import AutoModelForCausalLM

    trainer.train(config_of(tiny, "model.device=cuda"), tmp_path / "run")
    model = AutoModelForCausalLM.from_pretrained(tiny)
    before = [p.detach().clone() for p in model.parameters()]
    state = load_checkpoint(checkpoints(tmp_path / "run")[-1], model)
    assert state["step"] == 8
    assert any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.parametrize("method", ["exact", "rollouts"])
def test_measured_gradients_are_those_of_a_cpu(tiny, method):
    options = GradientOptions(
        method=method, prompts=60, groups=24, rollouts=8, dim=4096, rank=32, rest=64, plain_rank=8
    )
    overall = {}
    for device in ("cuda", "cpu"):
        settings = [f"model.device={device}", "task.train_size=200", "task.heldout_size=40"]
        with trainer.open_learner(config_of(tiny, *settings)) as (learner, _):
            overall[device] = measure_gradients(learner, decide(learner, options)).parts.overall
    for part in ("within", "own", "shared"):
        one, other = (getattr(overall[device], part).value for device in ("cuda", "cpu"))
        print(f"{method}: {part} {one:.4g} on the GPU, {other:.4g} on the CPU")
        assert one == pytest.approx(other, rel=0.02)
