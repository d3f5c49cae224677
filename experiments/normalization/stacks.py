"""Stacks of random layers at initialisation: the scales of their activations, and of the gradient on its way back."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.study.profiles import log_gradients
from jaxnotes.layers.activations import identity, relu, sigmoid, tanh
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import layer_norm, normalise_by_batch

HE = 2.0  # critical σ_w² of ReLU


def _layer(activation: Callable, normalise: Callable[[Array], Array] = identity) -> Callable:
    """φ(N(W h)), N a normalisation without scale and shift."""
    return lambda layer_params, h: activation(normalise(linear(layer_params, h)))


def _residual_block(layer_params, h: Array) -> Array:
    """h + W ReLU(BN(h)), the pre-activation block."""
    return h + linear(layer_params, relu(normalise_by_batch({}, h)))


_BATCH, _LAYER = partial(normalise_by_batch, {}), partial(layer_norm, {})
LAYERS: Mapping[str, Callable] = MappingProxyType(
    {
        "relu": _layer(relu, _BATCH),
        "linear": _layer(identity, _BATCH),
        "tanh": _layer(tanh, _BATCH),
        "sigmoid": _layer(sigmoid, _BATCH),
        "residual": _residual_block,
        "layer-norm": _layer(relu, _LAYER),
        "layer-norm-tanh": _layer(tanh, _LAYER),
        "layer-norm-sigmoid": _layer(sigmoid, _LAYER),
        "plain-relu": _layer(relu),
        "plain-sigmoid": _layer(sigmoid),
    }
)


def log_scales(
    layer: str,
    weight_variance: float,
    size: tuple[int, int, int],
    keys: Array,
    among: tuple[str, ...] | None = None,
    input_scale: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns natural logs, [seeds, depth + 1] each, of the RMS activation and of the gradient's norm at each layer.

    Layer 0 is the input, Gaussian of the standard deviation `input_scale`.

    Args:
      layer: a name in LAYERS.
      weight_variance: σ_w².
      size: width, batch and depth.
      keys: [seeds].
      among: names in LAYERS that share one compiled program; the layer alone where None.
      input_scale: see above.
    """
    among = (layer,) if among is None else among
    numbers = jnp.asarray(among.index(layer)), jnp.float32(weight_variance), jnp.float32(input_scale)
    return jax.tree.map(np.asarray, _log_scales(*numbers, keys, among=among, size=size))


@partial(jax.jit, static_argnames=("among", "size"))
def _log_scales(
    index: Array, weight_variance: Array, input_scale: Array, keys: Array, *, among: tuple[str, ...], size: tuple[int, ...]
) -> tuple[Array, Array]:
    width, batch, depth = size

    def layer(params, h: Array) -> Array:
        return jax.lax.switch(index, [LAYERS[name] for name in among], params, h)

    def draw(key: Array) -> tuple[dict[str, Array], Array]:
        drawn = jax.random.normal(key, (depth * width + batch, width))  # one draw: each is compiled by itself
        weight = jnp.sqrt(weight_variance / width) * drawn[: depth * width].reshape(depth, width, width)
        return {"weight": weight, "bias": jnp.zeros((depth, width))}, input_scale * drawn[depth * width :]

    def activations(key: Array) -> Array:
        params, x = draw(jax.random.split(key)[0])  # as in `log_gradients`
        of = lambda h: 0.5 * jnp.log(jnp.mean(h**2))
        scales = jax.lax.scan(lambda h, p: (layer(p, h), of(layer(p, h))), x, params)[1]
        return jnp.concatenate([of(x)[None], scales])

    return jax.lax.map(activations, keys), log_gradients(layer, draw, keys)
