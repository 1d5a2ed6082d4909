"""Children: they answer, keep their limits, and end with their parent whatever ends it."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import environment, gone

from cobatrain.processes import Child, ChildDied, ChildLate, ChildSettings, wait_for_any


def start(service: str = "oddities", **settings) -> Child:
    return Child(f"child_services:{service}", ChildSettings(**settings))


def ask(child: Child, message: object) -> object:
    child.send(message)
    return child.receive(60.0)


@pytest.mark.parametrize("answers", ["pickle", "json"])
def test_messages_of_any_size_come_back_in_order(answers):
    child = start("echo", answers=answers)
    for message in ("a", [1, None, "x" * 5_000_000], {"b": [0.5] * 100_000}):
        assert ask(child, message) == message
    for number in range(20):
        child.send(number)
    assert [child.receive(60.0) for _ in range(20)] == list(range(20))
    child.close()
    child.close()
    assert gone(child.pid, 10.0)
    with pytest.raises(ChildDied):
        child.send("too late")


def test_whichever_child_speaks_is_heard_first():
    children = [start(), start()]
    assert wait_for_any(children, 0.0) == []
    for child in reversed(children):
        child.send("pid")
        assert wait_for_any(children, 60.0) == [child]
        assert child.receive(1.0) == child.pid
    os.kill(children[0].pid, signal.SIGKILL)
    assert wait_for_any(children, 60.0) == children[:1]
    for child in children:
        child.kill()


def test_an_ended_child_is_known_by_its_exit_code(tmp_path):
    child = start()
    with pytest.raises(ChildDied):
        ask(child, "exit")
    assert child.wait(5.0) == child.kill() == 7
    child = start(folder=tmp_path)
    ask(child, "pid")
    os.kill(child.pid, signal.SIGTERM)
    with pytest.raises(ChildDied):
        child.receive(5.0)
    assert child.kill() == -signal.SIGTERM
    assert not tmp_path.exists()
    with pytest.raises(ChildDied):
        start("no_such_service").receive(60.0)


def test_a_late_answer_is_an_error_and_the_child_can_be_killed():
    child = start()
    ask(child, "pid")
    child.send("sleep")
    began = time.monotonic()
    with pytest.raises(ChildLate, match=r"within 0\.2 s"):
        child.receive(0.2)
    assert child.wait(0.0) is None
    assert child.kill() == -signal.SIGKILL
    assert time.monotonic() - began < 5.0


def test_memory_is_limited():
    child = start(memory_bytes=2 << 30)
    assert ask(child, "allocate") == "refused"
    child.close()


def test_what_a_child_prints_is_no_message(tmp_path):
    with (tmp_path / "log").open("w+b") as log:
        child = start(output=log)
        assert ask(child, "print") == child.pid
        child.close()
        log.seek(0)
        assert log.read() == b"said on standard output\n"


def test_json_answers_are_never_unpickled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    child = start("hostile", answers="json")
    with pytest.raises(ValueError, match="codec can't decode"):
        ask(child, "go")
    child.close()
    assert not Path("made-by-a-pickle").exists()


@pytest.mark.parametrize("end", ["close", "kill", "forget"])
def test_a_child_leaves_nothing_behind(end, tmp_path):
    (tmp_path / "weights").write_text("")
    child = start(folder=tmp_path, patience=5.0)
    pid, grandchild = child.pid, ask(child, "grandchild")
    if end == "forget":
        del child
    else:
        getattr(child, end)()
    assert gone(pid, 1.0)
    assert gone(grandchild, 1.0)
    assert not tmp_path.exists()


def test_a_child_that_does_not_end_politely_is_killed_after_its_patience():
    child = start("lingers", patience=0.5)
    ask(child, "pid")
    began = time.monotonic()
    child.close()
    assert 0.5 <= time.monotonic() - began < 5.0
    assert child.wait(0.0) == -signal.SIGKILL


PARENT = """
import os, signal, sys, time
from pathlib import Path
from cobatrain.processes import Child, ChildSettings
service, folder, ending = sys.argv[1:]
child = Child("child_services:" + service, ChildSettings(folder=Path(folder), patience=20.0))
child.send("grandchild" if service == "oddities" else "pid")
print(child.pid, child.receive(60.0), flush=True)
if ending == "busy":
    child.send("sleep")
    time.sleep(0.2)
if ending != "exit":
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(
    ("service", "ending"),
    [("oddities", "exit"), ("oddities", "idle"), ("oddities", "busy"), ("lingers", "idle")],
)
def test_a_child_ends_with_its_parent(service, ending, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", PARENT, service, str(tmp_path), ending],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )
    assert done.returncode == (0 if ending == "exit" else -signal.SIGKILL)
    for pid in map(int, done.stdout.split()):
        assert gone(pid, 5.0)
    assert not tmp_path.exists()


IGNORED = """
import json, signal
from cobatrain.processes import Child
child = Child("child_services:oddities")
child.send("signals")
print(json.dumps([signal.getsignal(signal.SIGINT) is signal.SIG_IGN, *child.receive(60.0)]))
child.close()
"""


def test_ctrl_c_works_in_children_of_a_background_job():
    """A shell starts background jobs with SIGINT ignored, which processes inherit."""
    done = subprocess.run(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", IGNORED],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(done.stdout) == [True, True, True]


def test_a_child_has_a_session_of_its_own():
    child = start()
    ask(child, "pid")
    assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid != os.getpgid(0)
    child.close()


def test_settings_of_a_child_are_plain_values():
    settings = ChildSettings(memory_bytes=1, folder=Path("x"))
    assert pickle.loads(pickle.dumps(settings)) == settings
