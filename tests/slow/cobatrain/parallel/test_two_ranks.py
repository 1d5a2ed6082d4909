"""Balance laws, and two real gloo processes against one: same gradients, same steps, no deadlock.

Run by torchrun this file is the program of each process; run by pytest it starts that program.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from test_update import make_batch, poison, qwen3  # noqa: E402

from cobasim.errors import InputError  # noqa: E402
from cobatrain import parallel as ranks  # noqa: E402
from cobatrain.parallel import (  # noqa: E402
    balance,
    first_rollouts,
    full_parameters,
    replicate,
    shard,
)
from cobatrain.update import (  # noqa: E402
    Batch,
    NonFiniteError,
    UpdateConfig,
    make_optimiser,
    update,
)

BUDGETS = [1, 2, 7, 4, 3, 6]
MIXED = [1, 2, 4, 5]
SPLITS = ("dealt", "lopsided", "empty")
MODES = ("replicated", "sharded")
CONFIGS = {
    "rollout": {"weighting": "rollout", "tis_cap": 2.0},
    "token": {"weighting": "token", "old_log_probs": "engine"},
    "prompt": {"weighting": "prompt", "loss": "gspo", "advantage": "rloo"},
    "kl": {"kl_coef": 0.2, "weighting": "prompt"},
    "bf16": {"bf16": True, "gradient_checkpointing": True},
    "policy": {},  # bfloat16 by FSDP's own policy, where sharded
}


def rows_of(split, batch):
    """Which rollouts each of two ranks holds."""
    n = len(batch)
    signal = np.isin(batch.group, MIXED)
    if split == "dealt":
        counts = balance(BUDGETS, 2)
        starts = np.cumsum(BUDGETS) - BUDGETS
        first = first_rollouts(counts)
        return [
            np.concatenate(
                [starts[i] + first[r, i] + np.arange(counts[r, i]) for i in range(len(BUDGETS))]
            )
            for r in range(2)
        ]
    if split == "lopsided":  # rank 1 has one rollout with signal, rank 0 the others
        last = np.flatnonzero(signal)[-1]
        return [
            np.flatnonzero(signal & (np.arange(n) != last)),
            np.r_[np.flatnonzero(~signal), last],
        ]
    return [np.arange(n), np.arange(0)]


def take(batch, rows):
    return Batch(
        [batch.prompts[j] for j in rows],
        [batch.responses[j] for j in rows],
        [batch.log_probs[j] for j in rows],
        batch.rewards[rows],
        batch.group[rows],
    )


def prepare(mode, tied=False, seed=0, bf16=False):
    model = qwen3(seed=seed, tied=tied)
    if mode == "replicated":
        return model, replicate(model)
    if mode == "sharded":
        return model, shard(model, bf16=bf16)
    return model, None


def run(mode, batch, name, tied=False, steps=1, adam=False, minibatches=1):
    """The metrics of each step and the parameters afterwards."""
    changes = dict(CONFIGS[name])
    weighting = changes.pop("weighting", "rollout")
    config = UpdateConfig(
        micro_tokens=24,
        max_grad_norm=0.5 if adam else None,
        minibatches=minibatches,
        **changes,
    )
    model, parallel = prepare(mode, tied, bf16=name == "policy")
    reference = prepare(mode, tied, seed=1)[0] if config.kl_coef else None
    optimiser = make_optimiser(model, 0.01) if adam else torch.optim.SGD(model.parameters(), lr=1.0)
    metrics = [
        update(
            model,
            optimiser,
            batch,
            config,
            weighting=weighting,
            parallel=parallel,
            reference=reference,
        )
        for _ in range(steps)
    ]
    return metrics, torch.cat([p.flatten() for _, p in full_parameters(model)])


def program(folder):
    """What each of the two processes does."""
    torch.set_num_threads(1)
    ranks.start("cpu")
    rank = torch.distributed.get_rank()
    batch = make_batch(BUDGETS, mixed=MIXED)
    for mode in MODES:
        for split in SPLITS:
            own = take(batch, rows_of(split, batch)[rank])
            for name in CONFIGS:
                for tied in (False, True) if name == "rollout" else (False,):
                    metrics, after = run(mode, own, name, tied)
                    save(folder, rank, f"{mode}-{split}-{name}-{tied}", metrics, after)
            metrics, after = run(mode, own, "rollout", steps=3, adam=True)
            save(folder, rank, f"{mode}-{split}-adam", metrics, after)
            metrics, after = run(mode, own, "rollout", steps=2, adam=True, minibatches=3)
            save(folder, rank, f"{mode}-{split}-mini", metrics, after)
        model, parallel = prepare(mode)
        before = torch.cat([p.flatten() for _, p in full_parameters(model)])
        bad = []
        dealt = take(batch, rows_of("dealt", batch)[rank])
        for kind in ("log-probs", "loss"):
            own, config = dealt, UpdateConfig(old_log_probs="engine", micro_tokens=24)
            if kind == "log-probs" and rank == 1:
                own = poison(dealt, 3, math.nan)
            hook = None
            if kind == "loss" and rank == 1:
                hook = model.model.norm.register_forward_hook(lambda *a: a[-1] * math.nan)
            try:
                update(model, make_optimiser(model, 0.1), own, config, parallel=parallel)
            except NonFiniteError as error:
                bad.append([str(error).split(" is not")[0], len(error.rows), len(error.batch)])
            if hook:
                hook.remove()
        after = torch.cat([p.flatten() for _, p in full_parameters(model)])
        shares = sum(
            p.to_local().numel() if mode == "sharded" else p.numel() for p in model.parameters()
        )
        save(folder, rank, f"{mode}-bad", {"bad": bad, "shares": shares}, after - before)
        # and it goes on from there
        metrics = [update(model, make_optimiser(model, 0.1), dealt, config, parallel=parallel)]
        save(folder, rank, f"{mode}-on", metrics, after)
    ranks.stop()


def save(folder, rank, name, metrics, parameters):
    path = Path(folder) / f"{name}.{rank}"
    np.save(path.with_name(path.name + ".npy"), parameters.detach().numpy())
    path.with_name(path.name + ".json").write_text(json.dumps(metrics))


def load(folder, name, rank):
    metrics = json.loads((folder / f"{name}.{rank}.json").read_text())
    return metrics, torch.from_numpy(np.load(folder / f"{name}.{rank}.npy"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everything the two processes wrote; a deadlock is a time-out."""
    folder = tmp_path_factory.mktemp("ranks")
    root = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, __file__, str(folder)],
        env=environment,
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_splits_are_really_unequal(batch):
    signal = np.isin(batch.group, MIXED)
    assert [int(signal[rows].sum()) for rows in rows_of("lopsided", batch)] == [17, 1]
    assert [len(rows) for rows in rows_of("empty", batch)] == [23, 0]
    dealt = rows_of("dealt", batch)
    assert sorted(np.concatenate(dealt)) == list(range(23))
    assert set(batch.group[dealt[0]]) & set(batch.group[dealt[1]])  # groups are split


