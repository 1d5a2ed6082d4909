"""Many calls at a time: in processes of this machine (joblib), or on a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cobasim.errors import InputError

Result = TypeVar("Result")


@dataclass(frozen=True)
class RayCluster:
    """A Ray cluster to run on: the one at ``address``, or a local one that is started for it."""

    address: str | None = None


def in_parallel(
    task: Callable[..., Result],
    items: Sequence[tuple[Any, ...]],
    *,
    jobs: int | None = None,
    ray: RayCluster | None = None,
    ordered: bool = False,
) -> Iterator[Result]:
    """``task(*item)`` of every item, as they finish.

    Args:
        task: a function that another process can import, or a method of plain values.
        items: arguments of each call.
        jobs: processes at a time; None: one per processor, or all that Ray has.
        ray: where to run; None: in processes of this machine.
        ordered: results in the order of the items.

    Raises InputError if Ray is not installed or does not start.
    """
    import joblib

    if not items:
        return
    if ray is not None:
        yield from _on_ray(task, items, jobs, ray)
        return
    kind = "generator" if ordered else "generator_unordered"
    here = os.getcwd()
    calls = (joblib.delayed(_at)(here, task, *item) for item in items)
    workers = min(jobs or int(joblib.cpu_count()), len(items))
    yield from joblib.Parallel(n_jobs=workers, return_as=kind)(calls)


def _at(folder: str, task: Callable[..., Result], *item: Any) -> Result:
    """``task(*item)`` in a folder: a worker that is used again stands where it first started."""
    if os.getcwd() != folder:
        os.chdir(folder)
    return task(*item)


def _on_ray(
    task: Callable[..., Result],
    items: Sequence[tuple[Any, ...]],
    jobs: int | None,
    cluster: RayCluster,
) -> Iterator[Result]:
    """Blocks of calls through Ray's joblib backend, which returns whole blocks only."""
    import joblib

    try:
        import ray
        from ray.util.joblib import register_ray
    except ImportError:
        raise InputError("Ray is not installed; pip install 'coba-testbed[ray]'") from None
    try:
        if cluster.address is None:
            ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False)
        else:
            ray.init(address=cluster.address, log_to_driver=False)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise InputError(f"Ray does not start ({' '.join(str(error).split())[:300]})") from None
    try:
        register_ray()
        workers = jobs or max(1, int(ray.cluster_resources().get("CPU", 1)))
        block = 8 * workers
        with joblib.parallel_config(backend="ray", n_jobs=workers):
            for first in range(0, len(items), block):
                part = items[first : first + block]
                yield from joblib.Parallel()(joblib.delayed(task)(*item) for item in part)
    finally:
        ray.shutdown()
