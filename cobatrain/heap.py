"""The C library's heap on a CPU: memory that an update frees is kept for the next one."""

from __future__ import annotations

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4  # of glibc's malloc.h
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees; whether the C library can.

    glibc maps every large array afresh and gives it back when it is freed, so each tensor of a step
    starts with page faults, and the kernel fills it with zeros: 0.7 million faults and 2 to 3 of 14
    seconds in an update of SmolLM2-135M. Kept, the memory of one step serves the next. The process
    then stays at its highest point.

    Other C libraries than glibc are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, _NEVER), (_TOP_PAD, 2**26))
    accepted = [mallopt(which, value) for which, value in settings]
    return all(accepted)


def return_freed_memory() -> None:
    """Give back what was freed so far, as before the system is asked how much is free."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