@pytest.mark.slow
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


@settings(deadline=None)
@given(budgets=st.lists(st.integers(0, 40), max_size=30), world=st.integers(1, 9))
def test_rollouts_are_balanced_whatever_the_budgets(budgets, world):
    counts = balance(np.array(budgets, dtype=int), world)
    assert counts.shape == (world, len(budgets))
    assert (counts >= 0).all()
    assert counts.sum(axis=0).tolist() == budgets
    per_rank = counts.sum(axis=1)
    assert per_rank.max() - per_rank.min() <= 1
    assert (counts.max(axis=0) - counts.min(axis=0) <= 1).all()  # of every prompt, too


@settings(deadline=None)
@given(budgets=st.lists(st.integers(0, 12), min_size=1, max_size=9), world=st.integers(1, 5))
def test_no_two_ranks_make_the_same_rollout(budgets, world):
    counts = balance(budgets, world)
    first = first_rollouts(counts)
    for i, budget in enumerate(budgets):
        made = [j for r in range(world) for j in range(first[r, i], first[r, i] + counts[r, i])]
        assert made == list(range(budget))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: balance([1, 2], 0), "ranks must be at least 1"),
        (lambda: balance([1, -2], 2), "whole numbers"),
        (lambda: balance([1.5, 2], 2), "whole numbers"),
        (lambda: replicate(torch.nn.Linear(1, 1)), "torchrun"),
        (lambda: shard(torch.nn.Linear(1, 1)), "torchrun"),
    ],
)
def test_bad_input_says_what_to_do(call, match):
    with pytest.raises(InputError, match=match):
        call()


def test_start_outside_torchrun_says_so(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(InputError, match="torchrun"):
        ranks.start("cpu")


if __name__ == "__main__":
    program(sys.argv[1])
