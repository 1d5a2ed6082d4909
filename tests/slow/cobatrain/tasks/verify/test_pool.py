"""Judges that misbehave, and a parent that is killed."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from children import environment, gone
from judging import asks
from odd_judges import Odd

from cobatrain.tasks import Verifier
from cobatrain.tasks.verify import Limits


def test_whatever_a_judge_does_the_others_are_scored_in_order():
    odd = ["c call", "spin", "sleep", "die", "memory", "write", "shell", "raise", "nan"]
    texts = [*(["ok"] * 5), *odd, "print", *(["fine"] * 5)]
    limits = Limits(cpu_seconds=0.5, wall_seconds=5.0)
    start = time.monotonic()
    with Verifier(Odd(), workers=2, limits=limits) as verifier:
        rewards = verifier.score([asks("")] * len(texts), texts)
        stats = verifier.stats
    assert time.monotonic() - start < 60
    expected = [0.02] * 5 + [0.0] * len(odd) + [0.05] + [0.04] * 5
    np.testing.assert_allclose(rewards, expected)
    assert (stats.timeouts, stats.crashes, stats.errors) == (3, 1, 5)
    assert not Path("written-by-a-verifier").exists()


def test_workers_end_with_a_killed_parent(tmp_path):
    code = f"""
from cobatrain.tasks import Prompt, Verifier
from cobatrain.tasks.verify import CustomReward
import os, signal
v = Verifier(CustomReward("odd_judges:pid"), workers=1)
v(Prompt("q", "", "l", "s"), {str(tmp_path / "p")!r})
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), timeout=60)
    assert done.returncode == -9
    assert gone(int((tmp_path / "p").read_text()), 20.0)
