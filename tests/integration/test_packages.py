"""What is installed."""

from __future__ import annotations

import tomllib

from repository import ROOT


def test_the_wheel_has_every_package_and_no_generic_name():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("cobasim", "cobatrain", "apps")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert {name.replace("apps", "cobasim_apps", 1) if name.startswith("apps") else name
            for name in found} == set(listed)  # fmt: skip
