"""What a measurement costs, by arithmetic; the docs have these numbers for a large model."""

from __future__ import annotations

import re

import pytest
from repository import ROOT

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobatrain.config import load_config
from cobatrain.gradients import GradientOptions, gradient_memory, sketch_memory
from cobatrain.gradients.per_prompt import MICRO_TOKENS
from cobatrain.planning import model_shape
from cobatrain.planning.activations import layer_bytes
from cobatrain.planning.widths import widths

GIB = 2.0**30


@pytest.mark.parametrize("method", ["exact", "rollouts"])
@pytest.mark.parametrize("width", [2, 4])
def test_memory_beside_the_model_is_that_of_gradients_moments_and_signs(method, width):
    """In bytes a parameter; more by rollouts, which take a prompt's two halves twice."""
    each = gradient_memory(method, GIB, width)
    assert gradient_memory(method, 7 * GIB, width) == pytest.approx(7 * each)
    assert each >= 4 + 1 + 2 * width  # less there cannot be: moments, signs, two halves
    assert gradient_memory("rollouts", GIB, width) > gradient_memory("exact", GIB, width)


def test_sketches_take_memory_by_what_is_kept():
    exact = GradientOptions(method="exact", dim=1024, rank=8, rest=0)
    rollouts = GradientOptions(method="rollouts", dim=1024, rank=8, rest=0, plain_rank=4)
    assert sketch_memory(exact, 100, 10, 500.0) == 8 * ((20 + 100 + 48) * 1024 + 500 * 8) / GIB
    assert sketch_memory(rollouts, 100, 10, 0.0) == 8 * (20 + 4 * (8 + 4)) * 1024 / GIB
    # directions cannot be more than prompts
    assert sketch_memory(rollouts, 6, 10, 0.0) == 8 * (20 + 4 * (6 + 4)) * 1024 / GIB


def test_the_numbers_of_a_7b_model_in_the_docs():
    def kept(*settings):
        """Shape, and bytes that a layer keeps of one batch; a measurement has no autocast."""
        plain = ["update.bf16=false", "parallel=replicate", *settings]
        config = load_config("qwen2.5-7b", plain)
        shape = model_shape(config)
        return shape, MICRO_TOKENS * layer_bytes(shape, widths(config, 1, 1))

    whole, wide = kept()
    _, narrow = kept("model.dtype=bfloat16")
    adapted, beside = kept("model.lora={}", "model.dtype=bfloat16")
    size = whole.parameters
    expected = [  # parameters, model, activations, bytes of a gradient's number
        (size, 4 * size, 28 * wide, 4),
        (size, 2 * size, 28 * narrow, 2),
        (4 * whole.layer, 4 * size, 4 * wide, 4),
        (4 * whole.layer, 2 * size, 4 * narrow, 2),
        (adapted.trained, 2 * size + 4 * adapted.trained, 28 * beside, 4),
    ]
    text = (ROOT / "docs" / "measured.md").read_text()
    table = text[text.index("| measured | parameters | model |") :].splitlines()[2:7]
    for line, (numbers, *parts, width) in zip(table, expected, strict=True):
        said = [cell.strip(" M").replace(",", "") for cell in line.split("|")[2:-1]]
        memory = [gradient_memory(method, numbers, width) for method in ("exact", "rollouts")]
        gib = [*(part / GIB for part in parts), *memory]
        assert said == [f"{numbers / 1e6:.0f}", *(f"{x:.1f}" for x in gib)]
    recommended = [float(cell) for cell in table[3].split("|")[3:7]]
    model, activations, _, rollouts = recommended
    assert (
        model + activations + rollouts + 36 < 0.95 * 80 - 1
    )  # the engine's, and a chunk of logits
    assert "--set model.dtype=bfloat16" in text[text.index("| measured | parameters | model |") :]
    prompts, groups, small = 1500, 128, (1500 * 32 + 2 * 128 * 32) / 4096
    large = (17_500 * 32 + 2 * 256 * 32) / 4096
    options = GradientOptions(method="rollouts", rank=256, rest=0)
    section = " ".join(text[text.index("**A 7B model") :].split())
    pattern = r"that is (\d+) training steps, and ([\d.]+) GiB of sketches; .* it is (\d+)\."
    said = re.search(pattern, section)
    assert said is not None
    sketches = sketch_memory(options, prompts, groups, 0.0)
    assert said.groups() == (f"{small:.0f}", f"{sketches:.1f}", f"{large:.0f}")
