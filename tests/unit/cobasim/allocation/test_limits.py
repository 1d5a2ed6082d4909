"""Limits: whole numbers in order, or a clear error."""

import numpy as np
import pytest

from cobasim.allocation import Limits
from cobasim.errors import InputError


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ({"low": -1}, "low"),
        ({"low": 9, "high": 8}, r"low \(9\) is above high \(8\)"),
        ({"total": 16.0}, "total must be a whole number, got 16.0"),
        ({"total": "16"}, "total must be a whole number"),
        ({"total": None}, "total must be a whole number"),
        ({"high": 12.5}, "high must be a whole number"),
        ({"low": np.nan}, "low must be a whole number"),
        ({"total": True}, "total must be a whole number"),
        ({"low": False}, "low must be a whole number"),
    ],
)
def test_limits_that_make_no_sense(given_, message):
    with pytest.raises(InputError, match=message):
        Limits(**{"total": 16, "low": 2, "high": 8, **given_})


def test_limits_take_numpy_integers_as_plain_ones():
    limits = Limits(np.int64(16), np.int32(2), np.uint8(8))
    assert limits == Limits(16, 2, 8)
    assert all(type(x) is int for x in (limits.total, limits.low, limits.high))
