"""What the question dropout builds on: masks and their counts, networks with units deleted, correlations of known units."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.dropout import ablation, ensemble, measurement
from experiments.dropout import training as dropout_training
from experiments.dropout.network import forward, initialise
from experiments.dropout.settings import Dropout
from experiments.study.digits import Digits
from jaxnotes import training

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_every_mask_is_there_once():
    masks = measurement.every_mask(5)
    assert masks.shape == (32, 5) and {tuple(m) for m in masks.tolist()} == set(itertools.product((0, 1), repeat=5))


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_the_expected_number_of_masks_by_enumeration(keep):
    chances = [np.prod([keep if kept else 1 - keep for kept in mask]) for mask in itertools.product((0, 1), repeat=6)]
    expected = sum(1 - (1 - p) ** 40 for p in chances)
    assert measurement.expected_distinct(6, keep, 40) == pytest.approx(expected, rel=1e-10)


def test_a_masked_network_is_the_smaller_one(key):
    difference, gradient = measurement.deletion(Dropout.preset("quick"), key)
    assert difference.shape == (8,) and 0 < difference.max() < 1e-12
    np.testing.assert_array_equal(gradient, np.zeros(8))


def test_weight_scaling_is_the_geometric_mean_of_all_subnetworks_before_one_softmax_layer(key):
    settings = Dropout.preset("quick", small_units=6)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: p.astype(jnp.float64), initialise(key, (5, 6, 4)))
        x = np.random.default_rng(0).normal(size=(30, 5))
        averages = jax.jit(lambda params, x: ensemble.averages(settings, params, key, (x, jnp.zeros(30, jnp.int32))))
        found = jax.tree.map(np.asarray, averages(params, x))
    units = np.maximum(x @ np.asarray(params[0]["weight"]), 0)
    each = []
    for mask in itertools.product((0, 1), repeat=6):
        scores = np.exp(units * mask / settings.keep @ np.asarray(params[1]["weight"]))
        each.append(scores / scores.sum(1, keepdims=True))
    scores = np.exp(units @ np.asarray(params[1]["weight"]))
    scaled = scores / scores.sum(1, keepdims=True)
    assert found["geometric"] < 1e-14
    assert found["arithmetic"] == pytest.approx(np.abs(scaled - np.mean(each, 0)).sum(1).mean() / 2, rel=1e-9)


def digits_of(generator: np.random.Generator, n: int) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(generator.normal(size=(n, 7)), jnp.float32), jnp.asarray(generator.integers(0, 3, n), jnp.int32)


def test_training_is_optax_adam_with_a_falling_rate_on_the_first_examples_of_an_order(key):
    data = Digits(*(digits_of(np.random.default_rng(seed), n) for seed, n in ((0, 40), (1, 20), (2, 20))))
    plan, rate, examples = dropout_training.Plan((7, 5, 3), (0,), steps=6, batch=4), 0.05, 3
    found = dropout_training.train(plan, jnp.float32(rate), key, jnp.float32(1.0), jnp.int32(examples), data)

    key_params, key_order, key_batches, _ = jax.random.split(key, 4)
    order = jax.random.permutation(key_order, 40)
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, 6))
    params = initialise(key_params, plan.sizes)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, x, labels):
        gradient = jax.grad(lambda params: training.cross_entropy(forward(params, x), labels))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for batch in order[jax.random.randint(key_batches, (6, 4), 0, examples)]:
        params, state = step(params, state, data.train[0][batch], data.train[1][batch])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.params, params)
    logits = forward(params, data.train[0])[order[:examples]]
    assert found.train_accuracy == pytest.approx(training.accuracy(logits, data.train[1][order[:examples]]))
    assert found.test_accuracy == training.accuracy(forward(params, data.test[0]), data.test[1])


def test_the_worst_unit_by_rank_one_changes_is_the_worst_by_deleting_each(key):
    params = initialise(key, (7, 6, 6, 4))
    x = jax.random.normal(key, (200, 7))
    labels = jnp.argmax(forward(params, x), 1).astype(jnp.int32)
    accuracies = []
    for layer, unit in itertools.product((0, 1), range(6)):
        gone = lambda at, h, layer=layer, unit=unit: h.at[:, unit].set(0.0) if at == layer else h
        accuracies.append(training.accuracy(forward(params, x, gone), labels))
    hidden = jnp.maximum(x @ params[0]["weight"], 0)
    found = ablation.worst_accuracy(params, hidden, hidden @ params[1]["weight"], labels)
    assert float(found) == float(min(accuracies)) < 1.0


def test_correlation_and_participation_of_known_units(key):
    independent = jax.random.normal(key, (50_000, 4))
    mean, effective = ablation.correlation(independent)
    assert mean < 0.02 and abs(effective - 4) < 0.05
    copies = jnp.concatenate([independent[:, :1]] * 3 + [jnp.zeros((50_000, 1))], 1)  # a dead unit does not count
    mean, effective = ablation.correlation(copies)
    assert mean == pytest.approx(1.0, abs=1e-3) and effective == pytest.approx(1.0, abs=1e-3)
