"""Any engine in a separate process, which ends when its parent does.

Why a process: under torchrun vLLM must not see the trainer's process group; a crash of the engine
becomes an `EngineError` and does not end the trainer; and the engine gets its own threads and GPUs.

`cobatrain.processes` defines how the two talk and how the child ends. Weights go through a
safetensors file in a folder in shared memory, which is removed with the child.
"""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch

from cobatrain.engines.base import CLOSED, BaseEngine, EngineError
from cobatrain.engines.config import EngineConfig
from cobatrain.engines.model_folder import weight_dtype
from cobatrain.engines.requests import Request
from cobatrain.engines.rollouts import Rollouts
from cobatrain.engines.weights import make_exchange_folder, named_weights, write_weights
from cobatrain.processes import Child, ChildDied, ChildLate, ChildSettings

_CLOSE_SECONDS = 10.0
_LOG_LINES = 20  # of the child's log, in an error
# What torchrun says about the trainer's process group must not reach the engine.
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


class SubprocessEngine(BaseEngine):
    """`Engine` that passes every call to the same engine in a child process; see the module.

    Raises:
        ValueError: the child found the model folder or the config wrong.
        EngineError: the engine did not start in config.start_timeout seconds.
    """

    def __init__(self, config: EngineConfig, model_path: str | Path) -> None:
        super().__init__(config)
        self.exchange_folder = make_exchange_folder()
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as the engine)
        self._broken: str | None = None
        dtype = weight_dtype(config.dtype, model_path)
        self._dtype = None if dtype is None else getattr(torch, dtype)
        self._child = Child(
            "cobatrain.engines.process_service:serve",
            ChildSettings(
                environment=engine_environment(config, os.environ),
                output=self._log,
                folder=self.exchange_folder,
                patience=_CLOSE_SECONDS,
            ),
        )
        local = config.model_copy(update={"subprocess": False})
        try:
            self._call("start", (local, str(model_path)), config.start_timeout)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._child.pid

    def answer(self, request: Request) -> Rollouts:
        """See `BaseEngine.answer`."""
        rollouts: Rollouts = self._call("generate", (request,))
        return rollouts

    def sync(self, model: torch.nn.Module | Mapping[str, torch.Tensor]) -> float:
        """See `Engine.sync`; the weights pass through a file in shared memory."""
        start = time.perf_counter()
        folder = self.write(model)
        try:
            self.sync_from(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return time.perf_counter() - start

    def write(
        self, model: torch.nn.Module | Mapping[str, torch.Tensor], *, keep: bool = True
    ) -> Path:
        """Put the weights, in the engine's type, where engine processes can read them.

        Returns the folder. Collective for a sharded model; with ``keep`` false this rank takes part
        and writes nothing.
        """
        self.check_open()
        weights = named_weights(model, self._dtype)
        return write_weights(self.exchange_folder, weights, keep=keep)

    def sync_from(self, folder: Path) -> None:
        """Overwrite the engine's weights with those that an engine of this machine wrote."""
        self._call("sync_from", (str(folder),))

    def sleep(self) -> None:
        """See `Engine.sleep`."""
        self._call("sleep", ())

    def close(self) -> None:
        """End the child: by a last message, then by SIGKILL; may be called twice."""
        if self._broken is None:
            self._broken = CLOSED
        self._child.close()
        self._log.close()

    def check_open(self) -> None:
        """Raise EngineError if the engine is closed, or an earlier call broke it."""
        if self._broken is not None:
            raise EngineError(self._broken)

    def _call(self, method: str, arguments: tuple[Any, ...], timeout: float | None = None) -> Any:
        """Send one call and wait for its answer, the child's death or the timeout."""
        self.check_open()
        limit = self.config.call_timeout if timeout is None else timeout
        try:
            self._child.send((method, arguments))
            kind, value = self._child.receive(limit)
        except ChildLate:
            self._fail(f"did not answer to '{method}' within {limit:g} s and was ended")
        except ChildDied:
            self._fail(f"died during '{method}'")
        except BaseException:
            # Interrupted between question and answer: the next answer would be the wrong one.
            self._broken = f"the engine was interrupted during '{method}'; make a new one"
            raise
        if kind == "value":
            return value
        raise value

    def _fail(self, what: str) -> NoReturn:
        """End the child and raise EngineError with its exit code and log."""
        code = self._child.wait(1.0)
        if code is None:
            state = "still running"
        elif code < 0:
            state = f"killed by {signal.Signals(-code).name}"
        else:
            state = f"exit code {code}"
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
        self._broken = f"the engine process {self.pid} ({self.config.name}) {what} ({state})"
        self._child.kill()
        log = "\n".join(lines) or "(empty)"
        raise EngineError(f"{self._broken}. Last lines of its log:\n{log}")


def engine_environment(config: EngineConfig, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of an engine process, from that of the trainer (``given``).

    Under torchrun the engine of a rank gets the one GPU of that rank, unless the config says
    ``visible_devices``, and nothing of the trainer's process group.
    """
    environment = {k: v for k, v in given.items() if k not in _TORCHRUN_VARIABLES}
    environment = {k: v for k, v in environment.items() if not k.startswith("TORCHELASTIC_")}
    # Threads that spin while they wait for each other make small operations ten times slower
    # as soon as anything else uses the cores.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if config.threads is not None:
        environment["OMP_NUM_THREADS"] = str(config.threads)
    if config.visible_devices is not None:
        environment["CUDA_VISIBLE_DEVICES"] = config.visible_devices
    elif "LOCAL_RANK" in given:
        listed = given.get("CUDA_VISIBLE_DEVICES")
        devices = listed.split(",") if listed else []
        local = int(given["LOCAL_RANK"])
        environment["CUDA_VISIBLE_DEVICES"] = devices[local] if local < len(devices) else str(local)
    return environment
