"""Beliefs that start from counts measured before the run, matched to the task by text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from cobasim.arrays import IntArray
from cobasim.data import MeasuredRates, read_measured
from cobasim.errors import InputError
from cobatrain.config import PassRatesConfig
from cobatrain.tasks import Prompt


def first_counts(
    config: PassRatesConfig | None,
    prompts: Sequence[Prompt],
    say: Callable[[str], None] = lambda _: None,
) -> tuple[IntArray, IntArray] | None:
    """Attempts and passes (P,) of a pool of prompts from a file; None without one.

    A prompt takes the counts of the row with its very text. Prompts that the file lacks are unseen.
    ``say`` gets a line about what was read and how many prompts it knows.

    Raises InputError for a file that cannot be read, that does not say how many attempts are behind
    its rates, that holds a prompt twice, or that knows no prompt of the pool.
    """
    if config is None:
        return None
    measured = read_measured(config.path, config.reading)
    if measured.attempts is None:
        raise InputError(
            f"{measured.source}: beliefs start from counts, and the file has no attempts: add "
            "pass_rates.attempts (a column, or one number)"
        )
    rows = _rows(measured)
    found = np.array([rows.get(prompt.text, -1) for prompt in prompts], dtype=np.int64)
    known = found >= 0
    if not known.any():
        raise InputError(
            f"{measured.source}: none of its {len(rows):,} prompts is one of the task's "
            f"{len(prompts):,}; its first is {next(iter(rows))[:60]!r}, the task's "
            f"{prompts[0].text[:60]!r}"
        )
    attempts, passes = np.zeros((2, len(prompts)), dtype=np.int64)
    attempts[known] = np.rint(measured.attempts[found[known]])
    passes[known] = np.rint(measured.attempts[found[known]] * measured.pass_rate[found[known]])
    say(
        f"{measured.summary}; beliefs of {np.count_nonzero(known):,} of {len(prompts):,} prompts "
        "start from it"
    )
    return attempts, passes


def _rows(measured: MeasuredRates) -> dict[str, int]:
    """Row of each prompt. Raises InputError for one that is there twice."""
    assert measured.prompts is not None
    rows: dict[str, int] = {}
    for row, text in enumerate(measured.prompts):
        if rows.setdefault(text, row) != row:
            raise InputError(
                f"{measured.source}: the prompt {text[:60]!r} is in it more than once; give one "
                "row a prompt, or one row a rollout (pass_rates.group_by and pass_rates.score)"
            )
    return rows
