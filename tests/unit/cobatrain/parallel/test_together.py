"""What one rank fails at, all fail at."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import Peers

from cobatrain.parallel import PeerError, Single, together


def test_together_fails_everywhere_or_nowhere():
    assert together(Single(), lambda: 3) == 3
    assert together(Peers(None), lambda: 3) == 3
    with pytest.raises(PeerError, match="rank 1 failed: full"):
        together(Peers("full"), lambda: 3)
    with pytest.raises(ZeroDivisionError):
        together(Peers("full"), lambda: 1 // 0)
