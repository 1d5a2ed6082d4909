"""Child processes: started fresh, controlled by messages, ended with their parent.

A `Child` runs one function, named by import path, in a new Python interpreter. Nothing is forked
(the parent may hold a GPU) and the parent's main module is not imported again. Parent and child
talk over a socket pair, one message at a time:

    child = Child("package.module:serve")      # def serve(parent: Parent) -> None
    child.send(question)                       # for question in parent:
    answer = child.receive(timeout=10.0)       #     parent.send(answer)
    child.close()

How a child ends:

- `close`, or the parent's normal exit: a last message ends the child's loop. After `patience`
  seconds its process group gets SIGKILL, and so does whatever the child left behind in it.
- The parent is killed: the child sees the connection end or, if it is busy, a watching thread
  notices within half a second that its parent changed. It kills its process group.
- The child dies or is late: the parent's call raises `ChildDied` or `ChildLate`. The caller then
  ends it with `kill`.

Ctrl-C in a terminal reaches the parent only: each child has a session of its own. A signal sent
to the child itself works as usual, even if the parent was started with SIGINT ignored, as a shell
does for background jobs.

POSIX only.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for_connections
from pathlib import Path
from typing import IO, Any, Literal, NoReturn

STALL_SECONDS = 30
"""Seconds without progress after which a message, once begun, is given up."""

_PARENT_POLL_SECONDS = 0.5
_FAREWELL = b""  # the parent's last message; a connection that ends without it: the parent died

_ENCODERS: dict[str, Callable[[Any], bytes]] = {
    "pickle": lambda message: pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL),
    "json": lambda message: json.dumps(message).encode(),
}
_DECODERS: dict[str, Callable[[bytes], Any]] = {"pickle": pickle.loads, "json": json.loads}


class ChildError(RuntimeError):
    """A child failed to answer or to take a message."""


class ChildDied(ChildError):
    """The child has ended, or closed its connection."""


class ChildLate(ChildError):
    """The child did not answer, or did not take a message, in time."""


@dataclass(frozen=True)
class ChildSettings:
    """How a child is started and ended."""

    environment: Mapping[str, str] | None = None
    """Its environment variables; None: those of the parent. PYTHONPATH is always the parent's
    sys.path."""
    output: IO[bytes] | None = None
    """Where its standard output and error go; None: both to the parent's standard error."""
    answers: Literal["pickle", "json"] = "pickle"
    """How its messages are encoded. With json nothing that the child sends is unpickled here."""
    memory_bytes: int | None = None
    """Limit of its address space; beyond it, allocating raises MemoryError. None: no limit."""
    folder: Path | None = None
    """A folder that is removed when the child ends, whatever ends it."""
    patience: float = 0.0
    """Seconds that it may take to end by itself after `Child.close`."""


class Child:
    """A process that runs `service(parent)`; see the module.

    Args:
        service: import path of the function, `package.module:function`.
        settings: how to start and end it.
    """

    def __init__(self, service: str, settings: ChildSettings | None = None) -> None:
        self._settings = settings = settings or ChildSettings()
        ours, theirs = socket.socketpair()
        for option in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
            ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", STALL_SECONDS, 0))
        given = os.environ if settings.environment is None else settings.environment
        environment = dict(given)
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        if settings.memory_bytes is not None:  # 64 MiB for a second thread would count
            environment["MALLOC_ARENA_MAX"] = "1"
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "cobatrain.processes",
                    service,
                    str(theirs.fileno()),
                    str(os.getpid()),
                    settings.answers,
                    str(settings.memory_bytes or ""),
                    str(settings.folder or ""),
                ],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=settings.output,
                stderr=settings.output,
                start_new_session=True,  # a process group of its own; Ctrl-C stays with the parent
            )
        self._connection = Connection(ours.detach())
        self._finalizer = weakref.finalize(
            self, _end, self._process, self._connection, settings.folder, settings.patience
        )

    @property
    def pid(self) -> int:
        """Process id, which is also the id of the child's process group."""
        return self._process.pid

    @property
    def connection(self) -> Connection:
        """Our end, to be waited for."""
        return self._connection

    def send(self, message: object) -> None:
        """Send a message, as a pickle.

        Raises:
            ChildDied: the child is gone.
            ChildLate: the child took nothing for `STALL_SECONDS`.
        """
        try:
            self._connection.send_bytes(_ENCODERS["pickle"](message))
        except BlockingIOError as error:
            raise ChildLate(f"process {self.pid} does not take its message") from error
        except OSError as error:
            raise ChildDied(f"process {self.pid} is gone") from error

    def receive(self, timeout: float) -> Any:
        """The child's next message.

        After any exception the connection is out of step: end the child.

        Raises:
            ChildDied: it ended first.
            ChildLate: none came within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        try:
            while not self._connection.poll(min(1.0, max(0.0, deadline - time.monotonic()))):
                if self.wait(0.0) is not None and not self._connection.poll(0):
                    raise EOFError
                if time.monotonic() >= deadline:
                    raise ChildLate(f"process {self.pid} did not answer within {timeout:g} s")
            data = self._connection.recv_bytes()
        except BlockingIOError as error:
            raise ChildLate(f"process {self.pid} stopped within a message") from error
        except (EOFError, OSError) as error:
            raise ChildDied(f"process {self.pid} is gone") from error
        return _DECODERS[self._settings.answers](data)

    def wait(self, timeout: float) -> int | None:
        """The exit code (-n: ended by signal n), or None if it still runs after `timeout` s."""
        try:
            return self._process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End the child: by a last message, then by SIGKILL; may be called twice."""
        self._finalizer()

    def kill(self) -> int:
        """End the child and its process group at once; return its exit code."""
        if self._finalizer.detach() is not None:
            _end(self._process, self._connection, self._settings.folder, patience=0.0)
        return self._process.wait()


