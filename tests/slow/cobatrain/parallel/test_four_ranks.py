"""Two machines of two gloo processes against one process; only the first process has the model."""

from __future__ import annotations

import subprocess
import sys

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

import four_ranks
import numpy as np
from children import environment
from four_ranks import CASES, WORLD, flat, measured, rows_of, run
from small_updates import make_batch, qwen3
from two_ranks import BUDGETS, MIXED, take


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What each of the four found; a deadlock is a time-out."""
    folder = tmp_path_factory.mktemp("ranks")
    done = subprocess.run(
        [sys.executable, four_ranks.__file__, str(folder)],
        env=environment(OMP_NUM_THREADS="1"),
        timeout=400,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [torch.load(folder / f"found.{rank}.pt", weights_only=False) for rank in range(WORLD)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The same in one process, with tied embeddings and without."""
    rows = np.concatenate([rows_of(rank) for rank in range(WORLD)])
    batch = take(make_batch(BUDGETS, mixed=MIXED), rows)
    return {
        tied: run(None, 0, batch, tmp_path_factory.mktemp("alone"), tied) for tied in (False, True)
    }


@pytest.mark.parametrize(("layout", "tied"), CASES)
def test_a_model_that_one_rank_loads_learns_as_in_one_process(found, alone, layout, tied):
    """With the KL term to a reference that is laid out alike, whose numbers are the same too."""
    expected = alone[tied]
    start = flat(qwen3(tied=tied))
    for ours in found:
        mine = ours[layout, tied]
        assert mine["tied"] == tied
        assert mine["kl"] == pytest.approx(expected["kl"], rel=1e-5)
        assert mine["norm"] == pytest.approx(expected["norm"], rel=1e-4)
        for name in ("two", "three"):
            moved = expected[name] - start
            assert moved.norm() > 0.1
            assert (mine[name] - expected[name]).norm() < 1e-3 * moved.norm()
            assert torch.equal(mine[name], found[0][layout, tied][name])


@pytest.mark.parametrize(("layout", "tied"), [(None, False), *CASES])
def test_resumed_is_unbroken_and_a_rank_keeps_its_part_only(found, alone, layout, tied):
    ranks = [alone[tied]] if layout is None else [ours[layout, tied] for ours in found]
    for mine in ranks:
        assert torch.equal(mine["resumed"], mine["three"])
        assert not torch.equal(mine["two"], mine["three"])
    whole = 2 * sum(p.numel() for p in qwen3(tied=tied).parameters())
    copies = {None: 1, "replicate": 4, "shard": 1, "hybrid": 2}[layout]
    for mine in ranks:  # numbers in memory, what shards are padded with included
        assert 0.7 < mine["moments"] / (copies * whole / len(ranks)) < 1.3


def test_parts_of_the_gradient_are_measured_once_for_all_models(found):
    rows = np.concatenate([rows_of(rank) for rank in range(WORLD)])
    expected = np.array(measured(None, 0, take(make_batch(BUDGETS, seed=3), rows)))
    products = [0, 2, 5]  # the rest follows from the outcomes alone
    for ours in found:
        difference = np.abs(np.array(ours["parts"]) - expected)[products]
        assert (difference < 0.05 * expected[5]).all()  # shards are sketched by other signs
        assert expected[5] > 0


def test_a_sharded_reference_may_be_rounded_before(found):
    for ours in found:
        wide, rounded = ours["rounded"]
        assert wide.dtype == torch.bfloat16
        assert torch.equal(wide, rounded)
        assert wide.abs().sum() > 0


def test_only_the_first_rank_ever_holds_a_whole_model(found):
    """The others have their shards, a layer, and what torch and gloo take when first used."""
    for ours in found[1:]:
        taken, whole = ours["memory"]
        assert whole > 50 * 2**20
        assert whole / WORLD < taken < 0.75 * whole


def test_machines_and_models_that_do_not_fit_are_refused_by_name(found):
    unequal, other = zip(*(ours["refusals"] for ours in found), strict=True)
    assert [name for name, _ in unequal] == ["InputError", *3 * ["PeerError"]]
    assert "equally many processes on every machine, got 3, 1" in unequal[0][1]
    assert [name for name, _ in other] == [*2 * ["PeerError"], "InputError", "PeerError"]
    assert "not rank 0's: 2 tensors differ, such as lm_head.weight" in other[2][1]
