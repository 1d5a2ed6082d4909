"""The comparison that the app shows before one is started: the default settings of its page."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from cobasim.files import example
from cobasim.records import Run, read_archive
from cobasim.scores import Row, comparison_table

ARCHIVE = "comparison.jsonl.gz"
NOISES = (0.0, 20.0)
"""Noise that a prompt's rollouts share, in the two worlds that are compared."""


@cache
def known_comparison() -> dict[float, list[Row]]:
    """Rows of the comparison by the noise that a prompt's rollouts share; empty without the file.

    ``tests/support/example_comparison.py`` made the file, which keeps evaluations only.
    """
    path = example(ARCHIVE)
    if path is None:
        return {}
    runs = read_archive(path)
    return {noise: comparison_table(_with_noise(runs, noise)) for noise in NOISES}


def _with_noise(runs: Sequence[Run], noise: float) -> list[Run]:
    return [run for run in runs if run.header.config["world"]["prompt_noise"] == noise]
