"""Records of short runs, pinned: a change of structure must not change a number.

``tests/data/pinned-records.jsonl.gz`` holds the records of the runs below, and a digest of each.
They are those of before the rooms were made, but for ``signal``, whose search became quicker on
2026-11-26, and ``mixed_share``, which is of groups since 2026-11-27; the others were compared
before the file was written anew. On the machine and libraries
that wrote it the digests must be equal; elsewhere numbers agree to 12 digits, since linear algebra
rounds differently there. Write it anew, after a change that is meant, with

    python -P tests/integration/test_pinned_records.py
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import platform
from functools import cache
from pathlib import Path

import numpy
import pytest
import scipy
import threadpoolctl

from cobasim.allocation import make_allocator
from cobasim.loop import run
from cobasim.records import StepRecord
from cobasim.runs import RunConfig, build_loop, one_thread

FILE = Path(__file__).parents[1] / "data" / "pinned-records.jsonl.gz"
LOOP = {"steps": 12, "batch_size": 16, "total_budget": 128, "eval_every": 4}
WORLD = {"num_prompts": 96, "num_heldout": 64, "learning_rate": 0.02}
ALLOCATORS = ("uniform", "coba", "knapsack", "signal", "signal-skip", "dapo", "reinforce-ada")

NEW = ("tokens", "length_min", "length_median", "length_max")

CASES: dict[str, dict] = {
    f"{world}, {weighting}, {allocator}": {
        "allocator": allocator,
        "world": {"world": world, "weighting": weighting},
    }
    for world in ("logistic", "skill-chain")
    for weighting in ("rollout", "prompt")
    for allocator in ALLOCATORS
}
CASES |= {
    "features of prompts": {"allocator": "vip-gp"},
    "lengths": {"allocator": "duet", "world": {"length_spread": 0.7}},
    "gradient norms": {"allocator": "gvm", "parameters": {"gradients": "learner", "pilot": 2}},
    "part of the rollouts": {"allocator": "pods"},
    "lots": {"allocator": "cero"},
    "weighed as another": {"allocator": "uniform", "weigh_as": "coba"},
    "all kinds of noise": {
        "allocator": "signal",
        "loop": {"estimator": "window"},
        "world": {"prompt_noise": 8.0, "harm": 2.0, "forgetting": 0.05, "update": "rloo"},
    },
    "drift, sgd": {
        "allocator": "coba",
        "loop": {"estimator": "robust", "window": 1},
        "world": {"walk": 0.1, "regime_step": 5, "optimiser": "sgd", "update": "dr-grpo"},
    },
    "drift in chains": {
        "allocator": "linear-decay",
        "world": {"world": "skill-chain", "walk": 0.1, "regime_step": 5, "prompt_noise": 4.0},
    },
    "a schedule of mixes": {
        "allocator": "coba-released",
        "loop": {"mix": [{"step": 4, "weights": [3, 1, 1]}]},
        "world": {"clusters": 3},
    },
}


def lines(case: dict) -> list[str]:
    """The records of a run as lines, without times."""
    values = {
        "seed": 3,
        **case,
        "loop": LOOP | case.get("loop", {}),
        "world": WORLD | case.get("world", {}),
    }
    config = RunConfig(**values)
    with one_thread():
        loop = build_loop(config)
        records = run(loop, make_allocator(config.base_allocator, **config.parameters))
    written = [json.loads(record.to_json()) for record in records]
    for line in written:
        for name in ("attempts", "tokens"):  # recorded since 0.2, as are NEW
            (line["bins"] or {}).pop(name, None)
    unsaid = dict.fromkeys(("allocate_ms", *NEW))
    return [json.dumps(one | unsaid) for one in written]


def digest(text: list[str]) -> str:
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def machine() -> dict[str, str]:
    """What decides how numbers are rounded."""
    blas = {
        f"{one['internal_api']} {one['version']} {one.get('architecture')}"
        for one in threadpoolctl.threadpool_info()
        if one["user_api"] == "blas"
    }
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "blas": ", ".join(sorted(blas)),
    }


def _processor() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    wanted = ("model name", "cpu family", "model\t", "stepping")
    return "; ".join(dict.fromkeys(x for x in text.splitlines() if x.startswith(wanted)))


@cache
def pinned() -> tuple[dict[str, str], dict[str, dict]]:
    with gzip.open(FILE, "rt", encoding="utf-8") as file:
        head, *runs = (json.loads(line) for line in file)
    return head, {one["case"]: one for one in runs}


def same(a: object, b: object, where: str) -> None:
    """Equal but for the last digits of floating point."""
    if isinstance(a, dict) and isinstance(b, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            same(a[key], b[key], f"{where}.{key}")
    elif isinstance(a, list) and isinstance(b, list):
        assert len(a) == len(b), where
        for place, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{where}[{place}]")
    elif isinstance(a, float) and isinstance(b, float):
        assert math.isclose(a, b, rel_tol=1e-12, abs_tol=1e-14), f"{where}: {a!r}, {b!r}"
    else:
        assert a == b, where


@pytest.mark.parametrize("name", CASES)
def test_records_are_as_they_were(name):
    head, runs = pinned()
    stored, now = runs[name], lines(CASES[name])
    before = [StepRecord.from_json(line) for line in stored["records"]]
    again = [json.loads(record.to_json()) for record in before]
    same([json.loads(line) for line in now], again, name)
    if head == machine():
        assert digest(now) == digest([json.dumps(one) for one in again])


def test_the_file_holds_what_is_pinned():
    _, runs = pinned()
    assert list(runs) == list(CASES)
    for one in runs.values():
        assert digest(one["records"]) == one["digest"]


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    with gzip.GzipFile(FILE, "wb", mtime=0) as out:
        out.write(json.dumps(machine()).encode() + b"\n")
        for name, case in CASES.items():
            records = lines(case)
            entry = {"case": name, "digest": digest(records), "records": records}
            out.write(json.dumps(entry).encode() + b"\n")
