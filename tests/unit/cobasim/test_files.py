"""Examples are found by the paths of the docs, wherever one stands."""

from __future__ import annotations

from pathlib import Path

import pytest
from repository import EXAMPLES, MEASURED

from cobasim.allocation import find_allocator
from cobasim.data import read_measured
from cobasim.errors import InputError
from cobasim.files import example, or_example

DATA = {".csv", ".json", ".npz"}


def test_paths_of_the_docs_lead_to_the_examples_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = sorted(file.name for file in EXAMPLES.iterdir() if file.suffix in DATA)
    assert len(shipped) == 5
    for name in shipped:
        found = or_example(f"examples/{name}")
        assert found == example(name)
        assert found.read_bytes() == (EXAMPLES / name).read_bytes()
    named = "examples/pass_rates_tiny_lm.csv"
    there, here = read_measured(str(MEASURED)), read_measured(named)
    assert (here.pass_rate == there.pass_rate).all()
    assert named in here.summary
    assert find_allocator("learned:examples/learned-rollout.json")


def test_a_file_of_ones_own_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = Path("examples/pass_rates_tiny_lm.csv")
    named.parent.mkdir()
    named.write_text("pass_rate\n0.25\n")
    assert or_example(named) == named == example(named.name)
    assert read_measured(str(named)).pass_rate.tolist() == [0.25]


@pytest.mark.parametrize(
    "path",
    ["examples/none.csv", "pass_rates_tiny_lm.csv", "my/examples/pass_rates_tiny_lm.csv",
     "examples", "examples/" + "x" * 300 + ".csv"],
)  # fmt: skip
def test_other_paths_stay_as_they_are(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert or_example(path) == Path(path)
    with pytest.raises(InputError):
        read_measured(path)
