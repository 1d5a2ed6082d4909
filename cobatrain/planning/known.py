"""Configs of the models that ship as training configs, for plans before a download."""

from __future__ import annotations

from typing import Any

KNOWN: dict[str, dict[str, Any]] = {
    # https://huggingface.co/Qwen/Qwen2.5-7B-Instruct, config.json (arXiv 2412.15115, Table 1)
    "Qwen2.5-7B-Instruct": {
        "model_type": "qwen2",
        "vocab_size": 152064,
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
        "dtype": "bfloat16",
    },
    # https://huggingface.co/Qwen/Qwen3-1.7B-Base, config.json (arXiv 2505.09388, Table 1)
    "Qwen3-1.7B-Base": {
        "model_type": "qwen3",
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
        "dtype": "bfloat16",
    },
    # config.json of the folder that `cobatrain prepare smollm2` makes
    "SmolLM2-135M-Instruct": {
        "model_type": "llama",
        "vocab_size": 49152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "head_dim": 64,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "dtype": "float32",
    },
}
"""What config.json says of these models, by the name of their folder."""
