"""A small language model as a GGUF file in a wheel, as ``prepare`` downloads one."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import numpy as np
import torch

from cobatrain.pretrained import Source

HEADS, KV_HEADS, HIDDEN, FEED = 4, 2, 64, 96
SPECIALS = ["<|unknown|>", "<|start|>", "<|end|>"]
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message['role'] }}\n{{ message['content'] }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)


def _letters() -> list[str]:
    """The 256 bytes as GPT-2's tokenizers write them."""
    from tokenizers import pre_tokenizers

    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _for_gguf(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows of a query or key matrix in llama.cpp's order of rotary pairs."""
    out, inside = weight.shape
    return weight.reshape(heads, 2, out // heads // 2, inside).swapaxes(1, 2).reshape(out, inside)


def _names() -> dict[str, tuple[str, int]]:
    """Name in GGUF -> (name in transformers, heads if rows are reordered)."""
    names = {"token_embd": ("model.embed_tokens", 0), "output_norm": ("model.norm", 0)}
    inner = {
        "attn_norm": ("input_layernorm", 0),
        "ffn_norm": ("post_attention_layernorm", 0),
        "attn_q": ("self_attn.q_proj", HEADS),
        "attn_k": ("self_attn.k_proj", KV_HEADS),
        "attn_v": ("self_attn.v_proj", 0),
        "attn_output": ("self_attn.o_proj", 0),
        "ffn_gate": ("mlp.gate_proj", 0),
        "ffn_up": ("mlp.up_proj", 0),
        "ffn_down": ("mlp.down_proj", 0),
    }
    for layer in range(2):
        for ours, (theirs, heads) in inner.items():
            names[f"blk.{layer}.{ours}"] = f"model.layers.{layer}.{theirs}", heads
    return names


def write_gguf(path: Path):
    """Write a random Llama model, its matrices in Q4_1; the same model, rounded as the file is."""
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import dequantize, quantize
    from transformers import LlamaConfig, LlamaForCausalLM

    letters = _letters()
    tokens = [*SPECIALS, *letters, "12", "an"]
    config = LlamaConfig(
        vocab_size=len(tokens), hidden_size=HIDDEN, intermediate_size=FEED, num_hidden_layers=2,
        num_attention_heads=HEADS, num_key_value_heads=KV_HEADS, tie_word_embeddings=True,
        max_position_embeddings=128, rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 1000.0},
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(2)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(1000.0)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIALS) + [1] * (len(tokens) - len(SPECIALS)))
    writer.add_token_merges(["1 2", "a n"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(TEMPLATE)
    parameters = dict(model.named_parameters())
    for name, (theirs, heads) in _names().items():
        weight = parameters[f"{theirs}.weight"].detach()
        values = _for_gguf(weight.numpy(), heads) if heads else weight.numpy()
        if values.ndim == 1:
            writer.add_tensor(f"{name}.weight", values)
            continue
        kind = GGMLQuantizationType.Q4_1
        packed = quantize(np.ascontiguousarray(values), kind)
        writer.add_tensor(f"{name}.weight", packed, raw_dtype=kind)
        rounded = dequantize(packed, kind)
        if heads:  # and back
            rows = HIDDEN // HEADS * heads
            rounded = rounded.reshape(heads, rows // heads // 2, 2, HIDDEN)
            rounded = rounded.swapaxes(1, 2).reshape(rows, HIDDEN)
        weight.copy_(torch.from_numpy(np.ascontiguousarray(rounded)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def write_wheel(folder: Path):
    """A folder that pip can download from: (the source in it, the model that it holds)."""
    folder.mkdir(parents=True, exist_ok=True)
    gguf = folder / "small.gguf"
    model = write_gguf(gguf)
    info = "small_gguf_model-0.0.1.dist-info"
    wheel = folder / "small_gguf_model-0.0.1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("small_gguf_model/__init__.py", "raise SystemExit('run')\n")
        archive.write(gguf, "small_gguf_model/small.gguf")
        archive.writestr(f"{info}/LICENSE", "Everybody may use it.\n")
        archive.writestr(
            f"{info}/METADATA",
            "Metadata-Version: 2.1\nName: small-gguf-model\nVersion: 0.0.1\n"
            "Requires-Dist: no-such-package-anywhere\n",
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    gguf.unlink()
    source = Source(
        model="Small",
        about="a model for tests",
        authors="nobody",
        licence="MIT-0",
        home="https://example.org/small",
        package="small-gguf-model",
        version="0.0.1",
        sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        gguf="small_gguf_model/small.gguf",
        licence_file=f"{info}/LICENSE",
        quantized="GGUF Q4_1",
        megabytes=1,
    )
    return source, model
