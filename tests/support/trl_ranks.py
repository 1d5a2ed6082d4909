"""Two gloo ranks of small runs in TRL; forked, so that TRL is imported once."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

sys.modules["vllm"] = None  # half of TRL's import, and not used here

import torch
from trl import GRPOTrainer
from trl_runs import trainer, weights

from cobasim.errors import InputError
from cobatrain.integrations.trl import BudgetGRPOTrainer

PORT = 29000 + os.getpid() % 20000


class Watched(BudgetGRPOTrainer):
    """Keeps which rows this rank had."""

    def _calculate_rewards(self, inputs, *args, **kwargs):
        answers.append([int(row["answer"]) for row in inputs])
        return super()._calculate_rewards(inputs, *args, **kwargs)


answers: list[list[int]] = []


def program(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(PORT),
    }  # fmt: skip
    # a batch of each rank: two rows of one prompt would be cut by the border between the ranks
    settings = {"per_device_train_batch_size": 6, "save_strategy": "steps", "save_steps": 1}
    settings |= {"num_iterations": 2}
    budgets = {"allocator": "signal", "low": 2, "high": 9}
    found = {}
    run = trainer(folder, Watched, settings=settings, budgets=budgets)
    run.train()
    found["unbroken"], found["has ledger"] = weights(run), run.ledger is not None
    found["answers"] = answers.copy()
    last = trainer(folder, settings=settings, budgets=budgets)
    last.train(resume_from_checkpoint=str(folder / "checkpoint-7"))
    found["resumed"] = weights(last)
    if run.ledger is not None:
        run.ledger.ask([0, 1, 2, 3, 4, 5])  # and nobody tells
    try:
        run.train()
    except InputError as error:
        found["error"] = str(error)
    settings["save_strategy"] = "no"
    for name, kind, more in (
        ("stock", GRPOTrainer, {}),
        ("uniform", BudgetGRPOTrainer, {"budgets": {"allocator": "uniform"}}),
    ):
        run = trainer(folder, kind, settings=settings, **more)
        run.train()
        found[name] = weights(run)
    torch.save(found, folder / f"found.{rank}.pt")


def main(folder: Path) -> None:
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=program, args=(rank, folder)) for rank in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(max(abs(child.exitcode or 0) for child in children))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
