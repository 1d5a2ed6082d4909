"""Several processes that train one model, and what a run can be resumed from.

In: models, optimisers, budgets, values to gather; the process group that torchrun set up.
Out: sums and whole tensors on every rank, each rank's share of the rollouts, checkpoints on disk.
"""

from cobatrain.parallel.checkpoint import (
    FOLDER,
    CheckpointError,
    checkpoints,
    load_checkpoint,
    load_state,
    load_weights,
    newest_checkpoint,
    prune,
    read_meta,
    save_checkpoint,
    set_usual_permissions,
    whole_weights,
)
from cobatrain.parallel.dealing import balance, first_rollouts
from cobatrain.parallel.process_group import joined, processes, start, stop, usable_device
from cobatrain.parallel.ranks import (
    BUCKET_ELEMENTS,
    Layout,
    Parallel,
    PeerError,
    Ranks,
    Result,
    Single,
    on_first,
    together,
)
from cobatrain.parallel.sharding import (
    full_parameters,
    load_optimiser,
    release_memory,
    replicate,
    shard,
    whole,
)

__all__ = [
    "BUCKET_ELEMENTS",
    "FOLDER",
    "CheckpointError",
    "Layout",
    "Parallel",
    "PeerError",
    "Ranks",
    "Result",
    "Single",
    "balance",
    "checkpoints",
    "first_rollouts",
    "full_parameters",
    "joined",
    "load_checkpoint",
    "load_optimiser",
    "load_state",
    "load_weights",
    "newest_checkpoint",
    "on_first",
    "processes",
    "prune",
    "read_meta",
    "release_memory",
    "replicate",
    "save_checkpoint",
    "set_usual_permissions",
    "shard",
    "start",
    "stop",
    "together",
    "usable_device",
    "whole",
    "whole_weights",
]
