"""Starting or resuming a run, and all its steps."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from pathlib import Path

from cobasim.allocation import Allocator, make_allocator
from cobasim.errors import InputError
from cobasim.files import writing
from cobasim.loop import Loop
from cobasim.records import RunWriter, StepRecord, read_header, read_run
from cobatrain.config import TrainConfig, stored_config
from cobatrain.learner import SAMPLES, LanguageModelLearner, SampleFile
from cobatrain.parallel import Parallel, joined, newest_checkpoint, on_first, together
from cobatrain.planning import check_room
from cobatrain.tasks import SelfCheck
from cobatrain.trainer.changing import accept_changes
from cobatrain.trainer.data_account import question_task, store_account
from cobatrain.trainer.first_beliefs import first_counts
from cobatrain.trainer.folder import (
    BAD_BATCH,
    check_new,
    check_same_config,
    check_same_task,
    run_header,
    write_bad_batch,
)
from cobatrain.trainer.keeping import Keeper
from cobatrain.trainer.no_signal import SignalWatch
from cobatrain.trainer.number_types import warn_of_coarse_weights, warn_of_slow_bfloat16
from cobatrain.trainer.opening import open_learner
from cobatrain.trainer.preparation import prepare_if_missing
from cobatrain.trainer.stopping import Stopped, stop_signals
from cobatrain.update import NonFiniteError


def train(
    config: TrainConfig,
    out: Path,
    *,
    resume: bool = False,
    on_step: Callable[[StepRecord], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run a config to its last step in the run folder ``out``; under torchrun, on all ranks.

    A model that ``prepare`` can make is made first if its folder is missing.

    Args:
        config: the run; when resuming, the stored one (see ``stored_config``), in which what
            ``MAY_CHANGE`` names may be changed.
        out: a new folder, or the one to resume; rank 0's counts.
        resume: continue from the newest whole checkpoint, or from the start if there is none. The
            number of processes need not be the same.
        on_step: gets each record once it is on disk; on rank 0 only.
        say: gets lines about what takes long before the first step, about the data sets and whether
            reference answers are rewarded, and a warning if steps bring no reward or teach
            nothing; on rank 0 only.

    What was recorded and saved before a failure stays. Raises:
        InputError: the config or the folder cannot be used, or another process writes the folder.
        Stopped: after a Ctrl-C.
        SyncError, EngineError, RewardError, CheckpointError, OSError: as named.
        NonFiniteError: the offending batch is then in ``bad_batch.json``.
        PeerError: another rank raised one of these.
    """
    group = joined(
        config.model.device,
        layout=config.parallel,
        timeout=config.engine.patience,
    )
    with group as parallel, ExitStack() as hold:

        def claim() -> Path | None:
            if not resume:
                check_new(out)
            check_room(config, parallel.world, say)
            warn_of_coarse_weights(config, say)
            warn_of_slow_bfloat16(config, say)
            if resume:
                return _resumable(config, out, hold, say)
            prepare_if_missing(config, say=say)
            return None

        checkpoint = on_first(parallel, claim)
        with open_learner(config, checkpoint=checkpoint, parallel=parallel) as (learner, state):
            fingerprint = learner.task.fingerprint()
            if checkpoint is not None:
                on_first(parallel, lambda: check_same_task(checkpoint, fingerprint))
            if learner.model.device.type == "cuda":
                tokens = learner.rehearse()
                say(f"rehearsed an update: micro-batches of {tokens:,} tokens fit")
            known = config.pass_rates if state is None else None  # else the state knows more
            counts = together(parallel, lambda: first_counts(known, learner.task.train, say))
            rule = config.estimator
            loop = Loop(learner, config.loop, seed=config.seed, estimator=rule, counts=counts)
            if state is not None:
                loop.load_state_dict(state)
            from_step = (-1 if state is None else loop.step) if resume else None
            check = on_first(
                parallel, lambda: question_task(learner.task, config.evaluation, say=say)
            )
            writer = together(parallel, lambda: _open_writer(learner, check, out, from_step, hold))
            watch = _watch(learner, check, say)
            meta = {"config": config.model_dump(mode="json"), "task": fingerprint}
            keeper = Keeper(learner, writer, config.checkpoint, meta, on_step)
            allocator = make_allocator(config.allocator, **config.parameters)
            with writer or nullcontext(), stop_signals() as stop:
                try:
                    _steps(loop, allocator, keeper, stop, watch)
                except NonFiniteError as error:
                    write_bad_batch(_bad_batch_path(parallel, out), error)
                    raise


