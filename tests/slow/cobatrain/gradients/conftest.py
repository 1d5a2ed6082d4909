"""A small language model, opened once for all measurements."""

import pytest


@pytest.fixture(scope="package")
def learner(tmp_path_factory):
    from training import SMALL

    from cobatrain import trainer
    from cobatrain.config import load_config

    path = tmp_path_factory.mktemp("models") / "small"
    config = load_config("tiny", [*SMALL, f"model.path={path}", "evaluation.prompts=20"])
    trainer.prepare(config)
    with trainer.open_learner(config) as (opened, _):
        yield opened
