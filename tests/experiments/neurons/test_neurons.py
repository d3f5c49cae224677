"""What the question neurons builds on: receptive fields, ranks of products, collapse to one matrix, the toy data."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from experiments.neurons import measurement, tasks, training
from experiments.neurons.settings import Neurons

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_receptive_fields_by_changing_one_input(key):
    settings = Neurons.preset("quick", positions=11, convolutions=2)
    with jax.enable_x64(True):
        x = jax.random.normal(key, (11, settings.channels), jnp.float64)
        for name, network in measurement.networks(settings, key).items():
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
    assert abs(np.mean(ranks) - measurement.predicted_rank(width, depth)) < 1.5
    assert measurement.predicted_rank(width, 1) == width


def test_the_toy_tasks_have_the_classes_they_are_known_for(key):
    x, labels = map(np.asarray, tasks.xor(key, 400))
    clean = np.abs(x).min(1) > 0.3
    np.testing.assert_array_equal(labels[clean], (x[clean, 0] * x[clean, 1] < 0).astype(int))
    assert np.bincount(labels).tolist() == [200, 200]
    x, labels = map(np.asarray, tasks.two_moons(key, 2000))
    assert np.bincount(labels).tolist() == [1000, 1000]
    for label, centre in ((0, (-0.5, -0.25)), (1, (0.5, 0.25))):
        radius = np.linalg.norm(x[labels == label] - centre, axis=1)
        assert abs(radius.mean() - 1) < 0.02 and radius.std() < 0.12


def test_a_stack_without_activation_is_its_matrix(key):
    settings = Neurons.preset("quick", linear_width=12, bottleneck=3, linear_depths=(2, 5, 20), batch=4)
    with jax.enable_x64(True):
        errors, singular = measurement.stack_error(settings, np.asarray([1, 20]), "float64", key)
        errors, singular = np.asarray(errors), np.asarray(singular)
    assert errors.shape == (20,) and errors.max() < 1e-12 and singular.shape == (2, 12)
    assert measurement.bottleneck(settings, key).value == 3


def test_each_arm_starts_from_the_initialisation_named_after_it(key):
    theirs = {
        "identity": jax.nn.initializers.variance_scaling(1.0, "fan_in", "normal"),
        "tanh": jax.nn.initializers.variance_scaling(1.0, "fan_avg", "normal"),
        "relu": jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal"),
    }
    for arm, initializer in training.ARMS.items():
        np.testing.assert_allclose(initializer(key, 6, 3), theirs[arm](key, (6, 3)), rtol=1e-6)


def test_a_network_without_activation_trains_to_the_logistic_regression_of_its_data(key):
    sets = tasks.drawn_sets(tasks.two_moons, 64, key)
    plan = training.Plan("identity", hidden=8, classes=2, steps=2000, batch=64)
    trained = training.train(plan, jnp.float32(0.02), key, sets)
    x, labels = (np.asarray(part, np.float64) for part in sets.train)
    with_bias = np.column_stack([x, np.ones(len(x))])

    def loss(weights):
        return np.mean(np.logaddexp(0, with_bias @ weights) - labels * (with_bias @ weights))

    best = optimize.minimize(loss, np.zeros(3), method="BFGS")
    test = np.column_stack([np.asarray(sets.test[0]), np.ones(64)]) @ best.x
    expected = np.mean(np.logaddexp(0, test) - np.asarray(sets.test[1]) * test)
    assert float(trained.test_loss) == pytest.approx(expected, rel=1e-2)
    assert float(trained.test_accuracy) == pytest.approx(np.mean((test > 0) == np.asarray(sets.test[1])), abs=1.5 / 64)


def test_the_three_sets_of_a_task_are_independent(key):
    sets = tasks.drawn_sets(tasks.xor, 8, key)
    inputs = [np.asarray(part[0]) for part in sets]
    assert all(not np.isclose(a, b).any() for a, b in itertools.combinations(inputs, 2))
