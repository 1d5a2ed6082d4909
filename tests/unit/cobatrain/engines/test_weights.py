"""Weights on their way to another process: in parts, in a type, whole or not at all."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("safetensors", reason="safetensors is not installed")

from hypothesis import given
from hypothesis import strategies as st
from training import Peers

from cobatrain.engines import EngineError, sync_engines
from cobatrain.engines import weights as module
from cobatrain.engines.weights import named_weights, read_weights, write_weights

SIZES = (3, 5, 1, 40, 2, 7)


def tensors(sizes=SIZES) -> dict:
    return {f"layer.{i}": torch.randn(size, 2) for i, size in enumerate(sizes)}


@given(st.lists(st.integers(1, 30), max_size=12), st.integers(1, 400))
def test_what_is_written_is_read_in_order_whatever_the_parts(tmp_path_factory, sizes, part):
    folder, given_weights = tmp_path_factory.mktemp("weights"), tensors(sizes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PART_BYTES", part)
        written = write_weights(folder, iter(given_weights.items()))
    assert dict(read_weights(written)).keys() == given_weights.keys()
    for name, value in read_weights(written):
        assert torch.equal(value, given_weights[name])
    for path in written.glob("*"):  # a part ends as soon as it is large enough
        largest = max(value.numel() * 4 for value in given_weights.values())
        assert path.stat().st_size < part + largest + 2000


def test_weights_are_cast_to_the_engines_type():
    cast = dict(named_weights(tensors(), torch.bfloat16))
    assert {value.dtype for value in cast.values()} == {torch.bfloat16}


def test_a_rank_that_keeps_nothing_still_goes_through_all(tmp_path):
    seen = []

    def gathered():
        for name, value in tensors().items():
            seen.append(name)
            yield name, value

    write_weights(tmp_path, gathered(), keep=False)
    assert len(seen) == len(SIZES)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_one_error_after_all_were_gathered(tmp_path, monkeypatch):
    seen = []

    def gathered():
        for name, value in tensors().items():
            seen.append(name)
            yield name, value

    monkeypatch.setattr(module, "PART_BYTES", 1)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 30})())
    with pytest.raises(EngineError, match=r"has 0\.00 GiB free; enlarge /dev/shm"):
        write_weights(tmp_path, gathered())
    assert len(seen) == len(SIZES)
    assert not list(tmp_path.iterdir())


def test_engines_inside_the_trainer_take_the_weights_by_themselves():
    class Inside:
        def sync(self, model):
            return 0.25 if model == "model" else 0.0

    assert sync_engines(Inside(), "model", Peers(None)) == 0.25
