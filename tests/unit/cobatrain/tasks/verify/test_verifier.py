"""Judges and limits are plain, checked values."""

import pickle

import pytest

from cobasim.errors import InputError
from cobatrain.tasks import Verifier
from cobatrain.tasks.verify import CustomReward, GymJudge, Limits, MathJudge


def test_limits_and_workers_are_checked():
    with pytest.raises(InputError, match="cpu_seconds"):
        Limits(cpu_seconds=0)
    with pytest.raises(InputError, match="workers"):
        Verifier(MathJudge(), workers=0)


def test_judges_are_plain_values():
    for judge in (MathJudge(), GymJudge((("a", "{}"),)), CustomReward("a:b")):
        assert pickle.loads(pickle.dumps(judge)) == judge
