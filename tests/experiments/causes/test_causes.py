"""Random stacks of the topic causes: one program for all activations, against each activation by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from experiments.causes import measurement as causes

pytestmark = pytest.mark.usefixtures("standard_promotion")

SETTINGS = causes.Causes.preset("quick", width=6, depth=10, batch=2, seeds=2, forward_seeds=2)
BY_SCIPY = {"relu": lambda z: np.maximum(z, 0), "tanh": np.tanh, "sigmoid": special.expit}
SLOPES = {
    "relu": lambda z: z > 0,
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "sigmoid": lambda z: special.expit(z) * special.expit(-z),
}


@pytest.mark.parametrize("activation", causes.ACTIVATIONS)
def test_gradients_are_those_of_the_activation_by_itself(key, activation):
    """The gradient's norm at each layer, root mean square over examples, by the chain rule in NumPy."""
    q, of_weights, of_biases = 1.0, 1.5, 0.1
    index = causes.ACTIVATIONS.index(activation)
    found = causes.log_gradients(key[None], of_weights, of_biases, q, index, settings=SETTINGS, depth=SETTINGS.depth)[0]
    of_stack, of_ends = jax.random.split(key)
    stack = causes.random_stack(of_stack, SETTINGS.depth, SETTINGS.width, of_weights, of_biases)
    weights, biases = (np.asarray(stack[name], np.float64) for name in ("weight", "bias"))
    x, gradient = (np.asarray(a, np.float64) for a in causes.input_and_direction(activation, q, of_ends, SETTINGS))
    sums, h = [], x
    for weight, bias in zip(weights, biases, strict=True):
        sums.append(h @ weight + bias)
        h = BY_SCIPY[activation.__name__](sums[-1])
    examples, norms = len(x), [np.linalg.norm(gradient)]
    for weight, z in zip(weights[::-1], sums[::-1], strict=True):
        gradient = (gradient * SLOPES[activation.__name__](z)) @ weight.T
        norms.append(np.linalg.norm(gradient))
    np.testing.assert_allclose(found, np.log(norms[::-1]) - 0.5 * np.log(examples), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", causes.ACTIVATIONS)
def test_forward_statistics_are_those_of_the_activation_by_itself(key, activation):
    found = causes.forward(SETTINGS, key, activation, 2.0)  # weights drawn in float32, which compiled differ by a rounding
    of_stack, of_input = jax.random.split(jax.random.split(key, 2)[0])
    with jax.enable_x64(True):
        stack = causes.random_stack(of_stack, SETTINGS.depth, SETTINGS.width, 2.0, 0.0, jnp.float64)
        h = np.asarray(jax.random.normal(of_input, (2, SETTINGS.width), jnp.float64))
    for layer, weight in enumerate(np.asarray(stack["weight"])):
        z = h @ weight
        h = BY_SCIPY[activation.__name__](z)
        slopes = SLOPES[activation.__name__](z)
        largest = {"relu": 1.0, "tanh": 1.0, "sigmoid": 0.25}[activation.__name__]
        np.testing.assert_allclose(found["rms"][0, layer], 0.5 * np.log(np.mean(h**2)), atol=1e-6)
        np.testing.assert_allclose(found["distance"][0, layer], 0.5 * np.log(np.mean((h[0] - h[1]) ** 2)), atol=1e-6)
        np.testing.assert_allclose(found["saturated"][0, layer], np.mean(slopes < 0.05 * largest), atol=1e-12)
