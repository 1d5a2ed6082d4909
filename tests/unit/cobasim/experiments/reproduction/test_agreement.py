"""Agreement with published numbers, on made-up ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobasim.experiments.reproduction import agreement, paper
from cobasim.experiments.reproduction.agreement import (
    AGREES,
    DISAGREES,
    NOISE,
    judge,
    kendall,
    order_agreement,
)
from cobasim.experiments.reproduction.paper import Claim, Result

A, B, C = ("g", "a"), ("g", "b"), ("g", "c")


JITTER = np.array([-0.1, 0.05, 0.1, -0.05, 0.0, 0.02, -0.02, 0.0])


def made(**means: float) -> dict:
    """Values by seed around the given means; seeds differ by far more than entries do."""
    found = {}
    for number, (entry, mean) in enumerate(means.items()):
        noise = np.roll(JITTER, number)
        found["g", entry] = {s: mean + 5.0 * s + float(noise[s]) for s in range(JITTER.size)}
    return found


def result(*claims: Claim) -> Result:
    return Result("made up", "made up", {A: 3.0, B: 2.0, C: 1.0}, claims)


@pytest.mark.parametrize(
    ("b", "status"), [(1.0, AGREES), (3.0, DISAGREES), (2.0, NOISE), (2.001, NOISE)]
)
def test_a_pair_agrees_disagrees_or_is_inside_the_noise(b, status):
    (one,) = judge(result(Claim(A, B)), made(a=2.0, b=b))
    assert one.status == status
    assert one.paper == 1.0
    assert one.mean == pytest.approx(2.0 - b, abs=0.1)
    assert one.low < one.mean < one.high


@pytest.mark.parametrize(
    ("b", "status"),
    [
        (10.0, AGREES),  # the same
        (10.5, AGREES),  # inside a fifth of the gain of ten
        (14.0, DISAGREES),
        (6.0, DISAGREES),
        (12.0, NOISE),  # on the edge
    ],
)
def test_similar_means_inside_the_margin_which_scales_with_the_gain(b, status):
    claim = Claim(B, A, "similar", C, 0.2)
    (one,) = judge(result(claim), made(a=10.0, b=b, c=0.0))
    assert one.status == status
    assert one.margin == pytest.approx(2.0, abs=0.1)


def test_the_margin_of_similar_does_not_care_for_the_sign_of_the_gain():
    claim = Claim(B, A, "similar", C, 0.2)
    (one,) = judge(result(claim), made(a=0.0, b=0.5, c=10.0))
    assert one.status == AGREES
    assert one.margin > 0


def test_without_a_gain_nothing_is_similar_beyond_the_noise():
    (one,) = judge(result(Claim(B, A, "similar", C, 0.2)), made(a=1.0, b=1.0, c=1.0))
    assert one.status == NOISE


def test_one_seed_tells_nothing():
    values = {case: {0: seeds[0]} for case, seeds in made(a=9.0, b=1.0, c=0.0).items()}
    for claim in (Claim(A, B), Claim(B, A, "similar", C, 0.2)):
        (one,) = judge(result(claim), values)
        assert one.status == NOISE
        assert one.p_value is None
        assert one.low is None


def test_p_values_are_corrected_for_the_number_of_claims():
    values = made(a=2.0, b=1.93)
    (alone,) = judge(result(Claim(A, B)), values)
    among = judge(result(*[Claim(A, B)] * 10), values)
    assert among[0].p_value == pytest.approx(min(1.0, 10 * alone.p_value))


@given(st.permutations(range(5)))
def test_kendall_is_one_for_the_same_order_and_minus_one_reversed(order):
    assert kendall(order, order) == pytest.approx(1.0)
    assert kendall(order, [-x for x in order]) == pytest.approx(-1.0)


def test_kendall_needs_an_order():
    assert kendall([1.0], [2.0]) is None
    assert kendall([1.0, 2.0], [3.0, 3.0]) is None
    with pytest.raises(InputError, match="2 and 1 values"):
        kendall([1.0, 2.0], [1.0])


def test_orders_are_compared_within_groups_of_means():
    numbers = {("x", "a"): 1.0, ("x", "b"): 2.0, ("y", "a"): 8.0, ("y", "b"): 7.0}
    values = {
        ("x", "a"): {0: 11.0, 1: 9.0}, ("x", "b"): {0: 12.0, 1: 13.0},
        ("y", "a"): {0: 1.0, 1: 1.0}, ("y", "b"): {0: 2.0, 1: 2.0},
    }  # fmt: skip
    found = order_agreement(Result("r", "r", numbers, ()), values)
    assert found["groups"] == {"x": 1.0, "y": -1.0}
    assert found["tau"] == 0.0
    assert found["seeds"]["n"] == 2


def test_missing_values_are_named():
    with pytest.raises(InputError, match="no simulated value"):
        judge(result(Claim(A, B)), {A: {0: 1.0}})
    with pytest.raises(InputError, match="no seed in common"):
        judge(result(Claim(A, B)), {A: {0: 1.0}, B: {1: 1.0}})


def test_counts_cover_all_claims():
    judged = judge(result(Claim(A, B), Claim(B, A), Claim(A, C)), made(a=2.0, b=1.0, c=2.0))
    assert agreement.counts(judged) == {AGREES: 1, DISAGREES: 1, NOISE: 1}


# --- the paper's claims ----------------------------------------------------------------------


def test_every_claim_holds_for_the_papers_own_numbers():
    for one in paper.RESULTS.values():
        for claim in one.claims:
            left, right = one.numbers[claim.left], one.numbers[claim.right]
            if claim.kind == "greater":
                assert left > right, claim.text
            else:
                assert claim.reference is not None
                gain = abs(right - one.numbers[claim.reference])
                assert abs(left - right) <= claim.margin * gain + 1e-9, claim.text


def test_the_claims_are_complete():
    assert set(paper.RESULTS) == {
        "table-1", "table-2", "table-3", "figure-4", "figure-5", "figure-6", "figure-7",
        "figure-8",
    }  # fmt: skip
    for key in ("table-1", "table-2", "table-3", "figure-7"):  # every pair of every group
        one = paper.RESULTS[key]
        pairs = sum(len(e) * (len(e) - 1) // 2 for e in one.groups.values())
        assert len(one.claims) == len({(c.left, c.right) for c in one.claims}) == pairs
    crossing = Claim((paper.HALF, paper.COBA), (paper.WHOLE, paper.GRPO))
    assert crossing in paper.RESULTS["figure-6"].claims
    similar = [c for c in paper.RESULTS["figure-8"].claims if c.kind == "similar"]
    assert {c.left[1] for c in similar} == {"kappa 7", "kappa 15", "kappa 21"}
    texts = [claim.text for one in paper.RESULTS.values() for claim in one.claims]
    assert all(texts)


def test_claims_read_as_sentences():
    assert Claim(A, B).text == "g: a > b"
    assert Claim(A, ("h", "b")).text == "a (g) > b (h)"
    assert Claim(A, B, "similar", C, 0.1).text == "g: a ≈ b"
