"""Random stacks of dense layers, and what happens to a signal on its way through them."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.causes.settings import Causes
from jaxnotes import meanfield
from jaxnotes.layers import initializers
from jaxnotes.layers.activations import Activation, relu, saturated_fraction, sigmoid, tanh
from jaxnotes.layers.linear import linear
from jaxnotes.models.mlp import stack_init

ACTIVATIONS = (relu, tanh, sigmoid)
Shape = tuple[int, int, int]  # depth, batch, width


class Numbers(NamedTuple):
    """What tells the stacks of one arm from another's, in numbers, so that all arms share one compiled program."""

    activation: Any  # its place in ACTIVATIONS
    weight_variance: Any
    bias_variance: Any
    q: Any


class Arm(NamedTuple):
    """One kind of random stack.

    Attributes:
      activation: one of ACTIVATIONS.
      weight_variance: σ_w², the variance of a weight times the number of inputs.
      bias_variance: σ_b².
    """

    activation: Activation
    weight_variance: float
    bias_variance: float = 0.0

    @property
    def q(self) -> float:
        """Variance of the pre-activations at its fixed point; 1 for ReLU, whose gradient is the same at any variance."""
        return 1.0 if self.activation is relu else float(meanfield.fixed_point(*self))

    @property
    def predicted_slope(self) -> float:
        """Growth of the gradient per layer on its way back, ½ ln χ of the mean-field theory, in nats."""
        return 0.5 * float(np.log(meanfield.chi(*self)))

    def relu_slope(self, width: int) -> float:
        """Growth of a typical ReLU signal or gradient per layer at finite width, in nats: ½ ln(σ_w²/2) − 5/(4n).

        The mean of the logarithm lies below the logarithm of the mean by half the variance, and the log of the squared norm
        gains a variance of 5/n per layer (Hanin and Nica 2020). It is that of one example.
        """
        return 0.5 * float(np.log(self.weight_variance / 2)) - 1.25 / width

    @property
    def numbers(self) -> Numbers:
        """The arm as numbers, which a compiled program takes as arguments."""
        return Numbers(ACTIVATIONS.index(self.activation), self.weight_variance, self.bias_variance, self.q)


def activation_at(index: int | Array) -> Activation:
    """Returns the activation at this place of ACTIVATIONS, which may be traced."""
    return lambda z: jax.lax.switch(index, ACTIVATIONS, z)


def random_stack(key: Array, depth: int, width: int, weight_variance, bias_variance, dtype=jnp.float32) -> dict[str, Array]:
    """Returns stacked Gaussian parameters: weights N(0, weight_variance / width), biases N(0, bias_variance)."""
    params = stack_init(key, width, depth, initializer=initializers.weight_variance(1.0), bias_variance=1.0)
    variances = {"weight": weight_variance, "bias": bias_variance}
    return {name: p.astype(dtype) * jnp.sqrt(jnp.asarray(variances[name], dtype)) for name, p in params.items()}


def draw(key: Array, numbers: Numbers, shape: Shape, dtype=jnp.float32) -> tuple[dict[str, Array], Array]:
    """Returns a random stack, and an input that is past the transient of the first layers.

    The input [batch, width] is the activation of Gaussian pre-activations of variance q.
    """
    depth, batch, width = shape
    key_params, key_input = jax.random.split(key)
    params = random_stack(key_params, depth, width, numbers.weight_variance, numbers.bias_variance, dtype)
    z = jnp.sqrt(jnp.asarray(numbers.q, dtype)) * jax.random.normal(key_input, (batch, width), dtype)
    return params, activation_at(numbers.activation)(z)


def forward(settings: Causes, key: Array, arm: Arm) -> dict[str, np.ndarray]:
    """Returns `forward_statistics` of an arm over settings.forward_seeds, computed in float64."""
    with jax.enable_x64(True):
        keys = jax.random.split(key, settings.forward_seeds)
        found = forward_statistics(keys, arm.numbers, depth=settings.depth, width=settings.width)
        return jax.tree.map(np.asarray, found)


@partial(jax.jit, static_argnames=("depth", "width"))
def forward_statistics(keys: Array, numbers: Numbers, *, depth: int, width: int) -> dict[str, Array]:
    """Returns what happens to two inputs on the way forward, each entry [seeds, depth].

    "rms" is the natural log of the root mean square of the activations, "distance" that of the distance of the two inputs, and
    "saturated" the fraction of saturated units. The inputs are standard normal. Float64, in which 60 contracting layers do not
    underflow.
    """
    activated = [lambda z, phi=phi: (phi(z), saturated_fraction(phi, z)) for phi in ACTIVATIONS]

    def of_seed(key: Array) -> dict[str, Array]:
        key_params, key_input = jax.random.split(key)
        params = random_stack(key_params, depth, width, numbers.weight_variance, numbers.bias_variance, jnp.float64)

        def step(h: Array, layer_params) -> tuple[Array, dict[str, Array]]:
            h, saturated = jax.lax.switch(numbers.activation, activated, linear(layer_params, h))
            rms, distance = jnp.sqrt(jnp.mean(h**2)), jnp.sqrt(jnp.mean((h[0] - h[1]) ** 2))
            return h, {"rms": jnp.log(rms), "distance": jnp.log(distance), "saturated": saturated}

        return jax.lax.scan(step, jax.random.normal(key_input, (2, width), jnp.float64), params)[1]

    return jax.lax.map(of_seed, keys)


def forward_slope(logs: np.ndarray) -> np.ndarray:
    """Returns [seeds] the growth per layer on the way forward, over the stack's second half, past the input's transient."""
    half = logs.shape[1] // 2
    return (logs[:, -1] - logs[:, half]) / (logs.shape[1] - 1 - half)
