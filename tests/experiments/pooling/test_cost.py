"""What the topic pooling counts: costs of known programs, parameters against a count by hand, turns of two networks."""

import jax
import jax.numpy as jnp
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
    assert found["parameters-ratio-flatten"].value == found["parameters-ratio-flatten"].prediction
    assert found["parameters-ratio-convolution"].value == 1 and found["head-ratio-flatten"].value == pytest.approx(
        1 / 16, rel=1e-3
    )


def test_the_networks_take_turns_and_the_pair_that_compiles_is_left_out(key, monkeypatch):
    taken = []

    def counting_step(loss, optimizer):
        def step(state, batch):
            taken.append((loss.args[0], len(batch[1])))
            return state, 0.0

        return step

    monkeypatch.setattr(cost.training, "train_step", counting_step)
    monkeypatch.setattr(cost, "convolutional_init", lambda *arguments, **options: {})
    settings = Pooling.preset("quick", speed_batch=2, speed_pairs=3, speed_seeds=2)
    seconds = cost.step_seconds(settings, key)
    assert seconds.shape == (2, 3, 2) and (seconds >= 0).all()
    assert taken == [("none", 2), ("max", 2)] * 2 * 4
