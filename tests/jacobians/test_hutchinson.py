"""Hutchinson's estimate: against the exact norm, against matfree on the same Jacobian, and its own standard error."""

import jax
import jax.numpy as jnp
import numpy as np
from matfree import stochtrace

from jaxnotes import jacobians


def layer(weight, h):
    return jnp.tanh(h @ weight)


def stack(depth=5, width=40, batch=3, gain=1.0):
    keys = jax.random.split(jax.random.key(0), 2)
    weight = gain * jax.random.normal(keys[0], (depth, width, width)) / np.sqrt(width)
    return weight, jax.random.normal(keys[1], (batch, width))


def test_within_its_standard_error_of_the_exact_norm():
    """Over 200 keys, (estimate - exact) / standard error has mean near 0 and variance near 1."""
    weight, x = stack()
    exact = np.exp(jacobians.log_frobenius_norms(layer, weight, x))

    def of_key(key):
        return jacobians.hutchinson_frobenius(layer, weight, x, key, 32)

    estimates = jax.lax.map(of_key, jax.random.split(jax.random.key(1), 200))
    score = (np.asarray(estimates.estimate) - exact)[:, :-1] / np.asarray(estimates.standard_error)[:, :-1]
    assert np.abs(score.mean(axis=0)).max() < 0.5
    assert score.std(axis=0).min() > 0.6 and score.std(axis=0).max() < 1.5
    np.testing.assert_allclose(np.asarray(estimates.estimate)[:, -1], np.sqrt(40), rtol=1e-6)


def test_against_matfree():
    weight, x = stack(batch=1)

    def through(h):
        return jax.lax.scan(lambda h, w: (layer(w, h), None), h[None], weight)[0][0]

    pull = jax.vjp(through, x[0])[1]
    sampler = stochtrace.sampler_signs(x[0], num=4000)
    estimator = stochtrace.estimator_monte_carlo(stochtrace.monte_carlo_frobeniusnorm_squared(), sampler)
    theirs = np.sqrt(np.mean(estimator(lambda v: pull(v)[0], jax.random.key(2))))
    ours = jacobians.hutchinson_frobenius(layer, weight, x, jax.random.key(3), 4000)
    assert abs(theirs - ours.estimate[0, 0]) < 5 * ours.standard_error[0, 0]
    assert ours.standard_error[0, 0] < 0.02 * ours.estimate[0, 0]


def test_logs_where_float32_underflows():
    weight, x = stack(depth=300, gain=0.3)
    exact = jacobians.log_frobenius_norms(layer, weight, x)
    logs = jacobians.hutchinson_log_frobenius(layer, weight, x, jax.random.key(4), 256)
    assert (exact[0] < -200).all()
    assert (np.abs(logs.estimate - exact)[:-1] < 5 * logs.standard_error[:-1] + 1e-3).all()
    np.testing.assert_array_equal(jacobians.hutchinson_frobenius(layer, weight, x, jax.random.key(4), 8).estimate[0], 0)


def test_zero_jacobian():
    weight, x = stack()
    found = jacobians.hutchinson_frobenius(layer, weight.at[2].set(0), x, jax.random.key(0), 4)
    np.testing.assert_array_equal(found.estimate[:3], 0)
    np.testing.assert_array_equal(found.standard_error[:3], 0)
