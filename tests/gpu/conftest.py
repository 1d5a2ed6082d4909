"""Everything in this folder needs a GPU, and is skipped without one.

    pytest tests/gpu

One card, no network, no vLLM (whose tests are skipped where it is missing), under 10 minutes. The
model of docs/real and random ones are all that it loads.
"""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, and say why; this hook sees the items of every folder."""
    if torch.cuda.is_available():
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="no GPU"))


@pytest.fixture(autouse=True)
def _memory():
    """Each test starts with the card empty and the peak at zero."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


@pytest.fixture
def tiny():
    """The model of docs/real/measured: 1M parameters, trained to add."""
    return Path(__file__).parents[2] / "docs" / "real" / "measured" / "model"
