import os
import signal
from contextlib import contextmanager

import pytest
from hypothesis import settings

# a suite that a script starts in the background inherits an ignored SIGINT, and would pass it on to
# the processes that tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# idle OpenMP threads sleep rather than spin: tests run several processes on few cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# CI repeats the same examples, so that only a change can break it; elsewhere they are new
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture
def time_limit():
    """``with time_limit(seconds):`` turns a search that never ends into a failure."""

    @contextmanager
    def limited(seconds):
        def stop(*_):
            raise TimeoutError(f"still running after {seconds} s")

        before = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    return limited


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


def pytest_collection_modifyitems(items):
    """Fast tests first: the slow ones run last, each kind in its own order."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
