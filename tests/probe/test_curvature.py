"""The Hessian's largest eigenvalue against NumPy's, and the step that it allows."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnotes import diagnosis, probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def model(parameters, x):
    return probe.tap("w", x @ parameters["w"])


@pytest.fixture
def batch(key):
    x = jax.random.normal(key, (32, 6)) * jnp.asarray([3.0, 1.0, 1.0, 0.5, 0.5, 0.1])
    return x, x.sum(axis=1, keepdims=True)


def test_the_largest_eigenvalue_of_least_squares_is_numpys(key, batch):
    parameters = {"w": jax.random.normal(key, (6, 1))}
    x = np.asarray(batch[0], np.float64)
    largest = np.linalg.eigvalsh(2 * x.T @ x / len(x))[-1]  # of the mean squared error
    options = {"jacobian": False, "curvature": True}
    rate = lambda times: optax.sgd(times * 2 / largest)
    stable = probe.read((model, parameters), batch, "squared_error", optimizer=rate(0.5), **options)
    assert stable.curvature.sharpness == pytest.approx(largest, rel=1e-3)
    assert stable.curvature.step <= 1 and not any("eigenvalue" in one.evidence for one in diagnosis.explain(stable))
    unstable = probe.read((model, parameters), batch, "squared_error", optimizer=rate(3.0), **options)
    found = [one.kind for one in diagnosis.explain(unstable) if "eigenvalue" in one.evidence]
    assert found == ["large-update"] and unstable.curvature.step > 2
    assert probe.read((model, parameters), batch, "squared_error", jacobian=False).curvature is None
