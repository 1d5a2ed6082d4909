"""A small language model that is trained, and its configs."""

import pytest


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A small language model after a short supervised warm-up, made by ``prepare`` itself."""
    from training import SMALL

    from cobatrain import trainer
    from cobatrain.config import load_config

    path = tmp_path_factory.mktemp("models") / "small"
    assert trainer.prepare(load_config("tiny", [*SMALL, f"model.path={path}"])) == path
    assert not list(path.parent.glob(".*"))
    return path


@pytest.fixture
def config(model):
    """``config("loop.steps=4", ...)``: a short training run of that model."""
    from training import SMALL

    from cobatrain.config import load_config

    def build(*settings, **chosen):
        return load_config("tiny", [*SMALL, f"model.path={model}", *settings], **chosen)

    return build
