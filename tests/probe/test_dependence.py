"""Whether labels depend on inputs: leave-one-out predictions against refits, and what the hint says of known data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import datasets, diagnosis, probe
from jaxnotes.probe._dependence import RIDGE, _left_out, read_dependence

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_left_out_predictions_are_those_of_refits():
    rng = np.random.default_rng(0)
    features, values = rng.normal(size=(12, 3)), rng.normal(size=(12, 2))
    features -= features.mean(axis=0)
    kernel = features @ features.T
    ridge = RIDGE * np.trace(kernel) / 12
    for i, predicted in enumerate(_left_out(kernel, values)):
        kept = np.arange(12) != i
        # The intercept is not regularised; it is fitted beside the weights.
        design = np.hstack([features, np.ones((12, 1))])
        penalty = np.diag([ridge] * 3 + [0.0])
        weights = np.linalg.solve(design[kept].T @ design[kept] + penalty, design[kept].T @ values[kept])
        assert predicted == pytest.approx(design[i] @ weights, rel=1e-9)


def exclusive_or(key, examples=256):
    inputs = jax.random.normal(key, (examples, 2))
    return inputs, (inputs[:, 0] * inputs[:, 1] > 0).astype(jnp.int32)


def linear_only(key, examples=256):
    """One direction of 100 decides: neighbours see little of it."""
    inputs = jax.random.normal(key, (examples, 100))
    return inputs, (inputs[:, 0] > 0).astype(jnp.int32)


def digits(key):
    del key
    found = datasets.mnist()
    return found.train_images[:256], found.train_labels[:256]


@pytest.mark.parametrize("data", [exclusive_or, linear_only, digits])
def test_labels_that_depend_are_seen_and_shuffled_ones_are_not(data, key):
    inputs, labels = data(key)
    assert read_dependence(inputs, labels).standard_errors > 4
    apart = [read_dependence(inputs, jax.random.permutation(k, labels)) for k in jax.random.split(key, 20)]
    below = sum(found.standard_errors < 2 for found in apart)
    assert below >= 16  # each of two shares exceeds 2 standard errors in 2.3% of the draws


@pytest.mark.parametrize("shuffled", [False, True])
def test_the_hint_is_given_for_shuffled_labels_alone(key, shuffled):
    inputs, labels = linear_only(key)
    labels = labels[::-1] if shuffled else labels
    model = lambda x: probe.tap("logits", x[:, :2])
    found = diagnosis.explain(probe.read(model, (inputs, labels), "cross_entropy"))
    assert [(f.kind, f.hint) for f in found if f.kind == "labels"] == ([("labels", True)] if shuffled else [])


@pytest.mark.parametrize(
    "inputs, labels",
    [
        (jnp.ones((255, 2)), jnp.arange(255) % 2),
        (jnp.ones((256, 2), jnp.int32), jnp.arange(256) % 2),
        (jnp.ones((256, 2)), jnp.zeros(256)),
        (jnp.ones((256, 2)), jnp.arange(256)),
        (jnp.full((256, 2), jnp.nan), jnp.arange(256) % 2),
        ((jnp.ones((256, 2)), jnp.ones((256, 2))), jnp.arange(256) % 2),
    ],
)
def test_what_cannot_be_judged_is_left_alone(inputs, labels):
    assert read_dependence(inputs, labels) is None


def test_equal_inputs_are_at_chance():
    found = read_dependence(jnp.ones((256, 2)), jnp.arange(256) % 2)
    assert found.standard_errors < 2
