"""A small language model that is trained, and its configs."""

import os

import pytest


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A small language model after a short supervised warm-up, made by ``prepare`` itself.

    Made once for all workers of a test session: it takes half a minute.
    """
    from filelock import FileLock
    from training import SMALL

    from cobatrain import trainer
    from cobatrain.config import load_config

    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "models"
    path = folder / "small"
    with FileLock(f"{folder}.lock"):
        if not path.exists():
            folder.mkdir(exist_ok=True)
            assert trainer.prepare(load_config("tiny", [*SMALL, f"model.path={path}"])) == path
            assert not list(folder.glob(".*"))
    return path


@pytest.fixture
def config(model):
    """``config("loop.steps=4", ...)``: a short training run of that model."""
    from training import SMALL

    from cobatrain.config import load_config

    def build(*settings, **chosen):
        return load_config("tiny", [*SMALL, f"model.path={model}", *settings], **chosen)

    return build
