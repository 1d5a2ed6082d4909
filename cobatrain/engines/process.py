"""Any engine in a process of its own, which ends when its parent does.

Why a process: under torchrun vLLM must not meet the trainer's process group; a crash of the engine
becomes an `EngineError` instead of the trainer's end; and the engine gets its own threads and GPUs.

The two talk by pickled messages over a socket pair; weights go through a safetensors file in shared
memory. Run as `python -m cobatrain.engines.process` by `SubprocessEngine` only.

How the engine ends, whatever happens:

- `close`, or the trainer's normal exit: the socket closes and the child ends by itself; after 10
  seconds, and for whatever it left behind, SIGKILL.
- The trainer is killed: a thread in the child notices within half a second that its parent
  changed, removes the weights file and kills its process group, vLLM's workers included.
- The child dies or a call exceeds its time: the trainer's call raises `EngineError` with the exit
  code and the last lines of the child's log.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cobatrain.engines.base import (
    ClosingEngine,
    EngineConfig,
    EngineError,
    IntArray,
    Rollouts,
    SamplingConfig,
    check_requests,
)

if TYPE_CHECKING:
    import torch

_PARENT_POLL_SECONDS = 0.5
_CLOSE_SECONDS = 10.0
# What torchrun tells the trainer about its process group must not reach the engine.
_TORCHRUN_VARIABLES = (
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "LOCAL_WORLD_SIZE",
    "GROUP_RANK",
    "GROUP_WORLD_SIZE",
    "ROLE_RANK",
    "ROLE_WORLD_SIZE",
    "ROLE_NAME",
    "MASTER_ADDR",
    "MASTER_PORT",
)


class SubprocessEngine(ClosingEngine):
    """`Engine` that passes every call to the same engine in a child process; see the module.

    Raises:
        ValueError: the child found the model folder or the config wrong.
        EngineError: the engine did not start in config.start_timeout seconds.
    """

    def __init__(self, config: EngineConfig, model_path: str | Path) -> None:
        from cobatrain.engines.weights import make_exchange_folder

        self._config = config
        self._folder = make_exchange_folder()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the engine)
        self._broken: str | None = None
        ours, theirs = Pipe()
        environment = engine_environment(config, os.environ)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "cobatrain.engines.process",
                str(theirs.fileno()),
                str(os.getpid()),
                str(self._folder),
            ],
            pass_fds=[theirs.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # a process group of its own; Ctrl-C stays with the trainer
        )
        theirs.close()
        self._connection: Connection = ours
        self._finalizer = weakref.finalize(self, _end, self._process, ours, self._folder)
        local = config.model_copy(update={"subprocess": False})
        try:
            self._call("start", (local, str(model_path), sys.path), config.start_timeout)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def generate(
        self,
        prompt_tokens: Sequence[Sequence[int]],
        budgets: IntArray,
        seeds: IntArray,
        sampling: SamplingConfig,
        first: IntArray | None = None,
    ) -> Rollouts:
        """See `Engine.generate`."""
        budgets, seeds, first = check_requests(
            prompt_tokens, budgets, seeds, sampling, self._config.max_model_len, first
        )
        rollouts: Rollouts = self._call(
            "generate", (prompt_tokens, budgets, seeds, sampling, first)
        )
        return rollouts

    def sync(self, model: "torch.nn.Module | Mapping[str, torch.Tensor]") -> float:
        """See `Engine.sync`; the weights pass through a file in shared memory."""
        from cobatrain.engines.weights import named_weights, write_weights

        start = time.perf_counter()
        self._check_open()
        path = write_weights(self._folder, named_weights(model))
        try:
            self._call("sync_from", (str(path),))
        finally:
            path.unlink(missing_ok=True)
        return time.perf_counter() - start

    def sleep(self) -> None:
        """See `Engine.sleep`."""
        self._call("sleep", ())

    def close(self) -> None:
        """End the child, politely first, then by SIGKILL; may be called twice."""
        if self._broken is None:
            self._broken = "the engine is closed; make a new one with make_engine"
        self._finalizer()
        self._log.close()

    def _check_open(self) -> None:
        if self._broken is not None:
            raise EngineError(self._broken)

    def _call(self, method: str, arguments: tuple[Any, ...], timeout: float | None = None) -> Any:
        """Send one call and wait for its answer, the child's death or the timeout."""
        self._check_open()
        limit = self._config.call_timeout if timeout is None else timeout
        deadline = time.monotonic() + limit
        try:
            self._connection.send((method, arguments))
            while not self._connection.poll(min(1.0, max(0.0, deadline - time.monotonic()))):
                if self._process.poll() is not None and not self._connection.poll(0):
                    raise EOFError
                if time.monotonic() >= deadline:
                    self._fail(f"did not answer to '{method}' within {limit:g} s and was ended")
            kind, value = self._connection.recv()
        except (EOFError, OSError):
            self._fail(f"died during '{method}'")
        except BaseException:
            # Interrupted between question and answer: the next answer would be the wrong one.
            self._broken = f"the engine was interrupted during '{method}'; make a new one"
            raise
        if kind == "value":
            return value
        raise value

    def _fail(self, what: str) -> None:
        """End the child and raise EngineError with its exit code and log."""
        try:
            code: int | None = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            code = None
        if code is None:
            state = "still running"
        elif code < 0:
            state = f"killed by {signal.Signals(-code).name}"
        else:
            state = f"exit code {code}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-20:]
        self._broken = f"the engine process {self.pid} ({self._config.name}) {what} ({state})"
        if self._finalizer.detach() is not None:
            _end(self._process, self._connection, self._folder, patience=0.0)
        log = "\n".join(lines) or "(empty)"
        raise EngineError(f"{self._broken}. Last lines of its log:\n{log}")


