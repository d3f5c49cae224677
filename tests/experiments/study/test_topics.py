"""The topics' measurements against what is known of them, at sizes that run in seconds; and a figure for every claim."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.causes import measurement as causes
from experiments.residual import measurement as residual
from experiments.residual import training as residual_training
from experiments.saturation import measurement as saturation
from experiments.study import figures, results, rules, topics
from jaxnotes import datasets
from jaxnotes.layers.activations import tanh
from jaxnotes.models.mlp import hidden_layer

pytestmark = pytest.mark.usefixtures("standard_promotion")


SMALL_CAUSES = causes.Causes.preset("quick", width=64, depth=30, seeds=6, batch=2)


def test_layer_gradients_equal_plain_differentiation(key):
    params = causes.random_stack(key, 3, 5, 1.5, 0.1)
    x, direction = causes.input_and_direction(tanh, 1.0, key, causes.Causes(width=5, batch=2))
    layer = hidden_layer(tanh)

    def rest(h, start):
        for index in range(start, 3):
            h = layer(jax.tree.map(lambda p, i=index: p[i], params), h)
        return h

    found = causes.layer_gradients(layer, params, x, direction)
    h = x
    for start in range(3):
        expected = jax.grad(lambda at, s=start: jnp.sum(rest(at, s) * direction))(h)
        np.testing.assert_allclose(found[start], expected, rtol=2e-5, atol=1e-7)
        h = layer(jax.tree.map(lambda p, i=start: p[i], params), h)


def test_a_random_stack_has_the_variances_asked_for(key):
    params = causes.random_stack(key, 20, 50, 2.5, 0.3)
    assert abs(params["weight"].var() * 50 / 2.5 - 1) < 5 * np.sqrt(2 / 50_000)
    assert abs(params["bias"].var() / 0.3 - 1) < 5 * np.sqrt(2 / 1000)


def test_slopes_of_a_line():
    line = np.outer([1.0, 2.0], np.arange(11.0))
    np.testing.assert_allclose(causes.forward_slope(line), [1, 2])
    np.testing.assert_allclose(causes.backward_slope(-line), [1, 2])


def test_measured_slopes_agree_with_mean_field_theory(key):
    (evidence,) = causes.vanish(SMALL_CAUSES, key).values()
    for measurement in evidence.measurements:
        if measurement.prediction is not None:
            # At width 64 the finite-width correction to a slope is of the order of 1/64.
            assert abs(measurement.value - measurement.prediction) < 0.05, measurement


def test_product_of_jacobians_is_the_gradient_to_rounding(key):
    evidence = causes.product(SMALL_CAUSES, key)["causes.product"]
    assert evidence["error-float64"].high < 1e-13 < 1e-8 < evidence["error-float32"].low < 1e-4


@pytest.mark.parametrize(
    "name, one, zero",
    # In units of ln 2: 1 + e^-x rounds to 1 at the type's precision; e^x reaches 0 below half the smallest subnormal, or
    # below the smallest normal number where subnormals are flushed.
    [("float32", 24, (-150, -126)), ("float64", 53, (-1075, -1022))],
)
def test_where_the_sigmoid_reaches_its_ends(name, one, zero):
    one, zero = one * np.log(2), np.multiply(zero, np.log(2))
    with jax.enable_x64(True):
        found = {measurement.name: measurement.value for measurement in saturation._ends(name)}
    assert found[f"one-{name}"] == pytest.approx(one, rel=1e-3)
    assert zero[0] * 1.001 <= found[f"zero-{name}"] <= zero[1] * 0.999


def test_the_smallest_magnitude_is_between_neighbours():
    found = saturation._smallest_magnitude("float32", lambda x: x >= jnp.float32(0.1))
    assert np.float32(found) == np.float32(0.1)


def test_the_sum_of_paths_is_the_product_of_blocks(key):
    with jax.enable_x64(True):
        branches = jax.random.normal(key, (4, 3, 3), jnp.float64)
        product = np.eye(3)
        for branch in np.asarray(branches):
            product = (np.eye(3) + branch) @ product
        np.testing.assert_allclose(residual._sum_of_paths(branches), product, rtol=1e-12)


def test_residual_claims_at_initialisation(key):
    settings = residual.Residual.preset("quick", width=24, seeds=3, batch=2, depths=(5, 20), path_depth=6, branch_depth=40)
    for part in (residual.form, residual.identity, residual.path, residual.small_branch, residual.large_branch):
        for identifier, evidence in part(settings, key).items():
            verdict = rules.judge(rules.load_claims()[identifier], evidence.measurements).verdict
            if identifier != "residual.path":  # its path lengths need more width than this
                assert verdict == ("fails" if identifier == "residual.large-branch" else "holds"), identifier
            if identifier == "residual.path":
                assert evidence["shortcut-difference"].high == 0.0 and evidence["sum-error-float64"].high < 1e-13


def test_training_reaches_what_the_architecture_allows(key):
    settings = residual.Residual.preset("quick", train_steps=80, train_seeds=2, evaluated=500)
    images = datasets.mnist()
    data = images._replace(
        train_images=datasets.standardise(images.train_images), test_images=datasets.standardise(images.test_images)
    )
    run = residual_training.runner(settings, "scaled", 30, 80, data)
    (losses, frozen), error, accuracy = run(jnp.stack([key, key]), np.asarray([3e-3, 0.0]))
    assert losses.shape == (80,) and losses[-10:].mean() < 0.5 * losses[0]
    assert accuracy[0] > 0.7 and error[0] < 0.3
    assert losses[0] == frozen[0]  # the same key: the same network and first batch
    assert abs(frozen[-10:].mean() / frozen[:10].mean() - 1) < 0.2  # no learning at learning rate 0


def test_pairs_of_runs_come_back_in_order():
    keys, rates = jax.random.split(jax.random.key(0), 5), np.arange(5.0)
    found = residual_training.run_pairs(lambda keys, rates: (2 * rates, rates.astype(int)), keys, rates)
    np.testing.assert_array_equal(found[0], 2 * np.arange(5))
    np.testing.assert_array_equal(found[1], np.arange(5))


def test_the_learning_rate_falls_as_a_cosine():
    optimizer = residual_training.adam(10)
    params = jnp.zeros(())
    state = optimizer.init(params)
    state[-1].hyperparams["step_size"] = jnp.float32(-0.1)
    sizes = []
    for _ in range(10):
        update, state = optimizer.update(jnp.ones(()), state, params)
        sizes.append(-float(update))
    np.testing.assert_allclose(sizes, 0.1 * 0.5 * (1 + np.cos(np.pi * np.arange(10) / 10)), rtol=1e-4)


def test_every_claim_of_a_topic_is_measured_and_drawn(key, tmp_path, unchecked):
    measured = saturation.measure(saturation.TOPIC.settings.preset("quick", width=16, seeds=2, batch=2), key)
    assert set(measured) == {c for c, entry in rules.load_claims().items() if entry.topic == "saturation"}
    drawn = results.Results({"topic": "saturation"}, measured)
    figures.draw_topic(tmp_path, drawn)
    assert figures.all_drawn(tmp_path, drawn)


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_every_claim_has_its_drawing(topic):
    drawings = importlib.import_module(f"experiments.figures.{topic}").FIGURES
    assert set(drawings) == {c for c, entry in rules.load_claims().items() if entry.topic == topic}
