"""Folders that runs are written to: each belongs to one plan, and has one writer at a time.

A plan is a text, stored as it is: only the same text resumes a folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cobasim.errors import InputError
from cobasim.files import LOCK, writing
from cobasim.records import own_versions, write_atomically

PLAN = "plan.json"


def claim_folder(out: Path, plan: str, *, kind: str, file: str = PLAN) -> None:
    """Make a folder for a plan, or check that it belongs to this plan, to resume there.

    Args:
        out: the folder.
        plan: text of the plan.
        kind: what the folder holds, for error messages ("sweep").
        file: name of the plan's file.

    Raises InputError if the folder belongs to another plan, holds anything else, or is being
    written by another process.
    """
    if not _belongs(out, plan, file):
        # a folder that holds a lock is being claimed by others, or was: who has the lock may judge
        if not (_is_empty(out) or (out / LOCK).exists()):
            raise _foreign(out, kind)
        out.mkdir(parents=True, exist_ok=True)
        with writing(out):
            if not _belongs(out, plan, file):
                if not _is_empty(out):
                    raise _foreign(out, kind)
                write_atomically(out / file, plan)


def _belongs(out: Path, plan: str, file: str) -> bool:
    """Whether the folder holds this plan; False if it holds none. Raises InputError for another."""
    if not (out / file).exists():
        return False
    if (out / file).read_text(encoding="utf-8") != plan:
        raise InputError(
            f"{out} holds another plan ({file} differs); choose another --out, or repeat the "
            "same options to resume"
        )
    return True


def _foreign(out: Path, kind: str) -> InputError:
    return InputError(f"{out} exists and holds no {kind}; choose another --out")


def _is_empty(out: Path) -> bool:
    """Whether a folder does not exist, or holds nothing but a lock."""
    return not out.exists() or (out.is_dir() and all(file.name == LOCK for file in out.iterdir()))


def write_numbers(file: Path, numbers: Mapping[str, Any], *, command: str) -> None:
    """Write plain values as JSON, with the command that made them and the versions in use."""
    content = {"command": command, "versions": own_versions(), **numbers}
    write_atomically(file, json.dumps(content, indent=1) + "\n")
