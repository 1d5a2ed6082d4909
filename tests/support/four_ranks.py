"""Four processes as two machines of two, whose model only the first has: a program.

The four are forked once torch is imported: one import instead of four.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from small_updates import SIZES, make_batch, qwen3
from two_ranks import BUDGETS, MIXED, take

from cobasim.errors import InputError
from cobatrain.parallel import (
    PeerError,
    Ranks,
    Single,
    balance,
    first_rollouts,
    full_parameters,
    load_state,
    load_weights,
    replicate,
    save_checkpoint,
    shard,
    stop,
    whole,
    whole_weights,
)
from cobatrain.parallel.sharding import load_optimiser
from cobatrain.update import PartsMeter, UpdateConfig, make_optimiser, update

WORLD, MACHINE = 4, 2
CASES = (("replicate", True), ("shard", False), ("hybrid", True))
"""Layouts, and whether embeddings are tied."""

LARGE = SIZES | {
    "hidden_size": 512, "intermediate_size": 1024, "num_hidden_layers": 8, "head_dim": 64,
    "num_attention_heads": 8, "num_key_value_heads": 8, "initializer_range": 0.02,
}  # fmt: skip
KL = UpdateConfig(micro_tokens=48, max_grad_norm=0.5, kl_coef=0.2)


def rows_of(rank):
    """The rollouts of one of four ranks."""
    counts = balance(BUDGETS, WORLD)
    begins, first = np.cumsum(BUDGETS) - BUDGETS, first_rollouts(counts)
    return np.concatenate(
        [begins[i] + first[rank, i] + np.arange(counts[rank, i]) for i in range(len(BUDGETS))]
    )


def placed(layout, rank, *, tied=False, seed=0, bf16=False, sizes=SIZES, made=None, trained=True):
    """The model of rank 0, laid out; ``layout`` None: in one process. And the ranks."""
    config = transformers.Qwen3Config(**sizes, tie_word_embeddings=tied)
    if layout is None:
        return (made or qwen3(seed, tied)), Single()
    if rank == 0:
        model = made or qwen3(seed, tied)
    else:
        with torch.device("meta"):
            model = transformers.Qwen3ForCausalLM(config).eval()
    if layout == "replicate":
        return model, replicate(model, "cpu")
    ranks = Ranks(layout)
    return model, shard(model, bf16, ranks=ranks, device="cpu", trained=trained)


def flat(model):
    return torch.cat([value.reshape(-1).clone() for _, value in full_parameters(model)])


def run(layout, rank, batch, folder, tied=False):
    """Parameters after two and three steps with a KL term, and resumed for the third; more."""
    model, ranks = placed(layout, rank, tied=tied)
    reference, _ = placed(layout, rank, tied=tied, seed=1, trained=False)
    optimiser = make_optimiser(model, 0.01)

    def step(policy, adam):
        return update(policy, adam, batch, KL, parallel=ranks, reference=reference)

    step(model, optimiser)
    metrics = step(model, optimiser)
    two = flat(model)
    weights = whole_weights(model, keep=rank == 0)
    state = {"optimiser": whole(optimiser.state_dict(), keep=rank == 0), "plain": np.arange(3)}
    if rank == 0:
        save_checkpoint(folder, 2, weights, state, {})
    step(model, optimiser)
    ranks.gather(None)  # the checkpoint is there
    again = qwen3(seed=5, tied=tied)
    checkpoint = folder / "checkpoints" / "step-000002"
    if rank == 0:
        load_weights(checkpoint, again)
    again, _ = placed(layout, rank, tied=tied, made=again)
    restored = load_state(checkpoint, ranks)
    assert restored["plain"].tolist() == [0, 1, 2]
    adam = make_optimiser(again, 0.01)
    load_optimiser(adam, restored["optimiser"], ranks)
    moments = sum(
        (one.to_local() if hasattr(one, "to_local") else one).untyped_storage().nbytes() // 4
        for values in adam.state.values()
        for one in values.values()
        if one.ndim
    )
    step(again, adam)
    return {
        "kl": metrics["kl"], "norm": metrics["grad_norm"], "two": two, "three": flat(model),
        "resumed": flat(again), "moments": moments, "tied": again.lm_head.weight
        is again.model.embed_tokens.weight,
    }  # fmt: skip


def measured(layout, rank, batch):
    """What a meter found in an update."""
    model, ranks = placed(layout, rank)
    meter = PartsMeter(model, 0, ranks)
    config = UpdateConfig(micro_tokens=48, max_grad_norm=None)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    update(model, optimiser, batch, config, parallel=ranks, meter=meter)
    return meter.running.state_dict()["sums"]


def rounded(layout, rank):
    """Logits of a float32 model that computes in bfloat16, and of one that was rounded before."""
    tokens = torch.arange(12)[None]
    found = []
    for kind in (torch.float32, torch.bfloat16):
        made = qwen3()
        for parameter in made.parameters():  # not the buffers: transformers keeps theirs too
            parameter.data = parameter.data.to(kind)
        model, _ = placed(layout, rank, bf16=True, made=made, trained=False)
        with torch.no_grad():
            found.append(model(input_ids=tokens, use_cache=False).logits)
        root = {n: p for n, p in model.named_parameters() if ".layers." not in n}
        held = sum(p.to_local().numel() for p in root.values())
        assert held < 0.6 * sum(p.numel() for p in root.values())  # given back after forward
    return found


def memory(layout, rank):
    """Bytes that loading a large model took at its peak, and those of the model."""
    placed(layout, rank)  # what is imported and opened the first time is no part of it
    made = None
    if rank == 0:
        with torch.device("meta"):
            made = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**LARGE)).eval()
        made.to_empty(device="cpu")
    torch.distributed.barrier()
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what there is
    before = status("VmRSS")
    model, _ = placed(layout, rank, sizes=LARGE, made=made)
    return status("VmHWM") - before, sum(4 * p.numel() for p in model.parameters())


def status(name):
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


def refusals(rank):
    """The errors of machines of three and one, and of a rank whose model is another one."""
    said = []
    other = transformers.Qwen3Config(**SIZES | {"vocab_size": 14})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_WORLD_SIZE", "3" if rank < 3 else "1")
        patch.setenv("LOCAL_RANK", str(rank % 3))
        for act in (
            lambda: Ranks("hybrid"),
            lambda: replicate(transformers.Qwen3ForCausalLM(other) if rank == 2 else qwen3()),
        ):
            with pytest.raises((InputError, PeerError)) as caught:
                act()
            said.append((type(caught.value).__name__, str(caught.value)))
    return said


def program(rank, folder):
    """What each of the four does."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "WORLD_SIZE": str(WORLD), "LOCAL_RANK": str(rank % MACHINE),
        "LOCAL_WORLD_SIZE": str(MACHINE),
    }  # fmt: skip
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORLD
    )
    found = {}
    batch = take(make_batch(BUDGETS, mixed=MIXED), rows_of(rank))
    varied = take(make_batch(BUDGETS, seed=3), rows_of(rank))
    found["memory"] = memory("shard", rank)
    for layout, tied in CASES:
        found[layout, tied] = run(layout, rank, batch, folder / f"{layout}-{tied}", tied)
    found["parts"] = measured("hybrid", rank, varied)
    found["rounded"] = rounded("hybrid", rank)
    found["refusals"] = refusals(rank)
    torch.save(found, folder / f"found.{rank}.pt")
    stop()


def main(folder):
    fork = multiprocessing.get_context("fork")
    children = [fork.Process(target=program, args=(rank, folder)) for rank in range(WORLD)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(max(abs(child.exitcode or 0) for child in children))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
