"""A real vLLM server on a CPU for TRL, and TRL's client with another way for the weights.

TRL sends weights to a server by NCCL, which needs a GPU. Here they go through a file that the
server's worker reads as ``cobatrain`` has it read them. Every request is TRL's own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from children import environment
from trl.generation.vllm_client import VLLMClient

from cobatrain.engines.vllm_arguments import WORKER
from cobatrain.engines.weights import write_weights

SETTINGS = {
    "VLLM_SERVER_DEV_MODE": "1",  # what TRL needs of a server
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
    "HF_HUB_OFFLINE": "1",
    "TORCH_COMPILE_DISABLE": "1",
    "OMP_NUM_THREADS": "1",
}


@contextmanager
def serving(model: Path, log: Path, seconds: float = 400.0) -> Iterator[str]:
    """The address of a server of this model. What it says goes to ``log``.

    It is what ``vllm serve`` runs, whose command fails where the package is named ``vllm-cpu``.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "vllm.entrypoints.launchers.api_server.entry",
        "--model", str(model), "--host", "127.0.0.1", "--port", str(port),
        "--dtype", "float32", "--max-model-len", "32", "--max-num-seqs", "32", "--enforce-eager",
        "--logprobs-mode", "processed_logprobs", "--generation-config", "vllm",
        "--worker-extension-cls", WORKER,
    ]  # fmt: skip
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=output, env=environment(**SETTINGS),
            start_new_session=True,
        )  # fmt: skip
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + seconds
        while not _answers(address):
            ended, late = server.poll() is not None, time.monotonic() > deadline
            assert not ended, f"the server ended:\n{log.read_text()[-3000:]}"
            assert not late, f"no server after {seconds} s:\n{log.read_text()[-3000:]}"
            time.sleep(0.2)
        yield address
    finally:
        with_children = server.pid  # a session, and so a process group, of its own
        with suppress(ProcessLookupError):  # it ended by itself
            os.killpg(with_children, signal.SIGKILL)
        server.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


class FileClient(VLLMClient):
    """TRL's client, but that weights go through ``folder``; keeps what it asked and was given.

    Attributes:
        asked: the number of prompts and n of each request.
        given: the prompt and the completion, as tokens, of every rollout of each request.
    """

    folder: Path
    stale = False  # True: no weights are sent
    made: list[FileClient] = []

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.asked: list[tuple[int, int]] = []
        self.given: list[list[tuple[list[int], list[int]]]] = []
        self.made.append(self)

    def init_communicator(self, device: Any = 0) -> None:
        """There is none."""

    def update_named_params(self, metadata: Any, named_params: Any) -> None:
        written = write_weights(self.folder, named_params)
        if not self.stale:
            request = {"method": "cobatrain_load_weights", "args": [str(written)]}
            assert self._post(f"{self.base_url}/collective_rpc", json=request)

    def generate(self, prompts: list[list[int]], n: int = 1, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = super().generate(prompts, n=n, **more)
        self.asked.append((len(prompts), n))
        each = [prompt for prompt in answer["prompt_ids"] for _ in range(n)]
        self.given.append(list(zip(each, answer["completion_ids"], strict=True)))
        return answer
