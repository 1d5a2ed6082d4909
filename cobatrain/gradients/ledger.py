"""What a measurement has found so far, kept on disk, and found by several ranks together.

A measurement is a fixed order of phases. Most are lists of items (prompts, or batches of them) of
which each gives a few arrays, whatever the others give: ranks share the items of a phase, and
finished blocks of them are kept. One is a sum over items of something as large as the model: its
state so far is kept. A measurement that is stopped goes on from there, with the very numbers that
it had, so it ends as one that was not stopped.

A block is finished after ``EVERY`` seconds, or after 20 times as long as the last one took to
write, if that is more. Each is one file, which is there completely or not at all. A file that
cannot be read whole is thrown away, with all that were made after it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from cobasim.errors import InputError
from cobasim.files import writing, writing_atomically
from cobasim.runs import claim_folder
from cobatrain.config import differing
from cobatrain.parallel import Parallel, Single, on_first, together

Item = TypeVar("Item")
Arrays = Mapping[str, "np.ndarray[Any, Any]"]

EVERY = 30.0  # seconds of work that a kill may cost
SHARE = 20.0  # of the time that a block takes to write
AHEAD = 4  # items of a rank between two exchanges
PLAN = "measurement.json"
DAMAGE = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error)


class Ledger:
    """Goes through the phases of one measurement; a context, at whose end the last block is kept.

    What cannot be measured (InputError) leaves no folder: it would fail again. Without a folder
    nothing is kept. With several ranks every method is collective, and rank 0's folder counts; the
    number of ranks may change from one sitting to the next.

    Args:
        parallel: the ranks that share the work.
        folder: of this measurement's parts; made if it is missing.
        identity: plain values, by name, of all that the result depends on.
        say: gets lines about what was found in the folder.

    Raises InputError for a folder of a measurement with another identity, or in use.
    """

    def __init__(
        self,
        parallel: Parallel | None = None,
        folder: Path | None = None,
        identity: Mapping[str, Any] | None = None,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.parallel: Parallel = parallel or Single()
        self._hold = ExitStack()
        self._say = say
        self._folder = folder if self.parallel.rank == 0 else None
        self._phase, self._number, self._first = "", 0, 0
        self._pending: list[Arrays] = []
        self._before = 0.0
        self._began = self._written = time.perf_counter()
        self._pause = EVERY
        together(self.parallel, lambda: self._open(identity or {}))

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._hold:
            self._flush()
        bad = kind is not None and issubclass(kind, InputError)
        if bad or (self._folder is not None and not any(self._folder.glob("*.npz"))):
            self.remove()

    @property
    def seconds(self) -> float:
        """That the measurement has taken: in this sitting, and what was kept of those before."""
        return self._before + time.perf_counter() - self._began

    def each(
        self,
        phase: str,
        items: Sequence[Item],
        work: Callable[[Item], Arrays],
        *,
        alike: bool = False,
    ) -> Iterator[Arrays]:
        """What ``work`` gives for each item, in order, on every rank; what is known is not redone.

        Args:
            phase: its name; phases must always come in the same order.
            items: the same in every sitting.
            work: gives arrays for an item, whichever were done before.
            alike: ranks do not share the items: all work on each of them together.
        """
        self._next(phase)
        done = 0
        while known := on_first(self.parallel, partial(self._block, done)):
            yield from known
            done += len(known)
        self._first = done
        world, rank = (1, 0) if alike else (self.parallel.world, self.parallel.rank)
        size = 1 if world == 1 else AHEAD * world
        for begin in range(done, len(items), size):
            some = items[begin : begin + size]
            share = some[rank::world]
            own = together(self.parallel, partial(_each, work, share))
            if alike:  # the very numbers of one rank, so that all choose alike
                found = on_first(self.parallel, partial(list, own))
            else:
                parts = self.parallel.gather(own)
                found = [parts[k % world][k // world] for k in range(len(some))]
            if self._folder is not None:
                self._pending += found
            yield from found
            if self._due():
                self._flush()
        self._flush()

    def total(
        self, phase: str, size: int, add: Callable[[int], None], state: Sequence[Tensor]
    ) -> None:
        """Call ``add(i)`` for each i below ``size``, which adds something to ``state`` (zeros).

        Ranks share the calls; at the end each has the whole sum.
        """
        self._next(phase)
        before = self._before
        done = on_first(self.parallel, lambda: self._restore(state))
        earlier, began = self._before - before, time.perf_counter()
        world, rank = self.parallel.world, self.parallel.rank
        while done < size:
            if done + rank < size:
                together(self.parallel, partial(add, done + rank))
            else:
                together(self.parallel, lambda: None)
            done = min(done + world, size)
            if done == size or on_first(self.parallel, self._due):
                for part in state:
                    whole = self.parallel.total(part)
                    part.copy_(whole) if rank == 0 else part.zero_()
                seconds = earlier + time.perf_counter() - began
                on_first(self.parallel, partial(self._keep_state, done, seconds, state))
        if world > 1:
            for part in state:
                part.copy_(self.parallel.total(part))

    def remove(self) -> None:
        """Remove the folder: the measurement is whole, and stored elsewhere."""
        self._pending = []
        folder, self._folder = self._folder, None
        self._hold.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def _open(self, identity: Mapping[str, Any]) -> None:
        folder = self._folder
        if folder is None:
            return
        plan = json.dumps(identity, indent=1, sort_keys=True) + "\n"
        _check_identity(folder, plan)
        claim_folder(folder, plan, kind="parts of a measurement", file=PLAN)
        self._hold.enter_context(writing(folder))
        for aside in folder.glob(".*.tmp"):
            aside.unlink(missing_ok=True)
        if any(folder.glob("*.npz")):
            self._say(f"goes on from {folder}")

    def _next(self, phase: str) -> None:
        self._flush()
        self._phase, self._number, self._first = phase, self._number + 1, 0

    def _file(self, first: int) -> Path | None:
        if self._folder is None:
            return None
        name = f"{self._number:02d}-{self._phase.replace(' ', '-')}-{first:07d}.npz"
        return self._folder / name

    def _due(self) -> bool:
        return time.perf_counter() - self._written > self._pause

    def _flush(self) -> None:
        """Keep what was found since the last block."""
        found, self._pending = self._pending, []
        if found:
            seconds = time.perf_counter() - self._written
            arrays = {
                f"{number:06d}.{name}": array
                for number, outcome in enumerate(found)
                for name, array in outcome.items()
            }
            self._write(self._first, seconds, arrays.items())
            self._first += len(found)

    def _keep_state(self, done: int, seconds: float, state: Sequence[Tensor]) -> None:
        if self._folder is not None:
            parts = ((f"{number:06d}", _array(part)) for number, part in enumerate(state))
            self._write(0, seconds, chain([("done", np.array(done))], parts))

    def _write(
        self, first: int, seconds: float, arrays: Iterable[tuple[str, np.ndarray[Any, Any]]]
    ) -> None:
        """One file; any that come after it were made from something else, and go."""
        file = self._file(first)
        assert file is not None
        began = time.perf_counter()
        self._drop(lambda name: name > file.name)
        with writing_atomically(file) as sink, zipfile.ZipFile(sink, "w") as archive:
            for name, array in chain([("seconds", np.array(seconds))], arrays):
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
        self._written = time.perf_counter()
        self._pause = max(EVERY, SHARE * (self._written - began))

    def _block(self, first: int) -> list[dict[str, np.ndarray[Any, Any]]]:
        """What is kept of items from ``first`` on, as far as one file goes."""
        found: list[dict[str, np.ndarray[Any, Any]]] = []

        def take(archive: Mapping[str, np.ndarray[Any, Any]]) -> None:
            for key in archive:
                if key != "seconds":
                    number, name = key.split(".", maxsplit=1)
                    if int(number) == len(found):
                        found.append({})
                    found[int(number)][name] = archive[key]

        return found if self._read(first, take) else []

    def _restore(self, state: Sequence[Tensor]) -> int:
        """How many items are in the state that is kept; it is put into ``state``."""
        done = 0

        def take(archive: Mapping[str, np.ndarray[Any, Any]]) -> None:
            nonlocal done
            for number, part in enumerate(state):
                part.copy_(torch.from_numpy(archive[f"{number:06d}"]))
            done = int(archive["done"])

        if self._read(0, take):
            return done
        for part in state:
            part.zero_()
        return 0

    def _read(self, first: int, take: Callable[[Mapping[str, Any]], None]) -> bool:
        """Whether there was a whole file for ``take``; a damaged one goes."""
        file = self._file(first)
        if file is None or not file.exists():
            return False
        try:
            with np.load(file, allow_pickle=False) as archive:
                take(archive)
                self._before += float(archive["seconds"])
        except DAMAGE:
            self._say(f"{file} is damaged: measured again from there on")
            self._drop(lambda name: name >= file.name)
            return False
        return True

    def _drop(self, which: Callable[[str], bool]) -> None:
        assert self._folder is not None
        for file in self._folder.glob("*.npz"):
            if which(file.name):
                file.unlink(missing_ok=True)


def _each(work: Callable[[Item], Arrays], items: Sequence[Item]) -> list[Arrays]:
    return [work(item) for item in items]


def _array(part: Tensor) -> np.ndarray[Any, Any]:
    return np.asarray(part.cpu().numpy())


def _check_identity(folder: Path, plan: str) -> None:
    """Raise InputError, with what differs, if the folder holds another measurement."""
    try:
        stored = json.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or damaged: claiming it tells
        return
    names = differing(json.loads(plan), stored) if isinstance(stored, dict) else []
    if names:
        some = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
        raise InputError(
            f"{folder} holds parts of a measurement with other settings ({some} differ): repeat "
            "the same command to go on with it, remove the folder to begin anew, or choose another "
            "--out"
        )


def weights_digest(model: nn.Module) -> str:
    """Of all parameters and buffers: names, types and values."""
    digest = hashlib.blake2b(digest_size=16)
    for name, value in chain(model.named_parameters(), model.named_buffers()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(_array(flat.view(torch.uint8)).data)
    return digest.hexdigest()
