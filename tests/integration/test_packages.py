"""What is installed."""

from __future__ import annotations

import tomllib

from repository import EXAMPLES, ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
MOVED = {"apps": "cobasim_apps"}
DATA = {"cobasim.examples"}  # without code


def test_the_wheel_has_every_package_and_no_generic_name():
    listed = SETTINGS["tool"]["setuptools"]["packages"]
    found = {
        ".".join((MOVED.get(top, top), *path.parent.relative_to(ROOT / top).parts))
        for top in ("cobasim", "cobatrain", "apps")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert found | DATA == set(listed)
    assert len(set(listed)) == len(listed)


def test_every_example_has_an_ending_that_ships():
    endings = SETTINGS["tool"]["setuptools"]["package-data"]["cobasim.examples"]
    data = [file for file in EXAMPLES.iterdir() if file.is_file() and file.suffix != ".py"]
    assert {"*" + "".join(file.suffixes) for file in data} == set(endings)
