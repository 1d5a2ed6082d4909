"""A training run from config to last step: cobasim's loop around a language model, crash-safe."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cobasim.allocation import Allocator, make_allocator
from cobasim.errors import InputError
from cobasim.loop import Loop
from cobasim.records import RunHeader, RunWriter, StepRecord, read_header, write_atomically
from cobatrain.config import TrainConfig, difference
from cobatrain.engines import make_engine
from cobatrain.learner import LanguageModelLearner, Sample, load_policy, prompt_tokens
from cobatrain.parallel.checkpoint import (
    checkpoints,
    load_checkpoint,
    prune,
    read_meta,
    save_checkpoint,
    whole_weights,
)
from cobatrain.parallel.distributed import Parallel, Single, joined, replicate, shard, together
from cobatrain.tasks import make_task
from cobatrain.update.update import Batch, NonFiniteError

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


def check_new(out: Path) -> None:
    """Raise InputError unless ``out`` can become the folder of a new run: missing, or empty."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} exists and is not empty; runs are never overwritten: choose another --out, "
            f"or go on with `cobatrain resume {out}`"
        )


@contextmanager
def open_learner(
    config: TrainConfig, *, checkpoint: Path | None = None, parallel: Parallel | None = None
) -> Iterator[tuple[LanguageModelLearner, dict[str, Any] | None]]:
    """Task, policy, engine and learner of a config; engine and workers end with the block.

    Yields the learner, and the state of the checkpoint whose weights were loaded (None without
    one), which ``Loop.load_state_dict`` takes. The engine has the policy's weights. With
    ``parallel`` every rank has all of these, and the policy is replicated or sharded over them.

    Raises InputError for what cannot be used, before an engine is started, EngineError and
    PeerError.
    """
    ranks = parallel or Single()
    _check_engine(config, ranks.world)
    with ExitStack() as hold:

        def load() -> tuple[Any, ...]:
            task = make_task(config.task, config.task_seed)
            hold.callback(task.close)
            if config.loop.batch_size > len(task.train):
                raise InputError(
                    f"loop.batch_size is {config.loop.batch_size}, but the task has only "
                    f"{len(task.train)} prompts to train on"
                )
            model, tokenizer = load_policy(config)
            reference = load_policy(config)[0] if config.update.kl_coef > 0 else None
            state = None if checkpoint is None else load_checkpoint(checkpoint, model)
            return task, model, reference, state, tokenizer, prompt_tokens(task, tokenizer, config)

        task, model, reference, state, tokenizer, tokens = together(ranks, load)
        if ranks.world > 1:
            for policy in (model, reference):
                if policy is not None and ranks.sharded:
                    shard(policy, bf16=config.update.bf16)
                elif policy is not None:
                    replicate(policy)
        engine = together(
            ranks, lambda: hold.enter_context(make_engine(config.engine, config.model.path))
        )
        together(ranks, lambda: engine.sync(model))
        learner = LanguageModelLearner(
            model, tokenizer, engine, task, config,
            tokens=tokens, reference=reference, parallel=ranks,
        )  # fmt: skip
        yield learner, state


