"""What the topic invariance builds on: the canvas, the shifts, the four models of MNIST-1D, and the exact cases."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.invariance import measurement, order, training
from experiments.invariance.settings import Invariance
from experiments.study import digits
from experiments.study.measurement import Search
from jaxnotes import datasets

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_digits_lie_in_the_centre_and_shifts_lose_nothing():
    placed, plain = training.load(), digits.load(flat=False)
    for (canvas, labels), (images, expected) in zip(placed, plain, strict=True):
        np.testing.assert_array_equal(canvas[:, 4:-4, 4:-4], images - images.min())
        np.testing.assert_array_equal(labels, expected)
    x = np.asarray(placed.test[0][:20])
    assert x.shape == (20, 22, 22, 1)
    for rim in (x[:, :4], x[:, -4:], x[:, :, :4], x[:, :, -4:]):
        assert (rim == 0).all()
    moved = np.asarray(training.shifted(jnp.asarray(x), jnp.tile(jnp.asarray([[4, -4]]), (20, 1))))
    np.testing.assert_array_equal(moved[:, 8:, :14], x[:, 4:-4, 4:-4])
    assert (moved[:, :8] == 0).all() and (moved[:, :, 14:] == 0).all()


def test_drop_and_worst_position_of_a_known_map():
    accuracy = np.full((3, 9, 9), 0.5)
    accuracy[:, 4, 4] = 0.9
    accuracy[:, 2, 7] = [0.1, 0.2, 0.3]
    shown = training.Shown(accuracy, np.zeros(3), Search(0.1, (0.1,), ((0.5,),), False))
    np.testing.assert_allclose(training.drop(shown), 0.4)
    np.testing.assert_allclose(training.worst(shown), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(training.centred(shown), 0.9)


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
    count = lambda name: sum(leaf.size for leaf in jax.tree.leaves(order.MODELS[name][0](key)))
    assert count("logistic") == 410 and count("mlp") == 15_210 and count("cnn") == 5_210
    assert count("gru") == 2 * (18 + 18 + 108 + 6) + 4_810
    for init, apply in order.MODELS.values():
        assert apply(init(key), jnp.ones((3, 40))).shape == (3, 10)


def test_exact_cases_are_exact(key):
    settings = Invariance.preset("quick", seeds=2, size=12)
    (evidence,) = measurement.definition(settings, key).values()
    assert evidence["change-exact"].high < 1e-14 and evidence["equivariance-exact"].high < 1e-14
    (evidence,) = measurement.equivariance(settings, key).values()
    for name in ("error-circular", "error-zeros-inside", "error-stride-even"):
        assert evidence[name].high < 1e-14
    assert evidence["error-zeros"].low > 0.1 and evidence["error-stride-odd"].low > 0.5


def test_centred_networks_train_on_centred_digits_and_the_others_everywhere(key, monkeypatch):
    settings = Invariance.preset("quick")
    monkeypatch.setattr(training, "_run", lambda key, rate, data, batches, held, **options: (batches[1], held))
    labels = jnp.zeros(1100, jnp.int32)
    data = digits.Digits(*[(jnp.zeros((1100, 22, 22, 1)), labels)] * 3)
    for arm, (_, _, everywhere) in training.ARMS.items():
        for places in training.train(settings, arm, data, 0.01, key):
            found = np.unique(places)
            assert found.tolist() == (list(range(-4, 5)) if everywhere else [0])


def test_a_network_of_constant_output_is_right_at_chance_everywhere_and_consistent(monkeypatch):
    settings = Invariance.preset("quick", evaluated=100)
    data = training.load()
    constant = lambda params, x: jnp.tile(jax.nn.one_hot(jnp.asarray([3]), 10), (len(x), 1)) + params
    monkeypatch.setattr(training, "network", lambda *arguments: (lambda key: jnp.zeros(()), constant))
    monkeypatch.setattr(training, "train", lambda *arguments: training.Run(jnp.zeros(()), jnp.ones(())))
    shown = training.train_arm(settings, "global", data, jax.random.key(0))
    assert (shown.accuracy == np.mean(np.asarray(data.test[1][:100]) == 3, dtype=np.float32)).all()
    assert shown.accuracy.shape == (2, 9, 9) and (shown.consistency == 1).all()
