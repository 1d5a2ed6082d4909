"""The file of measured gradients: what is written is read; anything else is one clear line."""

from __future__ import annotations

import json

import numpy as np
import pytest
from measured_files import made
from repository import ROOT

from cobasim.errors import InputError
from cobasim.gradients import read_measured_gradients, write_measured
from cobasim.gradients.file import VERSION


def test_what_is_written_is_read(tmp_path):
    measured = made()
    write_measured(measured, tmp_path / "new" / "a.npz")
    again = read_measured_gradients(tmp_path / "new" / "a.npz")
    for name, value in vars(measured).items():
        other = getattr(again, name)
        if isinstance(value, np.ndarray):
            assert np.array_equal(value, other), name
        else:
            assert value == other, name
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.npz"]


def test_a_file_that_was_written_again_is_read_again(tmp_path):
    for seed in (0, 1):
        write_measured(made(seed=seed), tmp_path / "a.npz")
        assert np.array_equal(
            read_measured_gradients(tmp_path / "a.npz").rate, made(seed=seed).rate
        )


def rewritten(path, change):
    """The file with its arrays and head changed by ``change(arrays, head)``."""
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    head = json.loads(arrays.pop("head").tobytes())
    change(arrays, head)
    np.savez(path, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **arrays)


CHANGES = {
    # name: (change, what the line says)
    "another version": (lambda a, h: h.update(version=1), "has version 1 .*reads version 2"),
    "another kind": (lambda a, h: h.update(kind="x"), "something else"),
    "an array is missing": (lambda a, h: a.pop("odds"), "lacks odds"),
    "a number is missing": (lambda a, h: h.pop("root_sum"), "lacks root_sum"),
    "no information": (lambda a, h: h.pop("info"), "lacks info"),
    "NaN": (lambda a, h: a["features"].__setitem__((0, 0), np.nan), "features holds NaN"),
    "infinity": (lambda a, h: a["odds"].__setitem__(0, np.inf), "odds holds NaN or infinity"),
    "a rate of 0": (lambda a, h: a["rate"].__setitem__(0, 0.0), "pass rates must lie"),
    "a rate of 2": (lambda a, h: a["rate"].__setitem__(0, 2.0), "pass rates must lie"),
    "all held out": (lambda a, h: a["heldout"].fill(True), "prompts to train on"),
    "none held out": (lambda a, h: a["heldout"].fill(False), "held-out ones"),
    "shapes": (lambda a, h: a.update(noise=a["noise"][:-1]), "has the shape"),
    "a prompt without alternatives": (
        lambda a, h: a["prompt"].__setitem__(a["prompt"] == 3, 4),
        "each of 80 prompts needs an alternative",
    ),
    "another order": (lambda a, h: a.update(prompt=a["prompt"][::-1]), "in the order of prompts"),
    "text for a number": (lambda a, h: h.update(root_sum="many"), "could not convert"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_changed_file(name, tmp_path):
    change, words = CHANGES[name]
    path = tmp_path / "a.npz"
    write_measured(made(), path)
    rewritten(path, change)
    with pytest.raises(InputError, match=words) as caught:
        read_measured_gradients(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04garbage", "cut", "other"])
def test_something_else(content, tmp_path):
    path = tmp_path / "a.npz"
    write_measured(made(), path)
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif content == "other":
        np.savez(path, x=np.ones(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="not a whole file of measured gradients") as caught:
        read_measured_gradients(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such file"):
        read_measured_gradients(tmp_path / "none.npz")


def test_the_docs_list_what_is_stored(tmp_path):
    """Names, number of axes and types of the arrays, and the numbers beside them."""
    write_measured(made(), tmp_path / "a.npz")
    text = (ROOT / "docs" / "measured.md").read_text().split("## The file")[1]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    said = {row[0]: row[1:] for row in rows if len(row) == 5 and row[0] not in ("array", "---")}
    with np.load(tmp_path / "a.npz") as archive:
        assert set(said) == set(archive.files)
        for name, (shape, kind, _, since) in said.items():
            array = archive[name]
            assert array.ndim == len([axis for axis in shape.strip("()").split(",") if axis]), name
            assert {"text": "U"}.get(kind, kind) in (array.dtype.name, array.dtype.kind), name
            assert 1 <= int(since) <= VERSION
        head = json.loads(archive["head"].tobytes())
    assert head["version"] == VERSION
    for name in head:
        assert f"`{name}`" in text, name
