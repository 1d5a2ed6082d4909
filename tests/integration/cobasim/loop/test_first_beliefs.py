"""Beliefs that start from the counts of a file of measured pass rates."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import config, plain

from cobasim.allocation import make_allocator
from cobasim.data import MeasuredRates
from cobasim.errors import InputError
from cobasim.loop import run
from cobasim.runs import build_loop

PROMPTS = 100
RATES = np.linspace(0.0, 1.0, PROMPTS)


def pool(attempts: float | None = 16) -> MeasuredRates:
    counts = None if attempts is None else np.full(PROMPTS, float(attempts))
    return MeasuredRates(RATES, counts, np.arange(PROMPTS), "memory", PROMPTS, "rates", 0, ())


def loop_of(first: str, attempts: float | None = 16, **more):
    return build_loop(config(first_beliefs=first, **more), pool(attempts))


@pytest.mark.parametrize("estimator", ["last", "posterior", "window"])
def test_the_first_batch_is_known_as_well_as_the_file_knows_it(estimator):
    unseen = loop_of("unseen", estimator=estimator).observe()
    known = loop_of("measured", estimator=estimator).observe()
    assert np.array_equal(unseen.prompts, known.prompts)  # the same batch is drawn
    assert unseen.attempts.max() == 0
    assert (known.attempts > 0).all()
    truth = RATES[known.prompts]
    assert np.corrcoef(known.pass_rate, truth)[0, 1] > 0.9
    assert np.abs(known.pass_rate - truth).max() > 0  # but not the truth itself


def test_the_counts_are_drawn_from_where_the_prompts_start():
    """Over seeds: mean p, variance p (1 - p) / n, as n independent rollouts have."""
    rates, starts = [], build_loop(config(), pool()).learner.pass_rates(np.arange(PROMPTS))
    for seed in range(200):
        loop = loop_of("measured", estimator="last", seed=seed)
        rates.append(loop.estimator.estimate(np.arange(PROMPTS)).pass_rate)
    found = np.array(rates)
    error = np.sqrt(starts * (1 - starts) / 16)
    assert (np.abs(found.mean(axis=0) - starts) <= 5 * error / np.sqrt(200) + 1e-12).all()
    middle = slice(20, 80)
    np.testing.assert_allclose(
        found.var(axis=0)[middle].mean(), (error[middle] ** 2).mean(), rtol=0.05
    )


def test_uniform_learns_the_same_and_others_use_what_is_known():
    def records(allocator: str, first: str):
        loop = loop_of(first, allocator=allocator)
        return [plain(record) for record in run(loop, make_allocator(allocator))]

    for before, after in zip(*(records("uniform", f) for f in ("unseen", "measured")), strict=True):
        differ = {name for name in before if before[name] != after[name]}
        assert differ <= {"bins"}, differ  # what was believed of the batch
    assert records("signal", "unseen") != records("signal", "measured")


def test_prompts_without_attempts_stay_unseen():
    counts = np.where(np.arange(PROMPTS) % 2 == 0, 8.0, 0.0)
    rates = MeasuredRates(RATES, counts, np.arange(PROMPTS), "m", PROMPTS, "rates", 0, ())
    known = build_loop(config(first_beliefs="measured"), rates).observe()
    assert np.array_equal(known.attempts > 0, known.prompts % 2 == 0)


@pytest.mark.parametrize("rates", [None, pool(None)])
def test_without_counts_there_is_nothing_to_start_from(rates):
    with pytest.raises(InputError, match="needs a file of pass rates with attempts"):
        build_loop(config(first_beliefs="measured"), rates)
