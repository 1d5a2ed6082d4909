"""An allocator of the docs, by its import path, in every command."""

from __future__ import annotations

import sys

from documents import SMALL, run


def test_an_allocator_by_import_path_takes_part_everywhere(half):
    cobasim = [sys.executable, "-m", "cobasim"]
    name = "half:Half"
    base = ["--allocators", f"uniform,{name}", *SMALL]
    run(half, *cobasim, "sweep", *base, "--param", "sharpness=1,4", "--jobs", "2", "--out", "sweep")
    table = (half / "sweep" / "summary.csv").read_text()
    assert table.count(name) == 4  # two points, two weightings
    small = ["--samples", "4", "--batch-size", "16", "--set", "num_prompts=64", "--seeds", "2"]
    small += ["--param", "sharpness=0.5:4", "--param", "window=1:4:int", "--steps", "8"]
    small += ["--set", "total_budget=256"]
    run(half, *cobasim, "sensitivity", "--allocators", f"uniform,{name}", *small, "--out", "sense")
    assert name in next((half / "sense").glob("*.json")).read_text() + "".join(
        file.read_text() for file in (half / "sense").glob("*.html")
    )
    (half / "rates.json").write_text("[0.1, 0.5, 0.9]")
    out = run(half, *cobasim, "allocate", "rates.json", "--total-budget", "30", "--allocator", name)
    assert "30 rollouts over 3 prompts" in out
