"""The digits that all questions share: disjoint sets, the data set's own pixels, in every shape."""

import numpy as np
import pytest

from experiments.study import digits
from jaxnotes import datasets


def test_no_digit_is_in_two_sets_and_none_is_lost():
    whole, found = datasets.mnist(), digits.load(1500, side=28)
    assert [len(labels) for _, labels in found] == [6500, 1500, 2000]
    images = np.concatenate([images for images, _ in found])
    expected = np.concatenate([whole.train_images, whole.test_images]).reshape(10_000, 784)
    np.testing.assert_allclose(images * 0.3081 + 0.1307, expected, atol=1e-6)
    labels = np.concatenate([labels for _, labels in found])
    np.testing.assert_array_equal(labels, np.concatenate([whole.train_labels, whole.test_labels]))
    assert len(np.unique(images, axis=0)) == len(images)


def test_the_validation_digits_are_held_out_of_the_training_ones():
    few, many = digits.load(), digits.load(0)
    assert len(many.validation[1]) == 0 and len(few.validation[1]) == 2000
    for i in (0, 1):
        np.testing.assert_array_equal(np.concatenate([few.train[i], few.validation[i]]), many.train[i])
        np.testing.assert_array_equal(few.test[i], many.test[i])


def test_small_digits_are_means_of_four_pixels():
    images = np.asarray(datasets.mnist().test_images)
    means = (images[:, ::2, ::2] + images[:, 1::2, ::2] + images[:, ::2, 1::2] + images[:, 1::2, 1::2]) / 4
    vectors = np.asarray(digits.load().test[0])
    np.testing.assert_allclose(vectors * 0.3081 + 0.1307, means.reshape(2000, 196), atol=1e-6)
    np.testing.assert_array_equal(digits.load(flat=False).test[0], vectors.reshape(2000, 14, 14, 1))


@pytest.mark.parametrize("side, variance", [(28, 1.0), (14, 0.83)])
def test_the_images_have_the_variance_that_the_docstring_states(side, variance):
    images = np.asarray(digits.load(0, side=side, flat=False).train[0])
    assert images.shape == (8000, side, side, 1) and images.dtype == np.float32
    assert abs(images.mean()) < 0.01 and abs(images.var() - variance) < 0.02


@pytest.mark.parametrize("arguments", [{"side": 7}, {"validation": -1}, {"validation": 8000}])
def test_impossible_sets_are_refused(arguments):
    with pytest.raises(ValueError, match="must"):
        digits.load(**arguments)
