"""What maps hold after pooling: linear read-outs of class and position, and how much a shift decorrelates them."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.pooling.settings import Pooling
from experiments.study.measurement import Evidence, interval
from jaxnotes import datasets
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.pooling import average_pool, blur_pool, max_blur_pool, max_pool

SIDE = 14
WINDOWS = (1, 2, 4, 7, 14)
LARGEST_SHIFT = 2
CLASSES = 10
RIDGES = (1e-3, 1e-2, 1e-1)  # of the mean squared feature norm
POOLS = {
    "none": lambda h: h,
    "stride": lambda h: h[:, ::2, ::2],
    "max": partial(max_pool, window=2),
    "average": partial(average_pool, window=2),
    "blur": partial(blur_pool, padding="CIRCULAR"),
    "max-blur": partial(max_blur_pool, window=2, padding="CIRCULAR"),
}
# 1 - correlation of a white map's pools before and after a shift by one cell: from the filter's autocorrelation at lag 1.
WHITE = {"none": 1.0, "stride": 1.0, "average": 0.5, "blur": 1 / 3}
MAP_SHIFTS = (1, 2, 3, 4)


def features(settings: Pooling, filters: dict, data: datasets.Dataset, key: Array) -> Evidence:
    """pooling.features: ridge read-outs of class and position from a trained first layer's pooled map.

    Args:
      filters: {"weight": [seeds, …], "bias": [seeds, …]} of the first convolution of networks trained without pooling.
    """
    study = jax.jit(lambda keys, filters, data: jax.lax.map(lambda both: _read_outs(settings, *both, data), (keys, filters)))
    seeds = len(filters["bias"])
    results = {name: np.asarray(v) for name, v in study(jax.random.split(key, seeds), filters, data).items()}
    plain = results["max-1"]
    measurements = []
    for name, label in (("max", "max-2"), ("average", "average-2"), ("subsampled", "subsampled-2")):
        measurements += _changes(name, results[label] - plain, "2×2 windows")
    for name in ("max", "average"):
        measurements += _changes(f"{name}-global", results[f"{name}-{SIDE}"] - plain, "one window over the whole map")
    measurements += [
        interval("class-none", plain[:, 0], unit="fraction", source="test accuracy of a linear read-out of the whole map"),
        interval("place-none", plain[:, 1], unit="of the variance", source="R² of a shift by up to 2 pixels, read linearly"),
    ]
    return Evidence(tuple(measurements), results | {"windows": np.asarray(WINDOWS)})


def _changes(name: str, change: np.ndarray, windows: str) -> list:
    what = f"{windows} minus no pooling"
    return [
        interval(f"class-change-{name}", change[:, 0], unit="fraction", source=f"test accuracy of a linear read-out: {what}"),
        interval(f"place-change-{name}", change[:, 1], unit="of the variance", source=f"R² of the digit's shift: {what}"),
    ]


def _read_outs(settings: Pooling, key: Array, filters: dict, data: datasets.Dataset) -> dict[str, Array]:
    """[accuracy, R²] of each pool and window on digits that are shifted at random."""
    of_train, of_test, of_subset = jax.random.split(key, 3)
    chosen = jax.random.permutation(of_subset, len(data.train_labels))[: 2 * settings.train_examples]
    both = _shifted(of_train, data.train_images[chosen]), _shifted(of_test, data.test_images)
    images, shifts = (jnp.concatenate(parts) for parts in zip(*both, strict=True))
    labels = jnp.concatenate([data.train_labels[chosen], data.test_labels])
    targets = jnp.concatenate([jax.nn.one_hot(labels, CLASSES), shifts], 1)
    maps = relu(convolution(filters, images))
    pools = {f"max-{n}": _by_axis(max_pool, n) for n in WINDOWS}
    pools |= {f"average-{n}": _by_axis(average_pool, n) for n in WINDOWS[1:]}
    pools |= {"subsampled-2": POOLS["stride"]}
    n = settings.train_examples
    products = jnp.stack([_products(pool(maps).reshape(len(maps), -1), n) for pool in pools.values()])
    return dict(zip(pools, jax.lax.map(lambda of_pool: _ridge(of_pool, targets, n), products), strict=True))


def _by_axis(pool: Callable, size: int) -> Callable:
    """The pool of square windows over one axis after the other, whose program is far smaller for large windows."""
    return lambda h: pool(pool(h, window=(size, 1), padding="SAME"), window=(1, size), padding="SAME")


def _shifted(key: Array, images: Array) -> tuple[Array, Array]:
    """Images rolled by up to LARGEST_SHIFT pixels along both axes, and the shifts [n, 2]; the margin is empty."""
    shifts = jax.random.randint(key, (len(images), 2), -LARGEST_SHIFT, LARGEST_SHIFT + 1)
    return jax.vmap(lambda image, shift: jnp.roll(image, shift, (0, 1)))(images, shifts), shifts.astype(jnp.float32)


def _products(x: Array, n: int) -> Array:
    """[rows, n] inner products of all rows of x with the first n, about the mean of those."""
    x = x - x[:n].mean(0, keepdims=True)
    return x @ x[:n].T


def _ridge(products: Array, targets: Array, n: int) -> Array:
    """[accuracy, R²] on the test set of the ridge regression of the first n rows that is best on the n after them.

    Args:
      products: [rows, n] of the features, see `_products`: they are all that the regression needs, and of one shape for all.
      targets: [rows, classes and shifts]; the rows after the first 2n are the test set.
    """
    centre = targets[:n].mean(0, keepdims=True)
    gram = products[:n]
    scale = jnp.trace(gram) / n

    def scores(ridge: Array) -> Array:
        dual = jax.scipy.linalg.solve(gram + ridge * scale * jnp.eye(n), targets[:n] - centre, assume_a="pos")
        predicted = products[n:] @ dual + centre
        return jnp.stack([_score(predicted[rows], targets[n:][rows]) for rows in (slice(n), slice(n, None))])

    tried = jax.lax.map(scores, jnp.asarray(RIDGES))  # [ridges, validation or test, accuracy or R²]
    return jnp.stack([tried[tried[:, 0, which].argmax(), 1, which] for which in (0, 1)])


def _score(predicted: Array, targets: Array) -> Array:
    right = predicted[:, :CLASSES].argmax(1) == targets[:, :CLASSES].argmax(1)
    place, truth = predicted[:, CLASSES:], targets[:, CLASSES:]
    return jnp.stack([jnp.mean(right, dtype=jnp.float32), 1 - jnp.mean((place - truth) ** 2) / truth.var()])


def map_changes(settings: Pooling, data: datasets.Dataset, key: Array) -> Evidence:
    """How much a shift decorrelates one layer's pooled map: random convolutions of digits, and white noise."""

    @jax.jit
    def study(keys: Array, images: Array) -> tuple[dict, dict]:
        return jax.lax.map(lambda k: _decorrelations(settings, k, images), keys)

    of_digits, of_noise = jax.tree.map(np.asarray, study(jax.random.split(key, settings.seeds), data.test_images))
    shift = "1 − correlation of the pooled map before and after a shift by one cell"
    measurements = [
        interval(f"map-change-{name}", values[:, 0], source=f"{shift}: random 3×3 convolution and ReLU of digits")
        for name, values in of_digits.items()
    ]
    measurements += [
        interval(
            f"white-change-{name}", values[:, 0], prediction=WHITE.get(name), source=f"{shift}: white noise; autocorrelation"
        )
        for name, values in of_noise.items()
    ]
    arrays = {f"digits-{name}": values for name, values in of_digits.items()}
    return Evidence(tuple(measurements), arrays | {"shifts": np.asarray(MAP_SHIFTS)})


