"""The most memory held at once: of the GPU where the model is on one, else of the process."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import torch

from cobatrain.heap import return_freed_memory

_PROCESS = Path("/proc/self")


class PeakMemory:
    """Bytes at the highest point since ``restart``.

    On a GPU those that torch has given out on ``device``; on a CPU the resident memory of this
    process, which Linux counts.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def restart(self) -> None:
        """What is held now is the highest point from here on; what was freed is given back."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
            return
        return_freed_memory()  # a trainer's process keeps it, and it would count
        with suppress(OSError):  # where it cannot be reset: of the process so far
            (_PROCESS / "clear_refs").write_text("5")

    def bytes(self) -> int | None:
        """The highest point; None where the system does not count it."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        try:
            lines = (_PROCESS / "status").read_text().splitlines()
        except OSError:
            return None
        found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
        return 1024 * int(found[0]) if found else None
