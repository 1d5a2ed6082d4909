"""A tiny reproduction."""

from __future__ import annotations

from pathlib import Path

import pytest

from cobasim.experiments import reproduction
from cobasim.experiments.reproduction import solver_times

TINY = reproduction.Preset(
    batch_size=12, num_prompts=36, num_heldout=24, steps=9, seeds=2, high=64
)  # fmt: skip


def reproduce_tiny(out: Path) -> dict:
    """Run the whole tiny reproduction; solver times are made up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            solver_times, "solver_seconds", lambda *_: {"dp": 2.0, "heap": 0.5, "threshold": 0.01}
        )
        return reproduction.reproduce(TINY, out, command="cobasim reproduce <tiny>", jobs=2)
