"""Rows that know their number in the dataset, in an order that a resumed run goes on with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from cobatrain.integrations.trl.compatibility import RepeatSampler

SAMPLED_ROWS = 64  # rows whose prompts stand for a dataset


class Numbered(torch.utils.data.Dataset[tuple[int, dict[str, Any]]]):
    """A dataset whose rows come with their number: (number, row)."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, number: int) -> tuple[int, dict[str, Any]]:
        return number, self.dataset[number]

    def __getitems__(self, numbers: Sequence[int]) -> list[tuple[int, dict[str, Any]]]:
        """Rows of several numbers at once; a number may come twice and gives two objects."""
        many = getattr(self.dataset, "__getitems__", None)
        rows = [self.dataset[i] for i in numbers] if many is None else many(list(numbers))
        return list(zip(numbers, rows, strict=True))


class EpochSampler(RepeatSampler):
    """TRL's order of prompts, with ``set_epoch``.

    TRL draws each epoch's order from one generator that starts anew with every sampler, so that a
    run resumed in the second epoch would repeat the first. Here epoch e always has draw e, which is
    the order of an unbroken stock run.
    """

    drawn = 0

    def set_epoch(self, epoch: int) -> None:
        """The next iteration is that of epoch ``epoch``, from 0."""
        if not self.shuffle or epoch == self.drawn:
            return
        self.generator.manual_seed(self.seed)
        for _ in range(epoch):
            torch.randperm(self.num_samples, generator=self.generator)
        self.drawn = epoch

    def __iter__(self) -> Iterator[int]:
        self.drawn += 1
        yield from super().__iter__()


def fingerprint(dataset: Any) -> str:
    """What tells whether the rows of a dataset are those of another run: their number, and prompts.

    Prompts of up to 64 rows, evenly spread, as they are stored (without transforms).
    """
    stored = dataset.with_format(None) if hasattr(dataset, "with_format") else dataset
    digest = hashlib.sha256(str(len(stored)).encode())
    if "prompt" in stored.column_names:
        places = np.unique(np.linspace(0, len(stored) - 1, SAMPLED_ROWS).astype(np.int64))
        digest.update(repr(stored.select_columns(["prompt"])[places]["prompt"]).encode())
    return digest.hexdigest()
