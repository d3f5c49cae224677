"""What the topic invariance builds on: the canvas, the shifts, the four models of MNIST-1D, and the exact cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.invariance import measurement as invariance
from experiments.invariance import order as invariance_order
from experiments.invariance import training as invariance_training
from jaxnotes import datasets

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_digits_lie_in_the_centre_and_shifts_lose_nothing(key):
    data = invariance_training.digits()
    x = np.asarray(data.test_images[:20])
    assert x.shape == (20, 22, 22, 1) and x[:, :4].max() == x[:, -4:].max() == x[:, :, :4].max() == x[:, :, -4:].max() == 0
    halved = np.asarray(datasets.mnist().test_images[:20]).reshape(20, 14, 2, 14, 2).mean((2, 4))
    np.testing.assert_allclose(x[:, 4:-4, 4:-4, 0], halved, atol=1e-6)
    moved = np.asarray(invariance_training.shifted(jnp.asarray(x), jnp.tile(jnp.asarray([[4, -4]]), (20, 1))))
    np.testing.assert_array_equal(moved[:, 8:, :14], x[:, 4:-4, 4:-4])


def test_drop_and_worst_position_of_a_known_map():
    accuracy = np.full((3, 9, 9), 0.5)
    accuracy[:, 4, 4] = 0.9
    accuracy[:, 2, 7] = [0.1, 0.2, 0.3]
    runs = invariance_training.Run(accuracy, np.zeros(3))
    outcome = invariance_training.Outcome(0.1, runs)
    np.testing.assert_allclose(invariance_training.drop(outcome), 0.4)
    np.testing.assert_allclose(invariance_training.worst(outcome), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(invariance_training.centred(outcome), 0.9)


def test_mnist1d_is_the_package_s_and_leaves_the_global_generators_alone():
    before = np.random.get_state()[1].copy()
    data = datasets.mnist1d(shuffled=False)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert data.train_images.shape == (4000, 40) and data.test_images.shape == (1000, 40)
    both = np.concatenate([data.train_images, data.test_images])
    assert abs(both.mean()) < 1e-5 and abs(both.std() - 1) < 1e-5
    assert np.bincount(np.concatenate([data.train_labels, data.test_labels])).tolist() == [500] * 10
    shuffled = datasets.mnist1d(shuffled=True)
    np.testing.assert_array_equal(shuffled.train_labels, data.train_labels)
    np.testing.assert_allclose(np.sort(shuffled.train_images, 1), np.sort(data.train_images, 1), atol=1e-5)


def test_without_the_package_mnist1d_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mnist1d.data", None)
    with pytest.raises(ModuleNotFoundError, match="pip install mnist1d"):
        datasets.mnist1d(shuffled=False)


def test_the_models_of_mnist1d_have_the_published_sizes(key):
    """PyTorch counts the GRU's two bias vectors a gate; ours has the one that is not redundant for two of three gates."""
    count = lambda name: sum(leaf.size for leaf in jax.tree.leaves(invariance_order.MODELS[name][0](key)))  # noqa: E731
    assert count("logistic") == 410 and count("mlp") == 15_210 and count("cnn") == 5_210
    assert count("gru") == 2 * (18 + 18 + 108 + 6) + 4_810
    for init, apply in invariance_order.MODELS.values():
        assert apply(init(key), jnp.ones((3, 40))).shape == (3, 10)


def test_exact_cases_are_exact(key):
    settings = invariance.Invariance.preset("quick", seeds=2, size=12)
    (evidence,) = invariance.definition(settings, key).values()
    assert evidence["change-exact"].high < 1e-14 and evidence["equivariance-exact"].high < 1e-14
    (evidence,) = invariance.equivariance(settings, key).values()
    for name in ("error-circular", "error-zeros-inside", "error-stride-even"):
        assert evidence[name].high < 1e-14
    assert evidence["error-zeros"].low > 0.1 and evidence["error-stride-odd"].low > 0.5


def test_arms_start_from_the_parameters_that_their_own_networks_draw(key, monkeypatch):
    settings = invariance.Invariance.preset("quick")
    monkeypatch.setattr(invariance_training, "_fit", lambda rate, start, *rest, **options: start)
    data = datasets.Dataset(jnp.zeros((1100, 22, 22, 1)), jnp.zeros(1100, jnp.int32), None, None)
    for arm in invariance_training.ARMS:
        own = jax.eval_shape(invariance_training.network(arm, settings)[0], key)
        found = invariance_training.trained(settings, arm, data, key, 0.01)
        assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, own)
