"""What the tests of training runs share: a small config, processes, records to compare."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import yaml

from cobasim.records import read_run
from cobatrain.parallel import Single, checkpoints

TINY = {"hidden": 64, "layers": 2, "heads": 2, "target_pass_rate": 0.4, "examples": 20000}
SMALL = [
    f"model.tiny={json.dumps(TINY)}",
    "task.levels=[\"2+1\", \"2-1\"]", "task.train_size=1200", "task.heldout_size=200",
    "loop.steps=8", "loop.batch_size=24", "loop.total_budget=192", "loop.eval_every=4",
    "engine.name=transformers", "evaluation.samples=4", "checkpoint.every=3",
    "update.learning_rate=0.0002", "sampling.max_tokens=5",
]  # fmt: skip


def plain(run: Path) -> list[dict]:
    """Records without what may differ between two runs of the same thing: times."""
    lines = []
    for step in read_run(run).steps:
        values = dict(vars(step))
        values.pop("allocate_ms")
        values["learner"] = {
            name: value for name, value in step.learner.items() if "seconds" not in name
        }
        if step.evaluation:
            values["evaluation"] = {k: v for k, v in step.evaluation.items() if k != "seconds"}
        lines.append(values)
    return lines


def weights(run: Path) -> bytes:
    return (checkpoints(run)[-1] / "model.safetensors").read_bytes()


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cobatrain", *arguments]


def started(config, out: Path) -> list[str]:
    path = out.with_suffix(".yaml")
    path.write_text(yaml.safe_dump(config.model_dump(mode="json")))
    return command("train", str(path), "--out", str(out))


def wait_for(path: Path, lines: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not (path.exists() and path.read_bytes().count(b"\n") >= lines):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        time.sleep(0.02)


class Interrupted(Exception):
    """Stands for a failure in the middle of a run."""


def interrupted_at(last: int):
    """An ``on_step`` that fails once step ``last`` is recorded."""

    def on_step(record) -> None:
        if record.step == last:
            raise Interrupted

    return on_step


class Peers(Single):
    """Two ranks of which the other says what it is told to."""

    world = 2

    def __init__(self, said):
        self.said = said

    def gather(self, value):
        return [value, self.said]
