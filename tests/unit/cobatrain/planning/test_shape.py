"""Counts of a plan are those of the real model; folders that are none are refused."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from planned_models import small_model

from cobasim.errors import InputError
from cobatrain.config import load_config
from cobatrain.planning import model_shape, shape_of
from cobatrain.tiny import build_tiny


@pytest.mark.parametrize("tied", [False, True])
def test_counts_are_those_of_the_real_model(tmp_path, tied):
    path = tmp_path / "model"
    model, _ = build_tiny(path, 0, hidden=64, layers=3, heads=2, tied=tied)
    real = sum(p.numel() for p in model.parameters())
    tiny = {"hidden": 64, "layers": 3, "heads": 2, "tied": tied}
    settings = [f"model.path={path}", f"model.tiny={json.dumps(tiny)}"]
    shape = model_shape(load_config("tiny", settings))
    assert shape.parameters == real
    assert shape.layers * shape.layer + shape.root == real
    assert shape.head == model.lm_head.weight.numel()
    norms = sum(p.numel() for p in model.parameters() if p.ndim == 1)
    assert shape.products == real - norms - (0 if tied else shape.head)
    missing = load_config("tiny", [f"model.path={tmp_path / 'other'}", settings[1]])
    assert model_shape(missing) == shape  # what prepare would make


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "llama"])
def test_a_folder_needs_nothing_but_its_config(tmp_path, kind):
    model = small_model(kind, "float32")
    model.config.save_pretrained(tmp_path)
    read = model_shape(load_config("tiny", [f"model.path={tmp_path}"]))
    assert read == shape_of(model)
    assert read.qk_norm == (kind == "qwen3")
    assert read.key < read.query


@pytest.mark.parametrize(
    ("name", "parameters"),  # as the weights on the hub have them
    [("qwen2.5-7b", 7_615_616_512), ("qwen3-1.7b", 1_720_574_976), ("smollm2", 134_515_008)],
)
def test_models_of_the_shipped_configs_are_known_before_a_download(
    name, parameters, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # where no model is
    assert model_shape(load_config(name)).parameters == parameters


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no config\.json"),
        ("{", "not JSON"),
        ("[]", "names no model_type"),
        ('{"model_type": "nonsense"}', "transformers can build"),
        ('{"model_type": "bert", "hidden_size": "wide"}', "transformers can build"),
        ('{"model_type": "mixtral", "num_hidden_layers": 1, "hidden_size": 8, '
         '"intermediate_size": 8, "num_attention_heads": 2, "num_key_value_heads": 2, '
         '"vocab_size": 9}', "dense models only"),
    ],
)  # fmt: skip
def test_folders_that_are_no_models(tmp_path, content, message):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=message):
        model_shape(load_config("tiny", [f"model.path={tmp_path}"]))


def test_an_unknown_model_says_what_to_download():
    config = load_config("qwen3-1.7b", ["model.path=models/Nobody-9B"])
    with pytest.raises(InputError, match=r"Nobody-9B.*config\.json"):
        model_shape(config)
