"""The spectrum of a critical stack: against singular values by NumPy, Monte Carlo at a small width, and the infinite one."""

import jax
import numpy as np
import pytest

from experiments.causes import spectrum
from experiments.causes.stacks import random_stack

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_the_variance_is_that_of_the_squared_singular_values(key):
    found = spectrum.squared_singular_variance("linear", key[None], depth=3, width=12)[0]
    weights = np.asarray(random_stack(jax.random.split(key)[0], 3, 12, 1.0, 0.0)["weight"], np.float64)
    squares = np.linalg.svd(weights[0] @ weights[1] @ weights[2], compute_uv=False) ** 2
    assert found == pytest.approx(squares.var() / squares.mean() ** 2, rel=1e-4)


@pytest.mark.parametrize("name, per_layer", [("linear", 1), ("relu", 2)])
def test_a_wide_stack_has_the_variance_of_pennington_2017(name, per_layer):
    assert spectrum.predicted_variance(spectrum.CRITICAL[name][1], 8, 10**7) == pytest.approx(8 * per_layer, rel=1e-5)


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_the_prediction_at_finite_width_is_the_ratio_of_means_by_monte_carlo(share):
    generator, width, depth = np.random.default_rng(0), 12, 4
    jacobian = np.broadcast_to(np.eye(width), (20_000, width, width))
    for _ in range(depth):
        masked = (generator.random((20_000, width, 1)) < share) * jacobian
        jacobian = generator.normal(0, (share * width) ** -0.5, (20_000, width, width)) @ masked
    gram = jacobian @ jacobian.swapaxes(1, 2)
    traces, squares = np.trace(gram, axis1=1, axis2=2), (gram**2).sum((1, 2))
    expected = width * squares.mean() / (traces**2).mean() - 1
    assert spectrum.predicted_variance(share, depth, width) == pytest.approx(expected, rel=0.03)