def _decorrelations(settings: Pooling, key: Array, images: Array) -> tuple[dict, dict]:
    of_filters, of_images, of_noise = jax.random.split(key, 3)
    params = convolution_init(of_filters, 1, settings.channels[0], (3, 3))
    chosen = jax.random.choice(of_images, len(images), (settings.maps,), replace=False)
    maps = relu(convolution(params, images[chosen], padding="CIRCULAR"))
    both = jnp.stack([maps, jax.random.normal(of_noise, maps.shape)])
    changes = jax.lax.map(lambda h: {name: _decorrelation(pool, h) for name, pool in POOLS.items()}, both)
    return tuple({name: values[i] for name, values in changes.items()} for i in (0, 1))


def _decorrelation(pool: Callable, h: Array) -> Array:
    """[shifts] mean squared change over twice the variance, each channel about its own mean, both axes."""
    shifts = jnp.asarray([(0, 0)] + [shift for s in MAP_SHIFTS for shift in ((s, 0), (0, s))])
    pooled = jax.lax.map(lambda shift: pool(jnp.roll(h, shift, (1, 2))), shifts)
    twice = 2 * jnp.mean(pooled[0].var((0, 1, 2)))
    changes = jnp.mean((pooled[1:] - pooled[0]) ** 2, (1, 2, 3, 4)) / twice
    return changes.reshape(-1, 2).mean(1)
