"""A run that cannot fit on its GPU ends before anything is read or written."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from cobasim.errors import InputError
from cobatrain import trainer
from cobatrain.config import load_config


def test_a_model_larger_than_the_card_is_refused_first(tmp_path, monkeypatch):
    class Card:
        total_memory = 80 * 2**30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: Card)
    config = load_config("qwen2.5-7b", ["model.device=cuda"])  # neither model nor data are there
    with pytest.raises(InputError, match=r"cannot be trained here.*first: set --gpus 2"):
        trainer.train(config, tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
