"""Ctrl-C in comparisons names the folder and the command that resumes there."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from repository import EXAMPLES

from cobasim import runs
from cobatrain import comparison, trainer


def stop(*_, **__):
    raise KeyboardInterrupt


def test_a_comparison_resumes_in_its_folder(tmp_path, monkeypatch, cobatrain):
    monkeypatch.setattr(trainer, "prepare_if_missing", lambda *_, **__: None)
    monkeypatch.setattr(comparison, "run_all", stop)
    for _ in range(2):  # the second time, the folder is this comparison's
        answer = cobatrain("compare", "tiny-compare", "--seeds", 1, "--out", tmp_path / "out")
        assert answer.code == 130
        assert answer.err == (
            f"error: interrupted; finished runs are kept in {tmp_path / 'out'}; the same command "
            "resumes there\n"
        )


def test_a_prediction_names_the_folder_that_it_chose(tmp_path, monkeypatch, cobatrain):
    monkeypatch.setattr(runs, "run_all", stop)
    monkeypatch.chdir(tmp_path)
    arguments = ["predict", "tiny-compare", "--measured", "examples/gradients_tiny_lm.npz"]
    assert (EXAMPLES / "gradients_tiny_lm.npz").exists()
    answer = cobatrain(*arguments)
    assert answer.code == 130, answer.err
    (folder,) = (tmp_path / "runs").iterdir()
    command = " ".join(["cobatrain", *arguments, "--out", f"runs/{folder.name}"])
    assert (
        f"finished runs are kept in runs/{folder.name}; to resume there: {command}\n" in answer.err
    )
    again = cobatrain(*arguments, "--out", f"runs/{folder.name}")
    assert again.code == 130
    assert "the same command resumes there" in again.err
