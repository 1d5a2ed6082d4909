"""Which TRL is accepted, and what one is told who has none or another."""

from __future__ import annotations

import importlib.metadata

import pytest
from children import printed

TRY = """
import importlib.metadata, sys
sys.modules["trl"] = None
known = importlib.metadata.version
for said in ("", "1.15.2", "1.17.0"):
    def version(name):
        if name != "trl":
            return known(name)
        if not said:
            raise importlib.metadata.PackageNotFoundError(name)
        return said
    importlib.metadata.version = version
    try:
        import cobatrain.integrations.trl
    except ImportError as error:
        print(error)
print("torch" in sys.modules)
"""


def test_without_a_trl_that_is_known_the_import_says_at_once_what_to_install():
    pytest.importorskip("packaging")
    missing, older, newer, waited = printed(TRY).splitlines()
    assert missing.endswith("pip install 'coba-testbed[trl]'")
    for line, found in ((older, "1.15.2"), (newer, "1.17.0")):
        assert line.startswith("cobatrain.integrations.trl works with TRL from 1.16.0")
        assert f"found {found}: " in line
        assert line.endswith("pip install 'trl>=1.16.0,<1.17'")
    assert waited == "False"


def test_the_installed_trl_is_accepted_and_a_changed_method_is_not():
    pytest.importorskip("trl", reason="TRL is not installed")
    from cobatrain.integrations.trl.compatibility import (
        TRAINER,
        GRPOTrainer,
        check_methods,
        check_version,
    )

    check_version(importlib.metadata.version("trl"))
    check_methods(GRPOTrainer, TRAINER)

    class Renamed:
        def _calculate_rewards(self, inputs, prompts, completions):
            """One parameter less."""

    name = "_calculate_rewards"
    with pytest.raises(ImportError, match=r"takes \(self, inputs, prompts, completions\)"):
        check_methods(Renamed, {name: TRAINER[name]})
    with pytest.raises(ImportError, match=r"Renamed._save_checkpoint is gone"):
        check_methods(Renamed, {"_save_checkpoint": TRAINER["_save_checkpoint"]})
