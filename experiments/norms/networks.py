"""An MLP and a CNN whose normalisation, batch, layer or group, is data; running statistics in and out.

Each is a pair `init(key) -> (params, state)` and
`apply(norm, params, state, x, train, momentum) -> (logits, running statistics)`; x: [batch, 14, 14, 1].
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import jax
from jax import Array

from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.initializers import he_normal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.normalization import MOMENTUM, batch_norm, batch_norm_state, group_norm, norm_init
from jaxnotes.layers.pooling import global_average_pool, max_pool

NORMS = ("batch", "layer", "group")
SIDE, CLASSES = 14, 10
WIDTH = {"mlp": 64, "cnn": 16}
GROUPS = 4


class Network(NamedTuple):
    """A network as two functions, see the module."""

    init: Callable
    apply: Callable


def normalise(norm: Array, params: dict, state: dict, h: Array, train: bool, momentum=MOMENTUM) -> tuple[Array, dict]:
    """Returns h after batch, layer or group normalisation by index; the state of the last two passes through unused.

    Layer normalisation takes all axes of an image and the features of anything else: it is group normalisation with one group.
    """

    def batch(state: dict) -> tuple[Array, dict]:
        return batch_norm(params, state, h, train=train, momentum=momentum)

    def by_group(groups: int, state: dict) -> tuple[Array, dict]:
        return group_norm(params, h, groups=groups), state

    return jax.lax.switch(norm, (batch, partial(by_group, 1), partial(by_group, GROUPS)), state)


def mlp_init(key: Array) -> tuple[dict, list]:
    """Returns two hidden layers, each normalised before its ReLU."""
    width = WIDTH["mlp"]
    keys = jax.random.split(key, 3)
    sizes = ((SIDE**2, width), (width, width), (width, CLASSES))
    layers = [linear_init(k, *size, initializer=he_normal) for k, size in zip(keys, sizes, strict=True)]
    return {"layers": layers, "norms": [norm_init(width)] * 2}, [batch_norm_state(width)] * 2


def mlp(norm, params, state, x: Array, train: bool, momentum=MOMENTUM) -> tuple[Array, list]:
    """Returns logits and running statistics."""
    h, seen = x.reshape(len(x), -1), []
    for layer, norm_params, norm_state in zip(params["layers"], params["norms"], state, strict=False):
        h, new = normalise(norm, norm_params, norm_state, linear(layer, h), train, momentum)
        h, seen = relu(h), [*seen, new]
    return linear(params["layers"][-1], h), seen


def cnn_init(key: Array) -> tuple[dict, list]:
    """Returns two convolutions of 3 × 3, each normalised before its ReLU and pooled, then the mean over positions."""
    width = WIDTH["cnn"]
    key_first, key_second, key_output = jax.random.split(key, 3)
    layers = [convolution_init(key_first, 1, width, (3, 3)), convolution_init(key_second, width, width, (3, 3))]
    params = {"layers": layers, "norms": [norm_init(width)] * 2, "output": linear_init(key_output, width, CLASSES)}
    return params, [batch_norm_state(width)] * 2


def cnn(norm, params, state, x: Array, train: bool, momentum=MOMENTUM) -> tuple[Array, list]:
    """Returns logits and running statistics."""
    h, seen = x, []
    for layer, norm_params, norm_state in zip(params["layers"], params["norms"], state, strict=True):
        h, new = normalise(norm, norm_params, norm_state, convolution(layer, h), train, momentum)
        h, seen = max_pool(relu(h), window=2), [*seen, new]
    return linear(params["output"], global_average_pool(h)), seen


NETWORKS: Mapping[str, Network] = MappingProxyType({"mlp": Network(mlp_init, mlp), "cnn": Network(cnn_init, cnn)})
