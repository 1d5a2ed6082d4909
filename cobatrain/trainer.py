"""A training run from config to last step: cobasim's loop around a language model, crash-safe."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cobasim.allocation import make_allocator
from cobasim.config import validated
from cobasim.errors import InputError
from cobasim.loop import Loop
from cobasim.records import RunHeader, RunWriter, StepRecord, read_header, write_atomically
from cobatrain.checkpoint import checkpoints, load_checkpoint, prune, read_meta, save_checkpoint
from cobatrain.config import TrainConfig, difference
from cobatrain.engines import make_engine
from cobatrain.learner import LanguageModelLearner, Sample, load_policy
from cobatrain.tasks import make_task
from cobatrain.update import Batch, NonFiniteError

SAMPLES = "samples.jsonl"
BAD_BATCH = "bad_batch.json"


class Stopped(KeyboardInterrupt):
    """Ctrl-C (or SIGTERM) after the step under way was finished and saved."""


def prepare(config: TrainConfig, *, say: Callable[[str], None] = lambda _: None) -> Path:
    """Make the tiny model of a config and warm it up on the task's train side.

    The folder appears whole, under its name, when the model is ready. Raises InputError when the
    config has no ``model.tiny``, or the folder exists already.
    """
    from cobatrain.tiny import build_tiny, save, warm_up

    tiny, path = config.model.tiny, Path(config.model.path)
    if tiny is None:
        raise InputError("model.tiny is not given: only a tiny model can be prepared")
    if path.exists():
        raise InputError(f"{path} exists already; remove it, or give another model.path")
    task = make_task(config.task, config.task_seed)
    # from the train side of the operand pairs: the split depends on task_seed alone
    rng = np.random.default_rng([config.task_seed, 17])
    pairs = task.supervised_examples(tiny.examples, rng)
    probe = task.supervised_examples(256, rng)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    model, tokenizer = build_tiny(
        aside,
        config.task_seed,
        hidden=tiny.hidden,
        layers=tiny.layers,
        heads=tiny.heads,
        tied=tiny.tied,
    )
    rows = warm_up(
        model,
        tokenizer,
        pairs,
        tiny.target_pass_rate,
        probe,
        config.task_seed,
        max_steps=tiny.max_steps,
    )
    save(aside, model, tokenizer)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside.rename(path)
    task.close()
    say(
        f"tiny model in {path}: pass rate {rows[-1].pass_rate:.2f} after {rows[-1].step} "
        f"supervised steps, {rows[-1].seconds:.0f} s"
    )
    return path


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    on_step: Callable[[StepRecord], None] = lambda _: None,
) -> None:
    """Run (or go on with) the training run in the folder ``out``.

    Args:
        config: the run; when resuming, the stored one (see ``stored_config``).
        out: a new folder, or one to resume.
        resume: go on from the newest whole checkpoint, or from the start where there is none.
        on_step: gets each record once it is on disk.

    Raises InputError for what cannot be used, Stopped after a Ctrl-C, SyncError, EngineError,
    RewardError and NonFiniteError (the offending batch is then in ``bad_batch.json``). What was
    recorded and saved before stays.
    """
    task = make_task(config.task, config.task_seed)
    if config.loop.batch_size > len(task.train):
        raise InputError(
            f"loop.batch_size is {config.loop.batch_size}, but the task has only "
            f"{len(task.train)} prompts to train on"
        )
    model, tokenizer = load_policy(config)
    meta = {"config": config.model_dump(mode="json"), "task": task.fingerprint()}
    start, state = 0, None
    if resume:
        read_header(out)
        saved = checkpoints(out)
        if saved:
            found = read_meta(saved[-1])
            _check_same(saved[-1], found, config, task.fingerprint())
            start, state = int(found["step"]), load_checkpoint(saved[-1], model)
    writer = (
        RunWriter.resume(out, start if state is not None else -1)
        if resume
        else RunWriter(out, _header(config))
    )
    samples = _SampleFile(out / SAMPLES, keep=start)
    with writer, make_engine(config.engine, config.model.path) as engine, _stop_signals() as stop:
        engine.sync(model)
        learner = LanguageModelLearner(
            model, tokenizer, engine, task, config, on_samples=samples.append
        )
        loop = Loop(learner, config.loop, seed=config.seed, estimator=config.estimator)
        allocator = make_allocator(config.allocator, **config.parameters)
        if state is not None:
            loop.load_state_dict(state)

        def keep(record: StepRecord) -> None:
            writer.append(record)
            on_step(record)

        def save() -> None:
            save_checkpoint(out, loop.step, model, loop.state_dict(), meta)
            prune(out, config.checkpoint.keep)

        try:
            if loop.step == 0:
                keep(loop.start())
            while loop.step < config.loop.steps:
                keep(loop.advance(allocator))
                last = loop.step == config.loop.steps
                if stop.is_set() or last or loop.step % config.checkpoint.every == 0:
                    save()
                if stop.is_set() and not last:
                    raise Stopped
        except NonFiniteError as error:
            write_atomically(out / BAD_BATCH, json.dumps(_plain_batch(error)) + "\n")
            raise
        finally:
            task.close()


def stored_config(run: Path) -> TrainConfig:
    """The config of a run folder. Raises InputError for a folder of something else."""
    header = read_header(run)
    if header.source != "train":
        raise InputError(f"{run} is a simulated run; only training runs can be resumed")
    return validated(TrainConfig, dict(header.config))


def _header(config: TrainConfig) -> RunHeader:
    import transformers

    return RunHeader.create(
        source="train",
        seed=config.seed,
        allocator=config.allocator,
        estimator=config.estimator,
        weighting=config.weighting,
        world=str(config.task.get("kind", "arithmetic")),
        config=config.model_dump(mode="json"),
        versions={"torch": torch.__version__, "transformers": transformers.__version__},
    )


def _check_same(
    checkpoint: Path, found: dict[str, Any], config: TrainConfig, fingerprint: str
) -> None:
    changed = difference(config, found.get("config", {}))
    if changed:
        raise InputError(
            f"{checkpoint} belongs to another run: {', '.join(changed[:5])} differ; resume with "
            "the stored config, or start a new run"
        )
    if found.get("task") != fingerprint:
        raise InputError(
            f"{checkpoint} was made with other prompts: the task's data has changed since"
        )


def _plain_batch(error: NonFiniteError) -> dict[str, Any]:
    batch: Batch = error.batch
    return {
        "error": str(error),
        "suspect_rollouts": np.asarray(error.rows).tolist(),
        "prompts": [list(map(int, row)) for row in batch.prompts],
        "responses": [list(map(int, row)) for row in batch.responses],
        "rewards": np.asarray(batch.rewards).tolist(),
        "group": np.asarray(batch.group).tolist(),
    }


class _SampleFile:
    """A few rollouts of each step as text, one JSON object a line, append-only."""

    def __init__(self, path: Path, keep: int) -> None:
        """Keep the samples of steps up to ``keep`` where the file exists."""
        self._path = path
        if path.exists():
            whole = [line for line in path.read_text().splitlines(True) if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["step"] <= keep]
            write_atomically(path, "".join(kept))

    def append(self, samples: list[Sample]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(sample)) + "\n" for sample in samples))


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; a second one stops at once."""
    stop = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, old in before.items():
            signal.signal(number, old)
