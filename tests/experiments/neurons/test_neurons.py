"""What the topic neurons builds on: receptive fields, ranks of products, collapse to one matrix, the toy data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.neurons import measurement as neurons
from experiments.neurons import training as neurons_training

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_receptive_fields_by_changing_one_input(key):
    settings = neurons.Neurons.preset("quick", positions=11, convolutions=2)
    with jax.enable_x64(True):
        x = jax.random.normal(key, (11, settings.channels), jnp.float64)
        for name, network in neurons.networks(settings, key).items():
            changed = np.asarray(jnp.abs(network(x.at[5].add(0.5))[-1] - network(x)[-1]).max(1) > 0)
            expected = {
                "convolution": np.abs(np.arange(11) - 5) <= 2,
                "rnn": np.arange(11) >= 5,
                "causal-attention": np.arange(11) >= 5,
            }.get(name, np.ones(11, bool))
            np.testing.assert_array_equal(changed, expected)


def test_the_predicted_rank_falls_with_depth_as_products_show(key):
    width, depth = 16, 60
    ranks = []
    for seed in range(8):
        generator = np.random.default_rng(seed)
        product = np.eye(width)
        for _ in range(depth):
            product = product @ (generator.normal(size=(width, width)) / np.sqrt(width))
        singular = np.linalg.svd(product, compute_uv=False)
        ranks.append(np.count_nonzero(singular > singular[0] * width * np.finfo(float).eps))
    assert abs(np.mean(ranks) - neurons.predicted_rank(width, depth)) < 1.5
    assert neurons.predicted_rank(width, 1) == width


def test_the_toy_tasks_have_the_classes_they_are_known_for(key):
    x, labels = map(np.asarray, neurons_training.xor(key, 400))
    clean = np.abs(x).min(1) > 0.3
    np.testing.assert_array_equal(labels[clean], (x[clean, 0] * x[clean, 1] < 0).astype(int))
    assert np.bincount(labels).tolist() == [200, 200]
    x, labels = map(np.asarray, neurons_training.two_moons(key, 2000))
    assert np.bincount(labels).tolist() == [1000, 1000]
    for label, centre in ((0, (-0.5, -0.25)), (1, (0.5, 0.25))):
        radius = np.linalg.norm(x[labels == label] - centre, axis=1)
        assert abs(radius.mean() - 1) < 0.02 and radius.std() < 0.12


def test_a_stack_without_activation_is_its_matrix(key):
    settings = neurons.Neurons.preset("quick", linear_width=12, bottleneck=3, linear_depths=(2, 5, 20), batch=4)
    with jax.enable_x64(True):
        errors, singular = neurons._stack_error(settings, np.asarray([1, 20]), "float64", key)
        errors, singular = np.asarray(errors), np.asarray(singular)
    assert errors.shape == (20,) and errors.max() < 1e-12 and singular.shape == (2, 12)
    assert neurons._bottleneck(settings, key).value == 3


def test_each_arm_draws_and_activates_as_by_itself(key):
    x = jnp.linspace(-2.0, 2.0, 9)
    activations = {"identity": lambda x: x, "tanh": np.tanh, "relu": lambda x: np.maximum(x, 0)}
    theirs = {
        "identity": jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"),
        "tanh": jax.nn.initializers.variance_scaling(1.0, "fan_avg", "normal"),
        "relu": jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
    }
    for index, name in enumerate(neurons_training.ARMS):
        drawn = neurons_training.initializer(index)(key, 6, 3)
        np.testing.assert_allclose(drawn, theirs[name](key, (6, 3)), rtol=1e-6)
        np.testing.assert_allclose(neurons_training.activation(index, x), activations[name](np.asarray(x)), rtol=1e-6)
