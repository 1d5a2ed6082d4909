"""What a forward pass keeps for backward, in bytes.

The count of Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1), done again for the layers
that are trained here: RMSNorm computed in float32, grouped keys and values, a gated feed-forward
part (three products), no dropout, and attention that does not keep its s x s weights (torch's
scaled_dot_product_attention in its flash form keeps queries, keys, values, output and one float32 a
head and token; Dao et al. 2022, arXiv 2205.14135). So everything is linear in tokens. A test holds
it against what torch really keeps, tensor by tensor.
"""

from __future__ import annotations

from cobatrain.planning.shape import ModelShape
from cobatrain.planning.widths import Widths

_FLOAT32 = 4


def layer_bytes(shape: ModelShape, width: Widths) -> int:
    """Kept by one decoder layer without checkpointing, bytes a token.

    With c bytes in products and r in the stream between layers; hidden h, inner f, queries q, keys
    k (values alike), a heads, k_heads key heads:

    - two norms: 2 (4 h + r h + 4): the input in float32, the normed input, one number a token;
    - inputs of products: 2 c h; under autocast each product casts its own: 5 c h;
    - norms of queries and keys, where the model has them: (4 + c)(q + k) + 4 (a + k_heads);
    - attention: c (q + 2 k) + c q + 4 a;
    - feed-forward: 4 c f: gate, its activation, up, their product;
    - LoRA: c for each number between A and B; under bfloat16 weights the inputs of A in float32
      beside. (Inputs of frozen products are kept by A where they are not kept any more.)
    """
    c = width.products
    h, q, k = shape.hidden, shape.query, shape.key
    norms = 2 * norm_bytes(shape, width)
    inputs = (5 if width.autocast else 2) * c * h
    small = (_FLOAT32 + c) * (q + k) + _FLOAT32 * (shape.heads + shape.kv_heads)
    attention = c * (q + 2 * k) + c * q + _FLOAT32 * shape.heads
    extra = shape.layer_adapters
    lora = max(c, width.adapters) * extra.ranks
    if width.adapters > c:
        lora += width.adapters * extra.inputs
    return norms + inputs + (small if shape.qk_norm else 0) + attention + 4 * c * shape.inner + lora


def norm_bytes(shape: ModelShape, width: Widths) -> int:
    """Kept by one norm over the hidden width, bytes a token."""
    return (_FLOAT32 + width.stream) * shape.hidden + _FLOAT32


def working_bytes(shape: ModelShape, width: Widths) -> int:
    """Alive for a moment while one layer runs backward, bytes a token.

    The gradients of two inner tensors of the feed-forward part, and in float32 those of a norm's
    input, its output and the stream. Found by following allocations; held by the same test.
    """
    return 2 * width.products * shape.inner + 3 * _FLOAT32 * shape.hidden


def kept_bytes(shape: ModelShape, width: Widths, *, checkpointing: bool) -> int:
    """Kept by all layers at the end of a forward pass, bytes a token.

    With checkpointing the input of each layer only.
    """
    each = width.stream * shape.hidden if checkpointing else layer_bytes(shape, width)
    return shape.layers * each


def head_bytes(shape: ModelShape, width: Widths) -> int:
    """Kept for the head besides logits, bytes a token: the last norm's, and what it gives."""
    return norm_bytes(shape, width) + width.stream * shape.hidden
