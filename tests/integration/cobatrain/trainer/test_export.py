"""Exported models: the checkpoint's, whole or not at all; what cannot be exported is one line."""

from __future__ import annotations

import json
import shutil

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from adapted import LORA, adapted
from checkpointed import run_with
from engine_setup import BUDGETS, PROMPTS, SAMPLING, SEEDS, config_for, largest_difference, shake
from transformers import AutoModelForCausalLM, AutoTokenizer

from cobatrain.config import load_config
from cobatrain.engines import make_engine
from cobatrain.engines.model_folder import stored_names


@pytest.fixture
def base(tiny_folders, tmp_path, request):
    """A model folder with a chat template, a licence and weights of another format beside."""
    folder = tmp_path / "base"
    shutil.copytree(tiny_folders[getattr(request, "param", False)], folder)
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}=")
    (folder / "LICENSE").write_text("free\n")
    (folder / "pytorch_model.bin").write_bytes(b"old weights")
    declared = {"eos_token_id": [1, 2], "temperature": 0.5, "transformers_version": "5.0.0"}
    (folder / "generation_config.json").write_text(json.dumps(declared))
    return folder


@pytest.fixture
def trained(base, tmp_path):
    """(run, {step: model}): checkpoints of models that differ in every weight."""
    models = {}
    for step in (3, 12):
        models[step] = AutoModelForCausalLM.from_pretrained(base)
        shake(models[step], step)
    config = load_config("tiny", [f"model.path={base}"])
    return run_with(tmp_path / "run", config, models), models


@pytest.mark.parametrize("base", [False, True], indirect=True, ids=["untied", "tied"])
@pytest.mark.parametrize("step", [None, 3])
def test_what_is_exported_is_the_checkpoint(base, trained, tmp_path, cobatrain, step):
    run, models = trained
    out = tmp_path / "new" / "exported"
    options = () if step is None else ("--step", step)
    answer = cobatrain("export", run, "--out", out, *options)
    assert answer.code == 0, answer.err
    model = models[step or 12]
    exported = AutoModelForCausalLM.from_pretrained(out)
    for name, tensor in model.state_dict().items():
        assert torch.equal(exported.state_dict()[name], tensor), name
    ids = torch.tensor([PROMPTS[0]])
    assert torch.equal(exported(ids).logits, model(ids).logits)
    for name in ("chat_template.jinja", "LICENSE", "generation_config.json", "tokenizer.json"):
        assert (out / name).read_bytes() == (base / name).read_bytes()
    assert not (out / "pytorch_model.bin").exists()
    modes = [(out / name).stat().st_mode for name in ("model.safetensors", "config.json")]
    assert modes[0] == modes[1]  # not for its owner alone
    template = AutoTokenizer.from_pretrained(out).chat_template
    assert template == (base / "chat_template.jinja").read_text()
    with make_engine(config_for("transformers"), out) as engine:
        assert engine.end_ids == (1, 2)
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    assert largest_difference(model, PROMPTS, rollouts) < 1e-4
    assert [path.name for path in out.parent.iterdir()] == ["exported"]


@pytest.mark.parametrize("base", [False, True], indirect=True, ids=["untied", "tied"])
def test_adapters_are_merged_into_what_is_exported(base, tmp_path, cobatrain):
    pytest.importorskip("peft", reason="peft is not installed")
    model = adapted(AutoModelForCausalLM.from_pretrained(base), learned=0.1)
    lora = f"model.lora={LORA.model_dump_json()}"
    config = load_config("tiny", [f"model.path={base}", lora])
    run = run_with(tmp_path / "run", config, {5: model})
    out = tmp_path / "exported"
    answer = cobatrain("export", run, "--out", out)
    assert answer.code == 0, answer.err
    exported = AutoModelForCausalLM.from_pretrained(out)
    ids = torch.tensor([PROMPTS[0]])
    torch.testing.assert_close(exported(ids).logits, model(ids).logits, rtol=0, atol=1e-4)
    original = AutoModelForCausalLM.from_pretrained(base)
    assert (original(ids).logits - model(ids).logits).abs().max() > 1e-2  # can fail
    assert stored_names(out) == stored_names(base)


def test_what_cannot_be_exported_is_one_line(base, trained, tmp_path, cobatrain, monkeypatch):
    run, _ = trained
    config = load_config("tiny", [f"model.path={base}"])
    empty = run_with(tmp_path / "empty", config, {})
    out = tmp_path / "out"
    out.mkdir()
    new = tmp_path / "other"
    cases = [
        ((run, "--out", out), "exists already"),
        ((run, "--out", new, "--step", 4), "no checkpoint of step 4; it has 3, 12"),
        ((empty, "--out", new), "has no checkpoint"),
        ((tmp_path / "nowhere", "--out", new), "nowhere"),
    ]
    for arguments, words in cases:
        answer = cobatrain("export", *arguments)
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.startswith("error: ")
        assert answer.err.count("\n") == 1
        assert words in answer.err
    monkeypatch.setattr(shutil, "copyfile", _full)
    answer = cobatrain("export", run, "--out", new)
    assert answer.code == 2
    assert "No space" in answer.err
    assert not list(tmp_path.glob("*other*"))  # nothing is left behind
    shutil.rmtree(base)
    answer = cobatrain("export", run, "--out", new)
    assert answer.code == 2
    assert "does not exist" in answer.err


def _full(*_):
    raise OSError(28, "No space left on device")
