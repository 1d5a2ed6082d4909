"""The tiny model: its tokenizer, its folder, and its supervised warm-up."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
transformers = pytest.importorskip(
    "transformers", reason="transformers is not installed (docs/install-train.md)"
)
from hypothesis import given
from hypothesis import strategies as st

from cobatrain.tiny import CHARACTERS, WarmUp, build_tiny, encode, tiny_tokenizer, warm_up

SMALL = {"hidden": 32, "layers": 2, "heads": 2, "intermediate": 64, "context": 32}
TOKENIZER = tiny_tokenizer()


@given(st.text(alphabet=CHARACTERS, min_size=1, max_size=40))
def test_text_survives_the_tokenizer(text):
    ids = encode(TOKENIZER, text)
    assert len(ids) == len(text) + 1
    assert ids[0] == TOKENIZER.bos_token_id
    assert TOKENIZER.decode(ids, skip_special_tokens=True) == text


@given(st.text(min_size=1).filter(lambda t: set(t) - set(CHARACTERS)))
def test_characters_outside_the_alphabet_are_named(text):
    with pytest.raises(ValueError, match="does not know"):
        encode(TOKENIZER, text)


@pytest.mark.parametrize("tied", [False, True])
def test_the_saved_folder_loads_as_the_same_model(tmp_path, tied):
    model, tokenizer = build_tiny(tmp_path, seed=3, tied=tied, **SMALL)
    loaded = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert again("12+7=")["input_ids"] == tokenizer("12+7=")["input_ids"] == [1, 4, 5, 13, 10, 16]
    assert loaded.config.tie_word_embeddings is tied
    assert loaded.config.eos_token_id == again.eos_token_id == tokenizer.eos_token_id
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, loaded.state_dict()[name])


def test_default_size_is_about_one_million(tmp_path):
    model, _ = build_tiny(tmp_path, seed=0)
    assert 0.9e6 < sum(p.numel() for p in model.parameters()) < 1.1e6


def test_seed_decides_the_weights_and_leaves_the_global_state(tmp_path):
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    first, _ = build_tiny(tmp_path / "a", seed=1, **SMALL)
    assert torch.equal(torch.rand(3), expected)
    second, _ = build_tiny(tmp_path / "b", seed=1, **SMALL)
    third, _ = build_tiny(tmp_path / "c", seed=2, **SMALL)
    weights = [m.model.layers[0].mlp.up_proj.weight for m in (first, second, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_bad_shapes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="even multiple"):
        build_tiny(tmp_path, seed=0, hidden=30, heads=4)


def small_sums(count: int, seed: int) -> list[tuple[str, str]]:
    rng = np.random.default_rng(seed)
    return [(f"{a}+{b}=", str(a + b)) for a, b in rng.integers(0, 4, size=(count, 2)).tolist()]


def test_warm_up_reaches_its_target_and_repeats(tmp_path):
    examples, probe = small_sums(400, 0), small_sums(40, 1)

    def run(folder):
        model, tokenizer = build_tiny(folder, seed=0, **SMALL)
        settings = WarmUp(0.5, seed=0, max_steps=300, batch_size=64, lr=5e-3, check_every=10)
        return model, warm_up(model, tokenizer, examples, probe, settings)

    model, rows = run(tmp_path / "a")
    again, same_rows = run(tmp_path / "b")
    assert rows[0].step == 0
    assert rows[0].loss is None
    assert rows[0].pass_rate < 0.2
    assert rows[-1].pass_rate >= 0.5
    assert all(row.pass_rate < 0.5 for row in rows[:-1])  # it stops as soon as it can
    assert [r.step for r in rows] == list(range(0, 10 * len(rows), 10))
    assert [(r.loss, r.pass_rate) for r in rows] == [(r.loss, r.pass_rate) for r in same_rows]
    for one, other in zip(model.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_warm_up_gives_up_after_max_steps(tmp_path):
    model, tokenizer = build_tiny(tmp_path, seed=0, **SMALL)
    pairs = small_sums(20, 0)
    settings = WarmUp(0.99, seed=0, max_steps=3, check_every=2)
    rows = warm_up(model, tokenizer, pairs, pairs, settings)
    assert [row.step for row in rows] == [0, 2, 3]
    assert rows[-1].pass_rate < 0.99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_pass_rate": 1.0}, "expected a value in"),
        ({"examples": []}, "0 examples"),
        ({"probe": []}, "0 probe"),
        ({"examples": [("1+1=", "")]}, "answer is empty"),
        ({"examples": [("one", "1")]}, "does not know"),
    ],
)
def test_warm_up_refuses_bad_input(tmp_path, change, message):
    model, tokenizer = build_tiny(tmp_path, seed=0, **SMALL)
    pairs = {"examples": [("1+1=", "2")], "probe": [("1+1=", "2")]}
    target = change.get("target_pass_rate", 0.5)
    pairs |= {name: value for name, value in change.items() if name in pairs}
    with pytest.raises(ValueError, match=message):
        warm_up(model, tokenizer, **pairs, settings=WarmUp(target, seed=0))


def test_warm_up_stops_on_a_loss_that_is_not_finite(tmp_path):
    model, tokenizer = build_tiny(tmp_path, seed=0, **SMALL)
    with torch.no_grad():
        model.lm_head.weight[5] = torch.inf
    pairs = small_sums(20, 0)
    with pytest.raises(FloatingPointError, match="lower lr"):
        warm_up(model, tokenizer, pairs, pairs, WarmUp(0.5, seed=0))
