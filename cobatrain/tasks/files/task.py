"""The task of the files in a config: train, held-out sets that share nothing with it, a reward."""

from __future__ import annotations

from cobasim.errors import InputError
from cobatrain.tasks.accounts import DataSet
from cobatrain.tasks.files.config import FilesConfig, FileSource
from cobatrain.tasks.files.loading import load
from cobatrain.tasks.prompts import Prompt
from cobatrain.tasks.rewards import RewardColumns, RewardFunction
from cobatrain.tasks.streams import FILES_SPLIT, rng_of
from cobatrain.tasks.task import Task, check_disjoint
from cobatrain.tasks.verify import ExactMatch, Limits, MathJudge, Verifier, custom_verifier
from cobatrain.tasks.wording import counted

HELDOUT = "heldout"


class _Log:
    """What was removed: by reason, in sentences, and by data set."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.notes: list[str] = []
        self.data_sets: list[DataSet] = []

    def add(self, reason: str, number: int, note: str) -> None:
        if number:
            self.counts[reason] = self.counts.get(reason, 0) + number
            self.notes.append(note)

    def drop_from_train(self, reason: str, prompts: int) -> None:
        """Note it in the account of train, which is the first."""
        self.data_sets[0] = self.data_sets[0].without(reason, prompts)

    def hold_out(self, prompts: tuple[Prompt, ...]) -> None:
        """Note the set that `heldout_size` takes from train."""
        self.drop_from_train(f"held out as {HELDOUT!r}", len(prompts))
        train, n = self.data_sets[0], len(prompts)
        held = DataSet(HELDOUT, f"of {train.path}", train.columns, rows=n, used=n)
        self.data_sets.append(held)


def make_files(config: FilesConfig, seed: int) -> Task:
    """The task of the files in a config; the seed only chooses what `heldout_size` holds out.

    A train problem that is also held out is removed from train (`counts["overlap"]`), or an error.
    Reward: 1 where math-verify finds the response's final answer equal to the reference, or with
    ``answer_match: exact`` where the response is the reference, else 0.
    Raises InputError as `load` does, or if nothing is left to train on.
    """
    if HELDOUT in config.heldout and config.heldout_size:
        raise InputError(
            f"`{HELDOUT}` names both a file and what heldout_size holds out: rename it"
        )
    with custom_verifier(config.reward) as (reward, columns):
        return _read_task(config, seed, reward or _verifier(config), columns)


def _read_task(
    config: FilesConfig, seed: int, reward: RewardFunction, columns: RewardColumns
) -> Task:
    log = _Log()
    train = _read(config, config.train, "train", columns, log)
    heldout = {
        name: _read(config, source, name, columns, log) for name, source in config.heldout.items()
    }
    taken = {key for prompts in heldout.values() for key in _keys(prompts)}
    train = _without(train, taken, config, log)
    if config.heldout_size:
        train, heldout[HELDOUT] = _split(train, config.heldout_size, seed)
        log.hold_out(heldout[HELDOUT])
        train = _without(train, _keys(heldout[HELDOUT]), config, log)
    return check_disjoint(
        Task(
            name=config.train.path.stem,
            train=train,
            heldout=heldout,
            reward=reward,
            counts=log.counts,
            notes=tuple(log.notes),
            data_sets=tuple(log.data_sets),
        )
    )


def _read(
    config: FilesConfig, source: FileSource, name: str, columns: RewardColumns, log: _Log
) -> tuple[Prompt, ...]:
    """The prompts of one source; what it lost goes to the log."""
    loaded = load(
        source,
        name,
        instruction=config.instruction,
        on_bad_row=config.on_bad_row,
        final_answers=config.reward is None and config.answer_match == "math",
        columns=columns,
    )
    repeating = f"that {'repeats' if loaded.duplicates == 1 else 'repeat'} a problem dropped"
    for reason, number, noun, what in (
        ("bad rows", len(loaded.bad), "malformed row", "skipped"),
        ("duplicates", loaded.duplicates, "row", repeating),
        ("conflicting", loaded.conflicting, "problem", "with contradicting answers dropped"),
    ):
        log.add(reason, number, f"{source.path}: {counted(number, noun)} {what}")
    log.notes.extend(loaded.bad[:5])
    log.data_sets.append(loaded.account)
    return loaded.prompts


def _keys(prompts: tuple[Prompt, ...]) -> set[str]:
    """The problems of prompts, whatever else the model is shown."""
    return {prompt.metadata["key"] for prompt in prompts}


def _without(
    train: tuple[Prompt, ...], taken: set[str], config: FilesConfig, log: _Log
) -> tuple[Prompt, ...]:
    """The train prompts that are not held out; InputError instead if overlap is an error."""
    overlap = [prompt for prompt in train if prompt.metadata["key"] in taken]
    shared = counted(len(overlap), "train problem") + (" is" if len(overlap) == 1 else " are")
    if overlap and config.overlap == "error":
        raise InputError(
            f"{shared} also held out, the first at {overlap[0].source}: set overlap to 'remove' to "
            "drop from train what is held out"
        )
    log.add("overlap", len(overlap), f"{shared} also held out: removed from train")
    log.drop_from_train("also held out", len(overlap))
    return tuple(prompt for prompt in train if prompt.metadata["key"] not in taken)


def _split(
    train: tuple[Prompt, ...], size: int, seed: int
) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    """(train, held out), `size` prompts chosen by the seed; both keep their order."""
    if size >= len(train):
        raise InputError(f"heldout_size {size} leaves nothing of {counted(len(train), 'problem')}")
    chosen = set(rng_of(seed, FILES_SPLIT).permutation(len(train))[:size].tolist())
    heldout = tuple(p for i, p in enumerate(train) if i in chosen)
    return tuple(p for i, p in enumerate(train) if i not in chosen), heldout


def _verifier(config: FilesConfig) -> RewardFunction:
    if config.answer_match == "exact":
        return ExactMatch()
    limits = Limits(cpu_seconds=config.cpu_seconds)
    judge = MathJudge(config.answer_from, config.answer_pattern)
    return Verifier(judge, workers=config.workers, limits=limits)
