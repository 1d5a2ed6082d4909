"""Two processes that update one model together; run by torchrun, the program of each of them."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import numpy as np
import torch
from small_updates import make_batch, poison, qwen3

from cobatrain import parallel as ranks
from cobatrain.parallel import balance, first_rollouts, full_parameters, replicate, shard
from cobatrain.update import (
    Batch,
    NonFiniteError,
    PartsMeter,
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


def measured(mode, batch):
    """The averages of a meter after two updates, and the parameters afterwards."""
    model, parallel = prepare(mode)
    meter = PartsMeter(model, 0, parallel or ranks.Single())
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    config = UpdateConfig(micro_tokens=24, max_grad_norm=None)
    for _ in range(2):
        update(model, optimiser, batch, config, parallel=parallel, meter=meter)
    after = torch.cat([p.flatten() for _, p in full_parameters(model)])
    return meter.running.state_dict(), after


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
            varied = make_batch(BUDGETS, seed=3)
            state, after = measured(mode, take(varied, rows_of(split, batch)[rank]))
            save(folder, rank, f"{mode}-{split}-parts", state, after)
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


if __name__ == "__main__":
    program(sys.argv[1])
