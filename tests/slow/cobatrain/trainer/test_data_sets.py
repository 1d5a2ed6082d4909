"""A run on a data set of one's own says and stores what it holds, and warns if nothing passes."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from optional import needs_math

from cobasim.records import read_run
from cobatrain import trainer


@needs_math
def test_a_run_on_a_file_with_bad_rows_and_answers_that_are_not_found(config, tmp_path):
    rows = [{"question": f"{i}+1=", "answer": f"#### {i + 1}"} for i in range(10, 90)]
    rows += [{"question": f"{i}-1=", "answer": "proof"} for i in range(10, 30)]
    rows += [{"question": "1" * 60, "answer": "1"}]
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"kind": "files", "train": str(data), "on_bad_row": "skip", "overlong": "skip"}
    task |= {"heldout_size": 20, "workers": 1}
    chosen = config(
        f"task={json.dumps(task)}", "loop.steps=4", "loop.batch_size=8", "loop.total_budget=16",
        "loop.eval_every=4", "engine.max_model_len=40",
    )  # fmt: skip
    said: list[str] = []
    trainer.train(chosen, tmp_path / "run", say=said.append)
    assert said[0].startswith(f"train: {data} (question -> answer): 101 rows, ")
    assert any(line.startswith("  left out: ") for line in said)
    *_, check, warning, end = said
    assert "self-check: " in check
    assert "all are rewarded" in check
    assert warning.startswith(
        "warning: steps 1 to 3 taught nothing: no rollout passed; likely because"
    )
    assert "100 % of the responses state no answer that is found" in warning
    assert end == "warning: none of the 4 steps that were made had a signal: nothing was learned"
    stored = json.loads((tmp_path / "run" / trainer.TASK_FILE).read_text())
    dropped = {
        reason: sum(one["dropped"].get(reason, 0) for one in stored["data_sets"].values())
        for reason in ("the answer is 'proof'", "leave no room for a completion")
    }
    assert dropped == {"the answer is 'proof'": 20, "leave no room for a completion": 1}
    assert len(read_run(tmp_path / "run").steps) == 5
