"""What every test needs: signals, threads, the order of the tests; and fixtures of all folders.

``unit``: one room, in this process, fast. ``integration``: several rooms, command lines, child
processes, pages. ``slow``: seconds to minutes. Each mirrors the rooms of the packages.
"""

import os
import signal

# a suite that a script starts in the background inherits an ignored SIGINT, and would pass it on to
# the processes that tests start and interrupt
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# idle OpenMP threads sleep rather than spin: tests run several processes on few cores
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest
from hypothesis import settings

for helper in Path(__file__).parent.joinpath("support").glob("*.py"):
    pytest.register_assert_rewrite(helper.stem)

from command_line import caller

# CI repeats the same examples, so that only a change can break it; elsewhere they are new. They may
# take their time: a busy machine is no fault.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("new", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "new")

FOLDERS = ("unit", "integration", "slow", "gpu", "verl")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast tests first, each folder in its own order."""
    here = Path(__file__).parent
    folder = {item: item.path.relative_to(here).parts[0] for item in items}
    astray = {str(item.path) for item in items if folder[item] not in FOLDERS}
    if astray:
        raise pytest.UsageError(f"{', '.join(sorted(astray))}: in none of {', '.join(FOLDERS)}")
    items.sort(key=lambda item: FOLDERS.index(folder[item]))


@pytest.fixture
def cobasim(monkeypatch, capfd):
    """Runs ``cobasim`` in this process and gives exit code, standard output, standard error."""
    from cobasim.cli import main

    return caller("cobasim", main, monkeypatch, capfd)


@pytest.fixture
def cobatrain(monkeypatch, capfd):
    """Runs ``cobatrain`` in this process and gives exit code, standard output, standard error."""
    from cobatrain.cli import main

    return caller("cobatrain", main, monkeypatch, capfd)


@pytest.fixture
def learned_file(tmp_path):
    """The file of a learned allocator whose network is drawn at random."""
    from learned_files import random_network

    path = tmp_path / "policy.json"
    path.write_text(random_network(0).to_json())
    return path


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory):
    """(folder, content) of a whole tiny reproduction."""
    from reproduced import reproduce_tiny

    out = tmp_path_factory.mktemp("reproduction") / "tiny"
    return out, reproduce_tiny(out)


@pytest.fixture(scope="session")
def tiny_folders(tmp_path_factory):
    """Folders of an untrained tiny model, by whether its embeddings are tied."""
    from engine_setup import tied_and_not

    return tied_and_not(tmp_path_factory)


@pytest.fixture(scope="session")
def hf_engine(tiny_folders):
    """The transformers engine on that model, in this process."""
    from engine_setup import config_for

    from cobatrain.engines import make_engine

    with make_engine(config_for("transformers"), tiny_folders[False]) as engine:
        yield engine
