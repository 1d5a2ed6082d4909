"""Estimates against true pass rates, at every evaluation of a learner that computes these."""

from __future__ import annotations

import numpy as np
import pytest
from small_runs import config, plain

from cobasim.allocation import make_allocator
from cobasim.loop import Loop, run
from cobasim.world import LogisticPolicy

NAMES = ("estimate_error", "estimate_correlation")


class Told(LogisticPolicy):
    """Its evaluations compute the true pass rates of the pool, as exact ones of a trainer do."""

    told = None

    def evaluate(self):
        self.told = self.pass_rates(np.arange(self.num_prompts))
        return super().evaluate()

    def evaluated_pass_rates(self):
        return self.told


def loop_of(chosen, learner=Told):
    loop, rule = chosen.loop, chosen.estimator
    return Loop(learner(chosen.world, chosen.seed), loop, seed=chosen.seed, estimator=rule)


def test_an_estimator_that_is_told_the_truth_has_no_error():
    records = run(loop_of(config("oracle-coba", steps=8)), make_allocator("coba"))
    evaluated = [record.evaluation for record in records if record.evaluation]
    assert len(evaluated) == 3
    for scores in evaluated:
        assert scores["estimate_seen"] == 1.0
        for part in ("", "_seen"):
            assert scores[f"estimate_error{part}"] == 0.0
            assert scores[f"estimate_correlation{part}"] == pytest.approx(1.0)


@pytest.mark.parametrize("estimator", ["last", "window", "robust", "posterior"])
def test_the_numbers_are_those_of_a_plain_computation(estimator):
    loop = loop_of(config("coba", steps=5, eval_every=1, estimator=estimator))
    records = [loop.start()]
    visited: set[int] = set()
    while True:
        scores, rates = records[-1].evaluation, loop.learner.told
        belief = loop.estimator.estimate(np.arange(100))
        for part, places in (("", range(100)), ("_seen", sorted(visited))):
            error, correlation = (scores[f"{name}{part}"] for name in NAMES)
            if not places:
                assert error is None
                assert correlation is None
                continue
            pairs = [(belief.pass_rate[i], rates[i]) for i in places]
            assert error == pytest.approx(sum(abs(a - b) for a, b in pairs) / len(pairs))
            if len({a for a, _ in pairs}) == 1:  # all as good as unseen
                assert correlation is None
                continue
            a, b = np.array(pairs).T
            covariance = ((a - a.mean()) * (b - b.mean())).mean()
            assert correlation == pytest.approx(covariance / (a.std() * b.std()))
        assert scores["estimate_seen"] == len(visited) / 100
        if loop.done:
            break
        visited.update(loop.order.batch(loop.step).tolist())
        records.append(loop.advance(make_allocator("coba")))
    assert 0.3 < records[2].evaluation["estimate_seen"] < 1.0  # both kinds of prompts were there
    last = records[-1].evaluation
    assert last["estimate_error"] < records[0].evaluation["estimate_error"]


def test_asking_changes_nothing_and_a_resumed_run_equals_an_uninterrupted_one():
    chosen = config("coba", steps=14, estimator="posterior")
    allocator = make_allocator("coba")
    whole = run(loop_of(chosen), allocator)
    blind = run(loop_of(chosen, LogisticPolicy), allocator)
    for record, other in zip(whole, blind, strict=True):
        mine, theirs = plain(record), plain(other)
        if record.evaluation:
            scores = {k: v for k, v in record.evaluation.items() if "estimate" not in k}
            assert scores == other.evaluation
            assert len(record.evaluation) == len(scores) + 5
        assert {**mine, "evaluation": None} == {**theirs, "evaluation": None}
    first = loop_of(chosen)
    head = [first.start(), *(first.advance(allocator) for _ in range(7))]
    second = loop_of(chosen)
    second.load_state_dict(first.state_dict())
    tail = run(second, allocator)
    assert [plain(r) for r in head + tail] == [plain(r) for r in whole]


def test_a_learner_that_computed_no_rates_leaves_the_numbers_out():
    class Never(Told):
        def evaluated_pass_rates(self):
            return None

    loop = loop_of(config("coba", steps=1), Never)
    assert not any("estimate" in name for name in loop.start().evaluation)
