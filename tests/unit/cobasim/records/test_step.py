"""The record of a step: JSON and back, bins of pass rates, names of earlier versions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from synthetic_runs import header, strict_json

from cobasim.records import PASS_RATE_BINS, StepRecord, bin_counts

numbers = st.none() | st.floats()
names = st.text(min_size=1, max_size=8)
counts = st.lists(st.integers(0, 10**6), min_size=13, max_size=13)
records = st.builds(
    StepRecord,
    step=st.integers(0, 10**6),
    rollouts=st.integers(0, 10**12),
    prompts=st.none() | st.integers(0, 10**6),
    alpha=numbers,
    failure_rate=numbers,
    allocate_ms=numbers,
    bins=st.none() | st.fixed_dictionaries(dict.fromkeys(("prompts", "rollouts", "mixed"), counts)),
    learner=st.dictionaries(names, st.floats(), max_size=3),
    evaluation=st.none() | st.fixed_dictionaries({"heldout": numbers, "hard": numbers}),
    extra=st.dictionaries(names.map("x_".__add__), st.integers() | st.text(), max_size=2),
)


def null_if_not_finite(value):
    return None if isinstance(value, float) and not math.isfinite(value) else value


@given(records)
def test_a_record_survives_json_and_what_is_not_finite_becomes_missing(record):
    text = record.to_json()
    strict_json(text)
    assert "\n" not in text
    back = StepRecord.from_json(text)
    for name in ("step", "rollouts", "prompts", "bins", "extra"):
        assert getattr(back, name) == getattr(record, name)
    for name in ("alpha", "failure_rate", "allocate_ms"):
        assert getattr(back, name) == null_if_not_finite(getattr(record, name))
    for name, value in record.learner.items():
        got = back.learner[name]
        assert got == value if math.isfinite(value) else math.isnan(got)
    if record.evaluation is not None:
        for name, value in record.evaluation.items():
            assert back.evaluation[name] == null_if_not_finite(value)


def test_numpy_values_are_stored_as_plain_numbers():
    record = StepRecord(
        np.int64(3),
        np.int64(9),
        alpha=np.float32(0.5),
        learner={"loss": np.float32("nan"), "grad_norm": np.float64(2.0)},
        evaluation={"heldout": np.float64(0.25), "transitions": np.eye(5, dtype=int)},
    )
    back = StepRecord.from_json(record.to_json())
    assert (back.step, back.alpha, back.learner["grad_norm"]) == (3, 0.5, 2.0)
    assert math.isnan(back.learner["loss"])
    assert back.evaluation["transitions"] == np.eye(5, dtype=int).tolist()


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="step 1 cannot be stored"):
        StepRecord(1, 0, learner={"loss": object()}).to_json()
    with pytest.raises(ValueError, match="header cannot be stored"):
        header(config={"callback": print}).to_json()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40).flatmap(
                lambda n: st.tuples(st.integers(0, max(n, 1)), st.just(max(n, 1)))
            ),
            st.booleans(),
            st.integers(2, 128),
            st.booleans(),
        ),
        min_size=1,
        max_size=50,
    )
)
def test_bins_hold_each_prompt_once_and_where_its_ratio_says(rows):
    ratios, seen, budgets, mixed = zip(*rows, strict=True)
    tokens = [7.0 * budget for budget in budgets]
    result = bin_counts([k / n for k, n in ratios], seen, budgets, mixed, tokens=tokens)
    expected = {name: [0] * 13 for name in ("prompts", "rollouts", "mixed", "tokens")}
    for (k, n), known, budget, both in rows:
        # exact arithmetic: bin j holds (j - 1) n < 10 k <= j n
        index = 12 if not known else 0 if k == 0 else 11 if k == n else -(-10 * k // n)
        expected["prompts"][index] += 1
        expected["rollouts"][index] += budget
        expected["mixed"][index] += both
        expected["tokens"][index] += 7 * budget
    assert result == expected
    assert len(PASS_RATE_BINS) == 13


def test_bins_at_the_edges_and_nan_where_unseen():
    tiny, near = np.nextafter(0, 1), np.nextafter(1, 0)
    result = bin_counts([0, tiny, near, 1, np.nan], [True] * 4 + [False], [2] * 5, [False] * 5)
    assert [i for i, n in enumerate(result["prompts"]) if n] == [0, 1, 10, 11, 12]


def test_names_of_earlier_versions_are_read():
    line = (
        '{"step": 3, "rollouts": 96, "effective_ratio": 0.25, '
        '"learner": {"grad_norm": 1.5, "rounds": 2, "trained_rollouts": 64}}'
    )
    record = StepRecord.from_json(line)
    assert (record.mixed_share, record.rounds, record.trained_rollouts) == (0.25, 2, 64)
    assert record.learner == {"grad_norm": 1.5}
    assert record.extra == {}
    again = StepRecord.from_json(record.to_json())
    assert again == record
    assert "effective_ratio" not in record.to_json()


def test_a_present_name_wins_over_an_old_one():
    both = '{"step": 1, "rollouts": 8, "effective_ratio": 0.25, "mixed_share": 0.5}'
    assert StepRecord.from_json(both).mixed_share == 0.5