def wait_for_any(children: Sequence[Child], timeout: float) -> list[Child]:
    """The children that sent a message or ended, once there are any; [] after `timeout` s."""
    ready = set(wait_for_connections([child.connection for child in children], timeout))
    return [child for child in children if child.connection in ready]


def _end(
    process: subprocess.Popen[bytes], connection: Connection, folder: Path | None, patience: float
) -> None:
    """Send the last message, wait `patience` seconds, kill the child's whole group, clean up."""
    with contextlib.suppress(OSError):
        os.set_blocking(connection.fileno(), False)  # a child that hangs may not take it
        connection.send_bytes(_FAREWELL)
    connection.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=patience)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    _remove(folder)


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


# --- in the child -------------------------------------------------------------------------------


class ParentGone(Exception):
    """The parent closed the connection or was killed: nobody waits for an answer."""


class Parent:
    """The child's end of the connection: iterate over the parent's messages, and answer them."""

    def __init__(self, connection: Connection, answers: str) -> None:
        self.connection = connection
        self.died = False
        """Whether the connection broke, or ended without the parent's last message."""
        self._encode = _ENCODERS[answers]

    def __iter__(self) -> Iterator[Any]:
        while True:
            try:
                data = self.connection.recv_bytes()
            except (EOFError, OSError):
                self.died = True
                return
            if data == _FAREWELL:
                return
            yield _DECODERS["pickle"](data)

    def send(self, message: object) -> None:
        """Send a message, encoded as `ChildSettings.answers` says. Raises ParentGone."""
        data = self._encode(message)
        try:
            self.connection.send_bytes(data)
        except OSError as error:
            self.died = True
            raise ParentGone from error


def _watch(parent: int, folder: Path | None) -> None:
    """End this process and its group as soon as the parent is gone."""
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())  # they are the main thread's
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_SECONDS)
    _end_orphans(folder)


def _end_orphans(folder: Path | None) -> NoReturn:
    """Clean up after a parent that was killed."""
    _remove(folder)
    with contextlib.suppress(PermissionError):  # a guarded reward worker may not, and is alone
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Run the service that the command line names, until its parent closes the connection."""
    service, descriptor, pid, answers, memory, shared = sys.argv[1:]
    folder = Path(shared) if shared else None
    threading.Thread(target=_watch, args=(int(pid), folder), daemon=True).start()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.set_inheritable(int(descriptor), False)
    os.dup2(2, 1)
    if memory:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (int(memory), hard))
    module, _, function = service.partition(":")
    parent = Parent(Connection(int(descriptor)), answers)
    with contextlib.suppress(ParentGone):
        getattr(import_module(module), function)(parent)
    if parent.died:
        _end_orphans(folder)


if __name__ == "__main__":
    import_module("cobatrain.processes").main()  # under its own name, not a second copy
