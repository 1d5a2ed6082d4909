"""Classes of difficulty: every pass rate has one, as in the paper."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.difficulty import difficulty_class, transition_counts


@settings(max_examples=50)
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=50))
def test_every_pass_rate_has_one_class_in_order(rates):
    classes = difficulty_class(np.sort(np.array(rates)))
    assert (np.diff(classes) >= 0).all()
    assert classes.min() >= 0
    assert classes.max() <= 4
    counts = transition_counts(classes, classes)
    assert sum(map(sum, counts)) == len(rates)


def test_classes_are_those_of_the_paper():
    rates = np.array([0.0, 0.03, 0.04, 0.2, 0.21, 0.79, 0.8, 0.96, 0.97, 1.0])
    np.testing.assert_array_equal(difficulty_class(rates), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
