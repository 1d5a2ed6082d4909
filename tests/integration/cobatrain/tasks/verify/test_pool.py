"""The pool of workers: order, fresh starts, ends."""

import pickle

import numpy as np
import pytest
from children import alive, gone
from judging import asks
from odd_judges import Odd

from cobatrain.tasks import Prompt, RewardError, Verifier
from cobatrain.tasks.verify import CustomReward


def test_an_item_that_suffers_from_earlier_ones_gets_a_fresh_worker():
    with Verifier(Odd(), workers=1) as verifier:
        rewards = verifier.score([asks("")] * 4, ["ok", "fragile", "ok", "fragile"])
        np.testing.assert_allclose(rewards, [0.02, 0.07, 0.02, 0.07])
        assert verifier.stats.crashes == 0


def test_a_judge_that_cannot_load_is_an_error_at_once():
    with (
        Verifier(Odd(refuse=True)) as verifier,
        pytest.raises(RewardError, match="no such model"),
    ):
        verifier.start()


def test_a_large_batch_of_large_texts_passes_the_pipes():
    texts = ["x" * n for n in (0, 1, 50)] * 40
    prompts = [Prompt("q" * 200_000, "", "l", "s")] * len(texts)
    with Verifier(Odd(), workers=2) as verifier:
        np.testing.assert_allclose(
            verifier.score(prompts, texts), [len(text) / 100 for text in texts]
        )
        assert verifier.score([], []).shape == (0,)


def test_closing_ends_the_workers_and_a_verifier_can_be_sent(tmp_path):
    verifier = Verifier(CustomReward("odd_judges:pid"), workers=1)
    verifier(asks(""), str(tmp_path / "a"))
    first = int((tmp_path / "a").read_text())
    assert alive(first)
    copy = pickle.loads(pickle.dumps(verifier))
    assert copy(asks(""), str(tmp_path / "b")) == 1.0
    assert int((tmp_path / "b").read_text()) != first
    copy.close()
    verifier.close()
    assert gone(first, 20.0)
    assert verifier(asks(""), str(tmp_path / "c")) == 1.0
    second = int((tmp_path / "c").read_text())
    del verifier
    assert gone(second, 20.0)
