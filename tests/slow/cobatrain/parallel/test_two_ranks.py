"""Two real gloo processes against one: same gradients, same steps, no deadlock."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

import two_ranks
from children import environment
from small_updates import make_batch, qwen3
from two_ranks import BUDGETS, CONFIGS, MIXED, MODES, SPLITS, load, measured, rows_of, run, take


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything the two processes wrote; a deadlock is a time-out."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, two_ranks.__file__, str(folder)],
        env=environment(OMP_NUM_THREADS="1"),
        timeout=400,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def batch():
    return make_batch(BUDGETS, mixed=MIXED)


def start():
    return torch.cat([p.detach().flatten() for p in qwen3().parameters()])


@pytest.mark.parametrize("name", list(CONFIGS))
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("mode", MODES)
def test_gradients_equal_one_process(folder, batch, mode, split, name):
    for tied in (False, True) if name == "rollout" else (False,):
        torch.manual_seed(0)
        initial = torch.cat([p.detach().flatten() for p in qwen3(tied=tied).parameters()])
        [expected], after = run(None, batch, name, tied)
        gradient = initial - after
        assert gradient.norm() > 1e-2
        for rank in range(2):
            [metrics], after = load(folder, f"{mode}-{split}-{name}-{tied}", rank)
            difference = float((initial - after - gradient).norm() / gradient.norm())
            low = name in ("bf16", "policy")
            assert difference < (3e-2 if low else 2e-6)
            for key in set(metrics) - {"micro_batches", "padding_share"}:
                tolerance = 5e-2 if low else 1e-5
                if expected[key] is None:
                    assert metrics[key] is None, key
                else:
                    assert metrics[key] == pytest.approx(expected[key], rel=tolerance, abs=1e-5)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("mode", MODES)
def test_clipped_adam_steps_equal_one_process(folder, batch, mode, split):
    expected, after = run(None, batch, "rollout", steps=3, adam=True)
    for rank in range(2):
        metrics, parameters = load(folder, f"{mode}-{split}-adam", rank)
        assert [m["grad_norm"] for m in metrics] == pytest.approx(
            [m["grad_norm"] for m in expected], rel=1e-4
        )
        assert (parameters - after).norm() < 1e-3 * (after - start()).norm()


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("mode", MODES)
def test_ranks_with_unequal_work_end_with_the_same_parameters(folder, batch, mode, split):
    """Several mini-batches too: no deadlock, and ranks agree to the bit."""
    for case in ("mini", "adam"):
        (one, first), (other, second) = (
            load(folder, f"{mode}-{split}-{case}", rank) for rank in range(2)
        )
        assert torch.equal(first, second)
        assert (first - start()).norm() > 1e-2
        for a, b in zip(one, other, strict=True):
            assert {k: v for k, v in a.items() if k != "padding_share"} == {
                k: v for k, v in b.items() if k != "padding_share"
            }


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("mode", MODES)
def test_the_parts_of_the_gradient_are_measured_over_all_ranks(folder, batch, mode, split):
    """Replicas sketch as one process does; shards sketch by other signs, so within its error."""
    rows = np.concatenate(rows_of(split, batch))
    expected, after = measured(None, take(make_batch(BUDGETS, seed=3), rows))
    for rank in range(2):
        state, parameters = load(folder, f"{mode}-{split}-parts", rank)
        assert (parameters - after).norm() < 1e-4 * (after - start()).norm()
        assert state["steps"] == expected["steps"] == 2
        sums, wanted = (np.array(one["sums"]) for one in (state, expected))
        products = [0, 2, 5]  # the rest follows from the outcomes alone
        scale = wanted[5]
        tolerance = 1e-4 if mode == "replicated" else 0.05
        np.testing.assert_allclose(sums[products], wanted[products], atol=tolerance * scale)
        rest = np.delete(np.arange(sums.size), products)
        np.testing.assert_allclose(sums[rest], wanted[rest], rtol=1e-9)


def test_the_splits_are_really_unequal(batch):
    signal = np.isin(batch.group, MIXED)
    assert [int(signal[rows].sum()) for rows in rows_of("lopsided", batch)] == [17, 1]
    assert [len(rows) for rows in rows_of("empty", batch)] == [23, 0]
    dealt = rows_of("dealt", batch)
    assert sorted(np.concatenate(dealt)) == list(range(23))
    assert set(batch.group[dealt[0]]) & set(batch.group[dealt[1]])  # groups are split


@pytest.mark.parametrize("mode", MODES)
def test_one_bad_rank_stops_all_and_changes_nothing(folder, batch, mode):
    dealt = rows_of("dealt", batch)
    for rank in range(2):
        result, change = load(folder, f"{mode}-bad", rank)
        whats, suspects, held = zip(*result["bad"], strict=True)
        assert whats == ("a log-prob of the engine", "the loss")
        assert held == (len(dealt[rank]),) * 2
        assert (change == 0).all()
        if rank == 0:
            assert suspects == (0, 0)
        else:
            assert suspects[0] == 1
            assert suspects[1] == np.isin(batch.group[dealt[1]], MIXED).sum()
        total = len(start())
        assert result["shares"] == (
            total if mode == "replicated" else pytest.approx(total / 2, rel=0.1)
        )
        [metrics], _ = load(folder, f"{mode}-on", rank)
        assert metrics["grad_norm"] > 0
