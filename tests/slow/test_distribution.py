"""The wheel and the sdist: built from a clean copy, installed in an environment each, and used.

Nothing is downloaded: setuptools builds in this environment, and what the package depends on is
taken from here. The package itself is not: the environments see only what was installed there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path

import pytest
from repository import EXAMPLES, ROOT

import cobasim

pytest.importorskip("setuptools", "77", reason="setuptools 77 is not installed")

BUILD = "from setuptools import build_meta as b; print(b.build_{}('dist'))"
SMALL = [
    "--allocators", "uniform,coba", "--seeds", "2", "--steps", "2", "--jobs", "1",
    "--set", "num_heldout=32",
]  # fmt: skip
APP = """
import runpy
from pathlib import Path
from streamlit.testing.v1 import AppTest
import cobasim_apps
folder = Path(cobasim_apps.__file__).parent
app = runpy.run_path(str(folder / "explorer.py"))["app"]
page = AppTest.from_file(str(folder / "pages.py"), default_timeout=60).run()
assert not page.exception, page.exception
print(app.script_path)
print(page.title[0].value, page.button[0].label, sep=": ")
"""


def ran(folder: Path, *command: object) -> str:
    """What a command prints; it sees no other packages than its environment has."""
    hidden = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, capture_output=True, text=True, timeout=300,
        env={name: value for name, value in os.environ.items() if name not in hidden},
    )  # fmt: skip
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> dict[str, Path]:
    """The wheel and the sdist of a copy that holds what a clean clone would."""
    copy = tmp_path_factory.mktemp("built") / "copy"
    copy.mkdir()
    for name in ("cobasim", "cobatrain", "apps", "examples"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, copy)
    said = {
        kind: ran(copy, sys.executable, "-c", BUILD.format(kind)) for kind in ("sdist", "wheel")
    }
    return {kind: copy / "dist" / text.splitlines()[-1] for kind, text in said.items()}


def environment(folder: Path, archive: Path) -> Path:
    """A fresh environment with the archive in it, and what it depends on; its scripts."""
    venv.create(folder, with_pip=False)
    scripts = folder / "bin"
    (packages,) = folder.glob("lib/python*/site-packages")
    shared = sysconfig.get_path(
        "purelib"
    )  # names of packages there: its own .pth files stay unread
    (packages / "shared.pth").write_text(shared + "\n")
    ran(
        folder, sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet",
        "--no-index", "--no-deps", "--no-build-isolation", "--ignore-installed", "--no-compile",
        archive,
    )  # fmt: skip
    return scripts


@pytest.mark.skipif(os.name == "nt", reason="environments have their scripts elsewhere")
@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_it_runs_from_a_fresh_environment_outside_the_repository(kind, built, tmp_path):
    scripts = environment(tmp_path / "env", built[kind])
    inside = str(tmp_path / "env")
    where = ran(tmp_path, scripts / "python", "-c", "import cobasim, cobatrain\n"
                "print(cobasim.__file__, cobatrain.__file__)").split()  # fmt: skip
    assert all(file.startswith(inside) for file in where), where
    for program in ("cobasim", "cobatrain"):
        said = ran(tmp_path, scripts / program, "--version")
        assert said == f"{program} {cobasim.__version__}\n"
    rates = ["--pass-rates", "examples/pass_rates_tiny_lm.csv", "--limit", "64"]
    size = ["--batch-size", "16", "--total-budget", "128"]
    text = ran(tmp_path, scripts / "cobasim", "compare", *SMALL, *rates, *size, "--out", "compared")
    assert "coba" in text
    assert (tmp_path / "compared" / "report.html").exists()
    if kind == "wheel":
        ran(
            tmp_path, scripts / "cobasim", "ring", *SMALL, "--set", "num_prompts=160",
            "--no-oracles", "--out", "ring",
        )  # fmt: skip
        assert (tmp_path / "ring" / "ring.html").exists()
        known = "from cobasim.experiments.advice.known_runs import known; print(len(known()))"
        assert int(ran(tmp_path, scripts / "python", "-c", known)) > 0
    if find_spec("streamlit") is not None:
        script, first = ran(tmp_path, scripts / "python", "-c", APP).splitlines()
        assert script == str(Path(where[0]).parents[1] / "cobasim_apps" / "pages.py")
        assert first == "Would uneven budgets help my run?: Ask"


def test_the_sdist_holds_all_of_the_wheel_and_both_say_what_they_are(built):
    with zipfile.ZipFile(built["wheel"]) as wheel:
        names = {name: name for name in wheel.namelist() if ".dist-info/" not in name}
        (info,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(wheel.read(info).decode())
    with tarfile.open(built["sdist"]) as sdist:
        root = f"coba_testbed-{cobasim.__version__}/"
        there = {name.removeprefix(root) for name in sdist.getnames()}
    moved = (("cobasim/examples/", "examples/"), ("cobasim_apps/", "apps/"))
    for name in names:
        source = name
        for installed, kept in moved:
            if name.startswith(installed):
                source = name.replace(installed, kept, 1)
        assert source in there, source
    assert {
        f"cobasim/examples/{file.name}" for file in EXAMPLES.iterdir() if file.is_file()
    } <= set(names)
    assert {"cobasim/py.typed", "cobatrain/configs/tiny.yaml"} <= set(names)
    assert {"README.md", "LICENSE", "pyproject.toml"} <= there
    assert (metadata["Name"], metadata["Version"]) == ("coba-testbed", cobasim.__version__)


def test_the_changelog_tells_of_this_version():
    first = next(
        line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")
    )
    assert first.split()[1] in (cobasim.__version__, "Unreleased")
