"""Time, once the GPU has done what it was given."""

from __future__ import annotations

import time

import torch


def now() -> float:
    """Seconds since some moment."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
