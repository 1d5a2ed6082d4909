"""The real pretrained model, where the network is there."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("gguf", reason="gguf is not installed")
pytest.importorskip("accelerate", reason="accelerate is not installed")

from cobasim.errors import InputError
from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.engines.model_folder import end_token_ids
from cobatrain.learner import fitting_prompts, load_policy
from cobatrain.tasks import make_task


def test_smollm2_speaks_english_and_every_prompt_fits(tmp_path):
    config = load_config("smollm2", [f"model.path={tmp_path / 'model'}"])
    try:
        trainer.prepare(config)
    except InputError as error:
        if "could not download" in str(error):
            pytest.skip(f"no network: {error}")
        raise
    model, tokenizer = load_policy(config)
    assert end_token_ids(tmp_path / "model") == (2,)
    ids = tokenizer("The sun rises in the east and sets in the west.", return_tensors="pt")
    with torch.no_grad():
        loss = model(**ids, labels=ids["input_ids"]).loss
    assert loss < 4.0  # nats a token; ln 49,152 = 10.8 for who knows nothing
    assert len(tokenizer("12345")["input_ids"]) == 5  # as the model was trained
    task = make_task(config.task, config.task_seed)
    kept, _ = fitting_prompts(task, tokenizer, config)
    assert len(kept.train) == config.task["train_size"]
