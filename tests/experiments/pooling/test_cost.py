"""What the topic pooling counts: costs of known programs, parameters against a count by hand, turns of two networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.pooling import cost
from experiments.pooling.settings import Pooling

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_a_matrix_product_costs_two_operations_a_multiplication():
    shapes = jax.ShapeDtypeStruct((32, 48), jnp.float32), jax.ShapeDtypeStruct((48, 16), jnp.float32)
    operations, traffic, _ = cost.compiled_cost(jnp.matmul, *shapes)
    assert operations == pytest.approx(2 * 32 * 48 * 16, rel=0.01)
    assert traffic == pytest.approx(4 * (32 * 48 + 48 * 16 + 32 * 16), rel=0.01)


def test_the_bytes_of_a_layer_are_its_maps_and_weights():
    assert cost.layer_bytes(1, 1) == 4 * (9 * 16 + 32 + 9 * 16 * 32 + 32)


def test_parameters_are_those_counted_by_hand(key):
    found = cost.parameters(Pooling.preset("quick"), key)["pooling.parameters"]
    # 16 kernels of 9 cells and 32 of 9 × 16, a bias each; ten classes read 28 × 28 or 7 × 7 cells of 32 channels.
    convolutions = 16 * 10 + 32 * (9 * 16 + 1)
    assert found["parameters-flatten-none"].value == convolutions + 10 * (28 * 28 * 32 + 1)
    assert found["parameters-flatten-max"].value == convolutions + 10 * (7 * 7 * 32 + 1)
    assert found["parameters-average-none"].value == found["parameters-average-max"].value == convolutions + 10 * 33
    assert found["parameters-ratio-convolution"].value == 1 and found["head-ratio-flatten"].value == pytest.approx(
        1 / 16, rel=1e-3
    )


def test_every_step_of_either_network_is_timed_but_for_those_that_compile(key):
    settings = Pooling.preset("quick", speed_channels=(2,), speed_batch=2, speed_pairs=2, speed_seeds=2)
    seconds = cost.step_seconds(settings, key)
    assert seconds.shape == (2, 2, 2) and (seconds > 0).all() and np.isfinite(seconds).all()
    assert seconds.max() < 0.2  # compiling takes longer
