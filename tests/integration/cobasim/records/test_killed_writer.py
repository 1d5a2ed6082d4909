"""A process killed while it writes a run."""

import signal
import subprocess
import sys
import time

import pytest
from children import environment
from synthetic_runs import steps_of

from cobasim.records import read_run


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_killed_writer_leaves_a_readable_run(tmp_path):
    program = (
        "import sys\n"
        "from synthetic_runs import header, steps_of\n"
        "from cobasim.records import RunWriter\n"
        "writer = RunWriter(sys.argv[1], header())\n"
        "for record in steps_of('uniform', 0, 10**6): writer.append(record)\n"
    )
    path = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], env=environment())
    try:
        deadline = time.monotonic() + 60
        seen = 0
        while seen < 50:
            assert time.monotonic() < deadline
            assert process.poll() is None
            if (path / "steps.jsonl").exists():
                seen = len(read_run(path).steps)  # readable while the run goes on
    finally:
        process.kill()
        process.wait()
    run = read_run(path)
    assert len(run.steps) >= seen
    assert run.steps == tuple(
        record for record, _ in zip(steps_of("uniform", 0, 10**6), run.steps, strict=False)
    )
