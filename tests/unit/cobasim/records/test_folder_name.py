"""Folders named after allocators are safe and different."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.records import folder_name

names = st.text(min_size=1, max_size=8)


@given(st.lists(st.text(min_size=1, max_size=200), min_size=2, max_size=2, unique=True))
def test_names_of_folders_are_safe_and_different(names):
    folders = [folder_name(name) for name in names]
    assert len(set(folders)) == 2
    for folder in folders:
        assert re.fullmatch(r"[A-Za-z0-9_.%-]{1,120}", folder)
        assert folder not in (".", "..")


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("oracle-coba", "oracle-coba"),
        ("my.pkg:Cls", "my.pkg%3ACls"),
        ("learned:../a.json", "learned%3A..%2Fa.json"),
        ("..", "%2E%2E"),
    ],
)
def test_known_names_stay_and_paths_make_no_folders(name, folder):
    assert folder_name(name) == folder
