"""Memory that is freed is kept, and the next use of it costs no page fault."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")

PROGRAM = """
import resource, sys
import numpy as np
from cobatrain.heap import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

kept = keep_freed_memory() if sys.argv[1] == "keep" else True
for _ in range(2):
    np.ones(8_000_000)
before = faults()
for _ in range(5):
    np.ones(8_000_000)
print(int(kept), faults() - before)
"""


def _faults(mode: str) -> tuple[bool, int]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.split()
    return bool(int(kept)), int(faults)


def test_a_freed_array_is_used_again():
    kept, faults = _faults("keep")
    if not kept:
        pytest.skip("this C library has no mallopt")
    assert faults < 100
    assert _faults("leave")[1] > 10 * max(faults, 1)