def _resumable(
    config: TrainConfig, out: Path, hold: ExitStack, say: Callable[[str], None]
) -> Path | None:
    """Lock the folder of a run and record what changes; its newest checkpoint, if it has one."""
    read_header(out)
    hold.enter_context(writing(out))
    checkpoint = newest_checkpoint(out)
    if checkpoint is not None:
        check_same_config(checkpoint, config)
    else:
        _check_nothing_is_lost(out, say)
    accept_changes(out, config, checkpoint, say=say)
    return checkpoint


def _check_nothing_is_lost(out: Path, say: Callable[[str], None]) -> None:
    """Raise InputError where starting over would overwrite more than a run's first steps.

    Without a checkpoint a run starts over. That is right where it was stopped before its first one
    was due.
    """
    steps = read_run(out).steps
    if not steps or steps[-1].step == 0:
        return
    last, stored = steps[-1], stored_config(out)
    if stored.loop.finished(last.step, last.rollouts, last.tokens):
        raise InputError(
            f"{out} is finished and kept no checkpoint: there is nothing to resume; start a new run"
        )
    if last.step > stored.checkpoint.every:
        raise InputError(
            f"{out} has records of {last.step} steps and no checkpoint, although one is due every "
            f"{stored.checkpoint.every}: resuming would start over and overwrite them; put the "
            "checkpoints back, or start a new run"
        )
    say(f"{out} has no checkpoint yet: it starts over, and its {last.step} steps are made again")


def _open_writer(
    learner: LanguageModelLearner,
    check: SelfCheck,
    out: Path,
    from_step: int | None,
    hold: ExitStack,
) -> RunWriter | None:
    """Rank 0's writer of the records, its file of samples, and the account of the task's data.

    ``from_step`` is the step to resume from, -1 to resume a run without a checkpoint, None for a
    new run.
    """
    if learner.parallel.rank > 0:
        return None
    if from_step is None:
        writer = RunWriter(out, run_header(learner.config, learner.task.left_out))
        hold.enter_context(writing(out))
    else:
        writer = RunWriter.resume(out, from_step)
    store_account(out, learner.task, check)
    learner.on_samples = SampleFile(out / SAMPLES, keep=learner.step).append
    return writer


def _watch(
    learner: LanguageModelLearner, check: SelfCheck, say: Callable[[str], None]
) -> SignalWatch:
    """Who warns of steps that teach nothing; rank 0 speaks, of the rollouts that it judged."""
    first = learner.parallel.rank == 0
    return SignalWatch(
        check,
        lambda: getattr(learner.task.reward, "stats", None),
        learner.config.sampling.max_tokens,
        dropped=learner.config.update.cut_off == "drop",
        say=say if first else lambda _: None,
    )


def _steps(
    loop: Loop, allocator: Allocator, keeper: Keeper, stop: threading.Event, watch: SignalWatch
) -> None:
    """All steps that are left, each recorded, with a checkpoint when one is due."""
    learner = loop.learner
    assert isinstance(learner, LanguageModelLearner)
    if loop.step == 0:
        keeper.record(loop.start())
    while not loop.done:
        record = loop.advance(allocator)
        keeper.record(record)
        watch.see(record)
        last = loop.done
        stopped = any(learner.parallel.gather(stop.is_set()))
        if stopped or last or loop.step % learner.config.checkpoint.every == 0:
            keeper.save(loop)
        if stopped and not last:
            raise Stopped
    watch.finish()


def _bad_batch_path(parallel: Parallel, out: Path) -> Path:
    """In rank 0's folder, each rank under its own name. Collective.

    In the working directory of a machine that does not have that folder.
    """
    name = BAD_BATCH if parallel.rank == 0 else f"bad_batch-rank{parallel.rank}.json"
    folder: Path = parallel.gather(out)[0]
    return (folder if folder.is_dir() else Path()) / name
