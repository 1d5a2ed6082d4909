"""Files of measured gradients as the app offers them."""

from __future__ import annotations

import pytest
from measured_files import made

from cobasim.errors import InputError
from cobasim.explorer import describe_measured, keep_measured, measured_worlds, world_of
from cobasim.gradients import write_measured


def written(path, **info):
    write_measured(made(info={"step": 0, **info}), path)
    return path


def test_examples_and_the_files_of_a_folder_are_offered(tmp_path):
    one = written(tmp_path / "a.npz")
    (tmp_path / "run").mkdir()
    other = written(tmp_path / "run" / "b.npz")
    written(tmp_path / "c,d.npz")  # its name would end at the comma
    found = measured_worlds(tmp_path)
    examples = [name for name in found if name.startswith("Example")]
    assert list(found) == [*examples, "a.npz", "run/b.npz"]
    assert (found["a.npz"], found["run/b.npz"]) == (f"measured:{one}", f"measured:{other}")
    assert all("512 prompts to train on" in describe_measured(found[name]) for name in examples)
    assert list(measured_worlds(tmp_path / "none")) == examples


def test_a_file_is_described_by_model_task_time_and_prompts(tmp_path):
    known = {"model": "m/x", "task": "sums", "parameters of the model": 1234}
    first = written(tmp_path / "a.npz", **known)
    later = written(tmp_path / "b.npz", **known | {"step": 40})
    text = describe_measured(world_of([later, first]))
    for words in ("m/x (1,234 parameters)", "task sums", "steps 0 and 40", "60 prompts", "20 held"):
        assert words in text
    part = written(tmp_path / "p.npz", **known | {"parameters measured": "layers.1"})
    assert "only the parameters 'layers.1'" in describe_measured(world_of([part]))
    adapters = known | {"adapters": "LoRA adapters of rank 4"}
    text = describe_measured(world_of([written(tmp_path / "l.npz", **adapters)]))
    assert "only the parameters of the LoRA adapters of rank 4 were measured" in text
    assert "not named" in describe_measured(world_of([written(tmp_path / "q.npz")]))


def test_an_upload_is_stored_once_and_only_if_it_can_be_used(tmp_path):
    content = written(tmp_path / "a.npz").read_bytes()
    kept = keep_measured("mine.npz", content, tmp_path / "kept")
    assert kept.read_bytes() == content
    assert keep_measured("again.npz", content, tmp_path / "kept") == kept
    with pytest.raises(InputError, match=r"^bad\.npz is not a whole file") as caught:
        keep_measured("bad.npz", content[: len(content) // 2], tmp_path / "kept")
    assert str(tmp_path) not in str(caught.value)
    assert list((tmp_path / "kept").iterdir()) == [kept]
