"""Small logs with the files, columns and types of verl and TRL."""

from __future__ import annotations

import csv
import gzip
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cobasim.importing import GROUPS, PASS_RATES

GROUP = 8
"""Rollouts of a prompt in a step."""


def passes_of(step: int, prompt: int, seed: int = 0) -> int:
    """How many of GROUP rollouts pass: harder prompts later in the list, slowly learned."""
    rate = np.clip(1.1 - prompt / 10 + step / 100, 0.0, 1.0)
    return int(np.random.default_rng([seed, step, prompt]).binomial(GROUP, rate))


def prompt_text(prompt: int) -> str:
    return f"user\nWhat is {prompt} + 1?\nassistant\n"


def batch_of(step: int, size: int = 4, pool: int = 12) -> list[int]:
    """The prompts of a step: in order, round and round."""
    return [((step - 1) * size + k) % pool for k in range(size)]


def verl_rows(
    step: int, prompts: Sequence[int], *, seed: int = 0, scores: tuple[float, float] = (0.0, 1.0)
) -> list[dict[str, Any]]:
    """Rows as ``_dump_generations`` of verl's ``RayPPOTrainer`` writes them, groups mingled.

    ``scores``: of a failure and of a pass.
    """
    rows = []
    for k in range(GROUP):
        for prompt in prompts:
            passed = k < passes_of(step, prompt, seed)
            rows.append(
                {
                    "input": prompt_text(prompt),
                    "output": f"It is {prompt + passed}.",
                    "gts": str(prompt + 1),
                    "score": scores[passed],
                    "step": step,
                    "acc": passed,
                    "pred": str(prompt + passed),
                }
            )
    return rows


def verl_v1_rows(
    step: int, prompts: Sequence[int], *, outputs: int = 1, padding: int = 0
) -> list[dict[str, Any]]:
    """Rows as verl's V1 trainer writes them: ``uid`` is UID_SESSION_OUTPUT, sorted by it.

    Later outputs of a session (agent loops) repeat the reward of the last, with a longer prompt.
    ``padding``: rows that fill up the batch.
    """
    rows = []
    for place, prompt in enumerate(prompts):
        uid = uuid.UUID(int=step * 1000 + place)
        for session in range(GROUP):
            score = float(session < passes_of(step, prompt))
            for output in range(outputs):
                rows.append(
                    {
                        "input": prompt_text(prompt) + "tool\n" * output,
                        "output": f"answer {output}",
                        "gts": str(prompt + 1),
                        "score": score,
                        "step": step,
                        "uid": f"{uid}_{session}_{output}",
                    }
                )
    filler = {"input": "", "output": "", "gts": "1", "score": 0.0, "step": step}
    name = f"pad{uuid.UUID(int=step).hex}"
    return rows + [filler | {"uid": f"{name}_{number}_0"} for number in range(padding)]


def write_lines(file: Path, rows: Sequence[Mapping[str, Any]], *, end: str = "\n") -> Path:
    """JSON lines; compressed if the name says so."""
    file.parent.mkdir(parents=True, exist_ok=True)
    data = ("\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + end).encode()
    file.write_bytes(gzip.compress(data) if file.name.endswith(".gz") else data)
    return file


def write_verl(folder: Path, steps: int = 6, *, size: int = 4, **options: Any) -> Path:
    """A ``trainer.rollout_data_dir``."""
    for step in range(1, steps + 1):
        write_lines(folder / f"{step}.jsonl", verl_rows(step, batch_of(step, size), **options))
    return folder


def write_validation(folder: Path, steps: Sequence[int], *, seed: int = 0) -> Path:
    """A ``trainer.validation_data_dir``: the same held-out prompts at each of the steps."""
    for step in steps:
        rows = verl_rows(step, range(100, 108), seed=seed)
        for place, row in enumerate(rows):
            passed = np.random.default_rng([seed, step, place]).random() < 0.2 + step / 40
            row["score"] = row["reward"] = float(passed)
            row["acc"] = bool(passed)
        write_lines(folder / f"{step}.jsonl", rows)
    return folder


def trl_columns(
    step: int, prompts: Sequence[int], *, reward: str = "accuracy_reward"
) -> dict[str, list[Any]]:
    """The table that ``GRPOTrainer.log`` writes, groups one after the other."""
    pairs = [(prompt, k < passes_of(step, prompt)) for prompt in prompts for k in range(GROUP)]
    return {
        "step": [step] * len(pairs),
        "prompt": [prompt_text(prompt) for prompt, _ in pairs],
        "completion": [f"step {step}: {prompt + passed}" for prompt, passed in pairs],
        reward: [float(passed) for _, passed in pairs],
        "advantage": [passed - passes_of(step, prompt) / GROUP for prompt, passed in pairs],
    }


def write_parquet(file: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), file)
    return file


def write_trl(output: Path, steps: int = 6, *, size: int = 4) -> Path:
    """An ``output_dir`` with its folder of completions."""
    for step in range(1, steps + 1):
        file = output / "completions" / f"completions_{step:05d}.parquet"
        write_parquet(file, trl_columns(step, batch_of(step, size)))
    return output


def write_wandb_table(file: Path, columns: Mapping[str, Sequence[Any]]) -> Path:
    """A table as Weights & Biases stores it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    data = [list(cells) for cells in zip(*columns.values(), strict=True)]
    file.write_text(json.dumps({"columns": list(columns), "data": data}))
    return file


Counts = dict[int, dict[str, tuple[int, int]]]
"""Step -> prompt -> budget and passes."""


def counts_of(run: Path) -> Counts:
    """What an imported run says was spent, read from its files."""
    with (run / PASS_RATES).open(encoding="utf-8", newline="") as file:
        prompts = [row["prompt"] for row in csv.DictReader(file)]
    counts: Counts = {}
    for row in pq.read_table(run / GROUPS).to_pylist():
        group = counts.setdefault(row["step"], {})
        assert prompts[row["prompt"]] not in group
        group[prompts[row["prompt"]]] = (row["budget"], row["passes"])
    return counts
