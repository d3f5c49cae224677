"""Profiles over depth: against plain differentiation, and slopes and decades of known lines."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.study import profiles


def layer(params, h):
    return jnp.tanh(h @ params)


def draw(key):
    key_params, key_input = jax.random.split(key)
    return jax.random.normal(key_params, (3, 4, 4)), jax.random.normal(key_input, (2, 4))


def test_log_gradients_are_those_of_plain_differentiation(key):
    keys = jax.random.split(key, 2)
    found = profiles.log_gradients(layer, draw, keys)
    assert found.shape == (2, 4)
    for seed, key_seed in enumerate(keys):
        key_stack, key_direction = jax.random.split(key_seed)
        params, h = draw(key_stack)
        direction = profiles.random_direction(key_direction, h.shape)

        def rest(h, start, params=params, direction=direction):
            for index in range(start, 3):
                h = layer(params[index], h)
            return jnp.sum(h * direction)

        for start in range(4):
            gradient = jax.grad(rest)(h, start)
            norm = jnp.sqrt(jnp.mean(jnp.sum(gradient**2, axis=1)))  # root mean square over the batch of the norm per example
            np.testing.assert_allclose(found[seed, start], jnp.log(norm), rtol=1e-4, atol=1e-5)
            h = layer(params[start], h) if start < 3 else h


def test_a_direction_has_length_1_for_each_example(key):
    direction = profiles.random_direction(key, (5, 3, 2))
    np.testing.assert_allclose(jnp.sqrt(jnp.sum(direction**2, axis=(1, 2))), np.ones(5), rtol=1e-6)


def test_slopes_and_decades_of_a_line():
    logs = np.outer([1.0, -2.0], np.arange(11.0))  # grows by 1, and by -2, per layer on the way forward
    np.testing.assert_allclose(profiles.slope(logs), [-1, 2])
    np.testing.assert_allclose(profiles.decades(logs)[:, 0], np.asarray([-10, 20]) / np.log(10))
    np.testing.assert_allclose(profiles.decades(logs)[:, -1], 0)
    np.testing.assert_allclose(profiles.decades_passed(logs)[:, -1], profiles.decades(logs)[:, 0])


def test_a_curve_has_its_line_of_prediction():
    logs = np.stack([-0.5 * np.arange(5.0), -0.5 * np.arange(5.0)])
    arrays = profiles.passed_curve("a", logs, 0.5)
    np.testing.assert_allclose(arrays["a-mean"], arrays["a-predicted"])
    assert "a-predicted" not in profiles.passed_curve("a", logs)
