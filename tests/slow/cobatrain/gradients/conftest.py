"""A small language model, opened once for all measurements."""

import pytest


@pytest.fixture(scope="package")
def learner(model):
    from training import SMALL

    from cobatrain import trainer
    from cobatrain.config import load_config

    config = load_config("tiny", [*SMALL, f"model.path={model}", "evaluation.prompts=20"])
    with trainer.open_learner(config) as (opened, _):
        yield opened