def engine_environment(config: EngineConfig, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of an engine process, from that of the trainer (``given``).

    Under torchrun the engine of a rank gets the one GPU of that rank, unless the config says
    ``visible_devices``, and nothing of the trainer's process group.
    """
    found = {k: v for k, v in given.items() if k not in _TORCHRUN_VARIABLES}
    found = {k: v for k, v in found.items() if not k.startswith("TORCHELASTIC_")}
    # Threads that spin while they wait for each other make small operations ten times slower
    # as soon as anything else uses the cores.
    found.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if config.threads is not None:
        found["OMP_NUM_THREADS"] = str(config.threads)
    if config.visible_devices is not None:
        found["CUDA_VISIBLE_DEVICES"] = config.visible_devices
    elif "LOCAL_RANK" in given:
        listed = given.get("CUDA_VISIBLE_DEVICES")
        devices = listed.split(",") if listed else []
        local = int(given["LOCAL_RANK"])
        found["CUDA_VISIBLE_DEVICES"] = devices[local] if local < len(devices) else str(local)
    return found


def _end(
    process: "subprocess.Popen[bytes]",
    connection: Connection,
    folder: Path,
    patience: float = _CLOSE_SECONDS,
) -> None:
    """Close the connection, wait `patience` seconds, kill the child's whole group, tidy up."""
    connection.close()  # the child's next receive ends its loop
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    shutil.rmtree(folder, ignore_errors=True)


def _watch_parent(parent: int, folder: Path) -> None:
    """Kill this process group as soon as the parent is gone."""
    while os.getppid() == parent:
        time.sleep(_PARENT_POLL_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
    os.killpg(os.getpgrp(), signal.SIGKILL)


def main() -> None:
    """Serve one parent until it closes the connection or is gone."""
    connection, parent, folder = Connection(int(sys.argv[1])), int(sys.argv[2]), Path(sys.argv[3])
    threading.Thread(target=_watch_parent, args=(parent, folder), daemon=True).start()
    try:
        _serve(connection)
    finally:  # a killed parent closes the connection too, and cannot tidy up
        shutil.rmtree(folder, ignore_errors=True)


def _serve(connection: Connection) -> None:
    """Answer calls until the connection closes, then close the engine."""
    engine: Any = None
    while True:
        try:
            method, arguments = connection.recv()
        except (EOFError, OSError):
            break
        answer: tuple[str, Any]
        try:
            if method == "start":
                config, model_path, path = arguments
                sys.path[:] = path
                from cobatrain.engines import make_engine

                engine = make_engine(config, model_path)
                answer = ("value", None)
            else:
                answer = ("value", getattr(engine, method)(*arguments))
        except EngineError as error:
            traceback.print_exc()
            answer = ("error", EngineError(*error.args))
        except ValueError as error:
            traceback.print_exc()
            answer = ("error", ValueError(str(error)))
        except Exception as error:
            traceback.print_exc()
            answer = ("error", EngineError(f"{method} failed: {error!r}"))
        try:
            connection.send(answer)
        except OSError:
            break
    if engine is not None:
        engine.close()


if __name__ == "__main__":
    main()
