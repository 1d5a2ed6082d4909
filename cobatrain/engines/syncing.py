"""New weights for the engines of all ranks."""

from __future__ import annotations

import shutil
import time

from cobatrain.engines.base import Engine, Weights
from cobatrain.engines.process import SubprocessEngine
from cobatrain.parallel import Parallel, together


def sync_engines(engine: Engine, model: Weights, parallel: Parallel) -> float:
    """Overwrite the weights of every rank's engine; return the seconds it took. Collective.

    Engines in processes of their own read what the first rank of their machine wrote: once for each
    machine, in the engines' type. Raises what ``Engine.sync`` raises, and PeerError if another rank
    failed.
    """
    if parallel.world == 1 or not isinstance(engine, SubprocessEngine):
        return together(parallel, lambda: engine.sync(model))
    start, first = time.perf_counter(), parallel.local_rank == 0
    written = parallel.gather(together(parallel, lambda: engine.write(model, keep=first)))
    here = written[parallel.rank - parallel.local_rank]
    try:
        together(parallel, lambda: engine.sync_from(here))
    finally:
        if first:
            shutil.rmtree(here, ignore_errors=True)
    return time.perf_counter() - start
