"""What the topic dropout builds on: masks and their counts, networks with units deleted, correlations of known units."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.dropout import measurement as dropout
from experiments.dropout import training as dropout_training
from jaxnotes import training

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_every_mask_is_there_once():
    masks = dropout.every_mask(5)
    assert masks.shape == (32, 5) and {tuple(m) for m in masks.tolist()} == set(itertools.product((0, 1), repeat=5))


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_the_expected_number_of_masks_by_enumeration(keep):
    chances = [np.prod([keep if kept else 1 - keep for kept in mask]) for mask in itertools.product((0, 1), repeat=6)]
    expected = sum(1 - (1 - p) ** 40 for p in chances)
    assert dropout.expected_distinct(6, keep, 40) == pytest.approx(expected, rel=1e-10)


def test_a_masked_network_is_the_smaller_one(key):
    settings = dropout.Dropout.preset("quick")
    generator = np.random.default_rng(0)
    with jax.enable_x64(True):
        difference, gradient = dropout._deleted(settings, generator)
    assert difference < 1e-12 and gradient == 0.0


def test_the_worst_unit_by_rank_one_changes_is_the_worst_by_deleting_each(key):
    sizes, width = (7, 6, 6, 4), 6
    params = dropout_training.initialise(jax.random.normal(key, (dropout_training.weights_in(sizes),)), sizes)
    x = jax.random.normal(key, (200, 7))
    labels = jnp.argmax(dropout_training.forward(params, x), 1).astype(jnp.int32)
    accuracies = []
    for layer, unit in itertools.product((0, 1), range(width)):
        gone = lambda at, h, layer=layer, unit=unit: h.at[:, unit].set(0.0) if at == layer else h  # noqa: E731
        accuracies.append(training.accuracy(dropout_training.forward(params, x, gone), labels))
    hidden = jnp.maximum(x @ params[0]["weight"], 0)
    found = dropout_training._worst(params, hidden, hidden @ params[1]["weight"], labels)
    assert float(found) == float(min(accuracies)) < 1.0


def test_correlation_and_participation_of_known_units(key):
    independent = jax.random.normal(key, (50_000, 4))
    mean, effective = dropout_training._correlation(independent)
    assert mean < 0.02 and abs(effective - 4) < 0.05
    copies = jnp.concatenate([independent[:, :1]] * 3 + [jnp.zeros((50_000, 1))], 1)  # a dead unit does not count
    mean, effective = dropout_training._correlation(copies)
    assert mean == pytest.approx(1.0, abs=1e-3) and effective == pytest.approx(1.0, abs=1e-3)
