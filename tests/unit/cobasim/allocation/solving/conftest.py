import signal
from contextlib import contextmanager

import pytest


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
