"""Digits with noise, with a part hidden, and shifted; and how much of what a classifier recognises survives it."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from experiments.pooling.settings import Pooling
from experiments.study.occlusion import window

EMPTY = -0.1307 / 0.3081  # a pixel without ink


def described(settings: Pooling) -> dict[str, str]:
    """Returns what is done to the digits, in words, by its name."""
    return {
        "shift": f"shift by {settings.robust_shift} pixels, mean over four directions",
        "noise": f"normal noise of deviation {settings.noise:g} on every pixel",
        "hidden": f"a patch of {settings.patch}×{settings.patch} pixels empty, at random places",
    }


def changed(settings: Pooling, images: Array, key: Array) -> dict[str, Array]:
    """Returns [changes, n, height, width, 1] of images [n, height, width, 1], by what is done to them."""
    key_noise, key_places = jax.random.split(key)
    return {
        "shift": shifted(images, settings.robust_shift),
        "noise": images[None] + settings.noise * jax.random.normal(key_noise, (1, *images.shape)),
        "hidden": hidden(images, settings.patch, key_places)[None],
    }


def shifted(images: Array, pixels: int) -> Array:
    """Returns [4, n, …] the images rolled by some pixels to the right, left, bottom and top."""
    return jnp.stack([jnp.roll(images, sign * pixels, axis) for axis in (2, 1) for sign in (1, -1)])


def hidden(images: Array, patch: int, key: Array) -> Array:
    """Returns the images, each with a square of its own without ink."""
    n, *sides, _ = images.shape
    rows, columns = (window(key_side, n, side, patch) for key_side, side in zip(jax.random.split(key), sides, strict=True))
    return jnp.where((rows[:, :, None] & columns[:, None, :])[..., None], EMPTY, images)


def kept(outputs: Callable[[Array], Array], images: Array, labels: Array, right: Array) -> Array:
    """Returns the share of right answers that stay right, the mean over several changes of the images.

    Args:
      outputs: the classifier, from images to logits.
      images: [changes, n, height, width, 1].
      labels: [n].
      right: [n] whether the classifier recognises the image as it is.
    """
    stays = jax.lax.map(lambda x: (outputs(x).argmax(-1) == labels) & right, images)
    return stays.sum() / (right.sum() * len(images))
