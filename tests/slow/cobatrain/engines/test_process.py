"""An engine in a process of its own: the same rollouts, and clean deaths."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from children import environment, gone
from engine_setup import (
    BUDGETS,
    PROMPTS,
    SAMPLING,
    SEEDS,
    config_for,
    largest_difference,
    load,
    long_call,
    shake,
)
from optional import needs_vllm

from cobatrain.engines import EngineError, make_engine


def test_a_process_gives_the_same_rollouts_and_ends(tiny_folders, hf_engine):
    model = load(tiny_folders[False])
    shake(model, 0)
    with make_engine(config_for("transformers", subprocess=True), tiny_folders[False]) as engine:
        folder = engine.exchange_folder
        first = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert first.tokens == hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING).tokens
        engine.sync(model)
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert largest_difference(model, PROMPTS, rollouts) < 1e-4
        with pytest.raises(ValueError, match="budgets"):
            engine.generate(PROMPTS, -BUDGETS, SEEDS, SAMPLING)
        with pytest.raises(ValueError, match="missing"):
            engine.sync({"lm_head.weight": model.lm_head.weight})
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)  # a refused call breaks nothing
        pid = engine.pid
        assert not gone(pid)
        assert folder.exists()
    assert gone(pid)
    assert not folder.exists()
    with pytest.raises(EngineError, match="closed"):
        engine.sync(model)


def test_a_process_that_cannot_start_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        make_engine(config_for("transformers", subprocess=True), tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(EngineError, match="start"):
        make_engine(config_for("transformers", subprocess=True), tmp_path)


def test_a_process_killed_while_generating_is_an_error(tiny_folders):
    engine = make_engine(config_for("transformers", subprocess=True), tiny_folders[False])
    threading.Timer(0.5, os.kill, (engine.pid, signal.SIGKILL)).start()
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"died during 'generate'.*SIGKILL"):
        long_call(engine)
    assert time.monotonic() - start < 5
    with pytest.raises(EngineError, match="died during 'generate'"):
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)  # and stays one
    engine.close()


def test_a_process_that_hangs_is_ended(tiny_folders):
    config = config_for("transformers", subprocess=True, call_timeout=1.5)
    engine = make_engine(config, tiny_folders[False])
    os.kill(engine.pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"did not answer to 'generate' within 1\.5 s"):
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    assert time.monotonic() - start < 8
    assert gone(engine.pid)


PARENT = """
import sys
from cobatrain.engines import EngineConfig, make_engine
from engine_setup import long_call
engine = make_engine(EngineConfig(name=sys.argv[1], max_model_len=512, threads=1), sys.argv[2])
print(engine.pid, engine.exchange_folder, flush=True)
if sys.argv[3] == "raise":
    raise SystemExit(3)
if sys.argv[3] == "idle":
    sys.stdin.read()
while True:
    long_call(engine)
"""


def start_parent(name: str, folder, ending: str) -> tuple[subprocess.Popen[str], int, str]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, name, str(folder), ending],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(OMP_NUM_THREADS="1"),
    )
    assert parent.stdout is not None
    pid, exchange = parent.stdout.readline().split()
    return parent, int(pid), exchange


@pytest.mark.parametrize("doing", ["generating", "idle"])
@pytest.mark.parametrize("name", ["transformers", pytest.param("vllm", marks=needs_vllm)])
def test_the_engine_ends_when_its_parent_is_killed(tiny_folders, name, doing):
    parent, pid, exchange = start_parent(name, tiny_folders[False], doing)
    with parent:
        time.sleep(1.0)
        assert not gone(pid)
        parent.kill()
    assert gone(pid, 10.0)
    assert not os.path.exists(exchange)


def test_the_engine_ends_when_its_parent_exits_without_closing(tiny_folders):
    parent, pid, exchange = start_parent("transformers", tiny_folders[False], "raise")
    with parent:
        assert parent.wait(timeout=30) == 3
    assert gone(pid, 10.0)
    assert not os.path.exists(exchange)
