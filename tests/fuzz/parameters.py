"""Right parameters, states and trees of every public function that takes them."""

from collections.abc import Callable
from typing import Any

import jax

from jaxnotes.layers import attention, convolution, embedding, linear, normalization, recurrent
from jaxnotes.models import convolutional, mlp, pair_embedding, residual_network, transformer
from jaxnotes.models import recurrent as classifiers
from tests.fuzz.values import World, tree


def params_of(function: str, name: str, world: World, options: dict[str, Any]) -> Any:
    """What the parameter `name` of a function takes; KeyError where nothing is known of it: a new function is noticed."""
    if name in ("gradients", "tree", "before", "after") or function in ("zero_initialised", "init_state", "residual"):
        return tree(world)
    sizes, key = world.sizes, jax.random.key(world.seed)
    if name == "state":
        lstm = recurrent.LSTMState(world.normal((sizes["width"],)), world.normal((sizes["width"],)))
        running = {"mean": world.normal((sizes["features"],)), "variance": abs(world.normal((sizes["features"],)))}
        return running if function == "batch_norm" else lstm
    shapes = jax.eval_shape(lambda key: PARAMS[function](key, sizes, world, options), key)  # no draw is compiled
    made = jax.tree.map(lambda leaf: world.normal(leaf.shape), shapes)
    return made["blocks"] if name == "blocks" else made


def _linear(n_in: str, n_out: str) -> Callable:
    return lambda key, sizes, world, _: linear.linear_init(key, sizes[n_in], sizes[n_out], bias_variance=1.0, dtype=world.dtype)


def _norm(key, sizes, world, _) -> dict:
    return normalization.norm_init(sizes["features"], world.dtype)


def _cell(init: Callable) -> Callable:
    return lambda key, sizes, world, _: init(key, sizes["n_in"], sizes["width"], dtype=world.dtype)


def _convolution(key, sizes, world, _) -> dict:
    kernel = (sizes["kernel_size"],) * len(world.spatial)
    return convolution.convolution_init(key, sizes["n_in"], sizes["channels"], kernel, dtype=world.dtype)


def _convolutional(key, sizes, world, options) -> dict:
    named = {name: options[name] for name in ("pool", "head")}
    image = (*world.spatial, sizes["n_in"])
    return convolutional.convolutional_init(key, image, (2,), sizes["n_out"], dtype=world.dtype, kernel_size=2, **named)


def _network(init: Callable) -> Callable:
    names = ("n_in", "width", "depth", "n_out")
    return lambda key, sizes, world, _: init(key, *(sizes[name] for name in names), dtype=world.dtype)


def _pairs(key, sizes, world, _) -> dict:
    return pair_embedding.pair_embedding_init(key, sizes["n_left"], sizes["n_right"], sizes["width"], dtype=world.dtype)


def _classifier(key, sizes, world, options) -> dict:
    names = ("n_in", "width", "n_out")
    return classifiers.recurrent_classifier_init(key, *map(sizes.get, names), cell=options["cell"], dtype=world.dtype)


def _transformer(key, sizes, world, _) -> dict:
    names = ("n_in", "width", "depth", "n_out")
    return transformer.transformer_init(key, *map(sizes.get, names), time=3, hidden=3, dtype=world.dtype)


PARAMS: dict[str, Callable] = {
    "linear": _linear("n_in", "n_out"),
    "hidden_layer": _linear("width", "width"),
    "residual_layer": _linear("width", "width"),
    "convolution": _convolution,
    "block": _convolution,
    "features": _convolutional,
    "convolutional": _convolutional,
    "embedding": lambda key, sizes, world, _: embedding.embedding_init(key, sizes["n_symbols"], 4, dtype=world.dtype),
    "self_attention": lambda key, sizes, world, _: attention.self_attention_init(key, sizes["width"], dtype=world.dtype),
    "transformer_block": lambda key, sizes, world, _: attention.transformer_block_init(key, 4, 3, dtype=world.dtype),
    "mlp": _network(mlp.mlp_init),
    "residual_network": _network(residual_network.residual_network_init),
    "pair_embedding": _pairs,
    "negative_sampling_loss": _pairs,
    "recurrent_classifier": _classifier,
    "transformer_classifier": _transformer,
    "character_model": _transformer,
}
PARAMS |= dict.fromkeys(("batch_norm", "normalise_by_batch", "layer_norm", "rms_norm", "group_norm"), _norm)
PARAMS |= {
    name: _cell(getattr(recurrent, f"{name.partition('_')[0]}_init")) for name in ("rnn", "rnn_cell", "lstm", "lstm_cell")
}
PARAMS |= {name: _cell(recurrent.gru_init) for name in ("gru", "gru_cell")}
