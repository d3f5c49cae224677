"""How every question of the study loads handwritten digits."""

from typing import NamedTuple

from jax import Array

from jaxnotes import datasets


class Digits(NamedTuple):
    """Digits in three sets, each (images, labels); no digit is in two of them."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]


def load(validation: int = 2000, *, flat: bool = True, side: int = 14) -> Digits:
    """Returns MNIST as all questions use it: 8,000 digits to train and to validate, 2,000 to test.

    Args:
      validation: how many of the 8,000 are held out to choose learning rates by; they are always the same ones.
      flat: vectors [n, side * side]; otherwise images [n, side, side, 1].
      side: 28 for the digits as they are, 14 for their means over 2 × 2 pixels.

    Returns:
      float32 images and int32 labels. The images have the mean of all of MNIST's training pixels, 0.1307, taken off and are
      divided by the standard deviation of these, 0.3081; the means over 2 × 2 pixels thus have a variance of about 0.83.

    Raises:
      ValueError: a side other than 14 and 28, or fewer than 0 or all of the 8,000 held out.
    """
    whole = datasets.mnist()
    labels = whole.train_labels
    if side not in (14, 28):
        raise ValueError(f"side is {side}; it must be 14 or 28")
    if not 0 <= validation < len(labels):
        raise ValueError(f"validation is {validation}; it must lie between 0 and {len(labels) - 1}")

    def prepared(images: Array) -> Array:
        vectors = datasets.standardise(datasets.halved(images) if side == 14 else images)
        return vectors if flat else vectors.reshape(-1, side, side, 1)

    images, n_train = prepared(whole.train_images), len(labels) - validation
    return Digits(
        train=(images[:n_train], labels[:n_train]),
        validation=(images[n_train:], labels[n_train:]),
        test=(prepared(whole.test_images), whole.test_labels),
    )