def _check_engine(config: TrainConfig, world: int) -> None:
    engine = config.engine
    if world > 1 and engine.name == "vllm" and not engine.subprocess:
        raise InputError(
            "engine.subprocess must be true with several processes: inside the trainer vLLM would "
            "take its process group"
        )
    if world > 1 and engine.tensor_parallel_size > 1:
        raise InputError(
            "engine.tensor_parallel_size must be 1 with several processes: every rank has an "
            "engine on a GPU of its own"
        )


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    on_step: Callable[[StepRecord], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a config to its last step in the run folder ``out``; started by torchrun, on all ranks.

    The tiny model of a config is made first where its folder is missing.

    Args:
        config: the run; when resuming, the stored one (see ``stored_config``).
        out: a new folder, or the one to resume; rank 0's counts.
        resume: go on from the newest whole checkpoint, or from the start where there is none. The
            number of processes need not be the same.
        on_step: gets each record once it is on disk; on rank 0 only.
        say: gets a line about what takes long before the first step.

    Raises InputError for what cannot be used (also a folder that another process writes), Stopped
    after a Ctrl-C, SyncError, EngineError, RewardError, CheckpointError, OSError for a full disk,
    NonFiniteError (the offending batch is then in ``bad_batch.json``), and PeerError where it was
    another rank that raised one of these. What was recorded and saved before stays.
    """
    group = joined(
        config.model.device,
        sharded=config.parallel == "shard",
        timeout=config.engine.call_timeout + config.engine.start_timeout,
    )
    with group as parallel, ExitStack() as hold:
        _train(config, out, resume, on_step, say, parallel, hold)


def _train(
    config: TrainConfig,
    out: Path,
    resume: bool,
    on_step: Callable[[StepRecord], None],
    say: Callable[[str], None],
    parallel: Parallel,
    hold: ExitStack,
) -> None:
    head = parallel.rank == 0

    def claim() -> Path | None:
        """The newest checkpoint; what is wrong with the folder is found here, by rank 0."""
        if not head:
            return None
        if not resume:
            check_new(out)
            if config.model.tiny is not None and not Path(config.model.path).exists():
                prepare(config, say=say)
            return None
        read_header(out)
        hold.enter_context(_alone(out))
        found = next(reversed(checkpoints(out)), None)
        if found is not None:
            _check_same(found, read_meta(found), config)
        return found

    newest = parallel.gather(together(parallel, claim))[0]
    with open_learner(config, checkpoint=newest, parallel=parallel) as (learner, state):
        fingerprint = learner.task.fingerprint()
        if newest is not None and read_meta(newest).get("task") != fingerprint:
            raise InputError(
                f"{newest} was made with other prompts: the task's data has changed since"
            )
        meta = {"config": config.model_dump(mode="json"), "task": fingerprint}
        loop = Loop(learner, config.loop, seed=config.seed, estimator=config.estimator)
        allocator = make_allocator(config.allocator, **config.parameters)
        if state is not None:
            loop.load_state_dict(state)

        def begin() -> RunWriter | None:
            if not head:
                return None
            if resume:
                made = RunWriter.resume(out, -1 if state is None else loop.step)
            else:
                made = RunWriter(out, run_header(config))
                hold.enter_context(_alone(out))
            learner.on_samples = SampleFile(out / SAMPLES, keep=loop.step).append
            return made

        writer = together(parallel, begin)
        with writer or nullcontext(), _stop_signals() as stop:
            try:
                _steps(loop, allocator, writer, meta, stop, on_step)
            except NonFiniteError as error:
                name = BAD_BATCH if head else f"bad_batch-rank{parallel.rank}.json"
                folder = parallel.gather(out)[0]
                write_atomically(folder / name, json.dumps(_plain_batch(error)) + "\n")
                raise


def _steps(
    loop: Loop,
    allocator: Allocator,
    writer: RunWriter | None,
    meta: dict[str, Any],
    stop: threading.Event,
    on_step: Callable[[StepRecord], None],
) -> None:
    """All steps that are left, each recorded, with a checkpoint when one is due.

    The rank with a writer does the writing.
    """
    learner = loop.learner
    assert isinstance(learner, LanguageModelLearner)
    settings, parallel = learner.config.checkpoint, learner.parallel

    def keep(record: StepRecord) -> None:
        def write() -> None:
            if writer is not None:
                writer.append(record)
                on_step(record)

        together(parallel, write)

    def save() -> None:
        weights = whole_weights(learner.model, keep=writer is not None)
        state = loop.state_dict()

        def write() -> None:
            if writer is not None:
                save_checkpoint(writer.path, loop.step, weights, state, meta)
                prune(writer.path, settings.keep)

        together(parallel, write)

    if loop.step == 0:
        keep(loop.start())
    while not loop.done:
        keep(loop.advance(allocator))
        last = loop.done
        stopped = any(parallel.gather(stop.is_set()))
        if stopped or last or loop.step % settings.every == 0:
            save()
        if stopped and not last:
            raise Stopped


def run_header(config: TrainConfig) -> RunHeader:
    """What is known of a run before its first step."""
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


def _check_same(checkpoint: Path, found: dict[str, Any], config: TrainConfig) -> None:
    changed = difference(config, found.get("config", {}))
    if changed:
        raise InputError(
            f"{checkpoint} belongs to another run: {', '.join(changed[:5])} differ; resume with "
            "the stored config, or start a new run"
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


class SampleFile:
    """A few rollouts of each step as text, one JSON object a line, append-only."""

    def __init__(self, path: Path, keep: int) -> None:
        """Keep the samples of steps up to ``keep`` where the file exists."""
        self._path = path
        if path.exists():
            whole = [line for line in path.read_text().splitlines(True) if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["step"] <= keep]
            write_atomically(path, "".join(kept))

    def append(self, samples: list[Sample]) -> None:
        """Write the samples of one step."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(sample)) + "\n" for sample in samples))


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the run's folder: two processes must not write one run. Ends with the process."""
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise InputError(
            f"{out} is being written by another process; wait for it or stop it"
        ) from None
    except OSError:
        pass  # a file system without locks
    try:
        yield
    finally:
        os.close(folder)


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
