"""What maps hold after pooling: linear read-outs of class and position, and how much a shift decorrelates them."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.pooling.settings import CLASSES, Pooling
from experiments.study import digits
from experiments.study.measurement import Measurement, interval
from experiments.study.seeds import over_seeds
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.pooling import average_pool, blur_pool, max_blur_pool, max_pool

SIDE = 14
WINDOWS = (1, 2, 4, 7, 14)
LARGEST_SHIFT = 2
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


def features(
    settings: Pooling, filters: dict, data: digits.Digits, key: Array
) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns pooling.features: ridge read-outs of class and position from a trained first layer's pooled map.

    Args:
      settings: of the topic.
      filters: {"weight": [seeds, …], "bias": [seeds, …]} of the first convolution of networks trained without pooling.
      data: images [n, 14, 14, 1].
      key: random key.
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
    return measurements, results | {"windows": np.asarray(WINDOWS)}


def _changes(name: str, change: np.ndarray, windows: str) -> list[Measurement]:
    what = f"{windows} minus no pooling"
    return [
        interval(f"class-change-{name}", change[:, 0], unit="fraction", source=f"test accuracy of a linear read-out: {what}"),
        interval(f"place-change-{name}", change[:, 1], unit="of the variance", source=f"R² of the digit's shift: {what}"),
    ]


def _read_outs(settings: Pooling, key: Array, filters: dict, data: digits.Digits) -> dict[str, Array]:
    """Returns [accuracy, R²] of each pool and window on digits that are shifted at random."""
    key_digits, *keys_shifts = jax.random.split(key, 4)
    n = settings.read_examples
    chosen = jax.random.choice(key_digits, len(data.train[1]), (n,), replace=False)
    sets = ((data.train[0][chosen], data.train[1][chosen]), data.validation, data.test)
    moved = [shifted(key_shifts, images) for key_shifts, (images, _) in zip(keys_shifts, sets, strict=True)]
    images, shifts = (jnp.concatenate(parts) for parts in zip(*moved, strict=True))
    labels = jnp.concatenate([labels for _, labels in sets])
    targets = jnp.concatenate([jax.nn.one_hot(labels, CLASSES), shifts], 1)
    maps = relu(convolution(filters, images))
    pools = {f"max-{side}": by_axis(max_pool, side) for side in WINDOWS}
    pools |= {f"average-{side}": by_axis(average_pool, side) for side in WINDOWS[1:]}
    pools |= {"subsampled-2": POOLS["stride"]}
    stacked = jnp.stack([products(pool(maps).reshape(len(maps), -1), n) for pool in pools.values()])
    validation = len(data.validation[1])
    return dict(zip(pools, jax.lax.map(lambda found: ridge(found, targets, n, validation), stacked), strict=True))


def by_axis(pool: Callable, size: int) -> Callable:
    """Returns the pool of square windows, taken over one axis after the other: a far smaller program for large windows."""
    return lambda h: pool(pool(h, window=(size, 1), padding="SAME"), window=(1, size), padding="SAME")


def shifted(key: Array, images: Array) -> tuple[Array, Array]:
    """Returns images rolled by up to LARGEST_SHIFT pixels along both axes, and the shifts [n, 2]; the margin is empty."""
    shifts = jax.random.randint(key, (len(images), 2), -LARGEST_SHIFT, LARGEST_SHIFT + 1)
    return jax.vmap(lambda image, shift: jnp.roll(image, shift, (0, 1)))(images, shifts), shifts.astype(jnp.float32)


def products(x: Array, n: int) -> Array:
    """Returns [rows, n] inner products of all rows of x with the first n, about the mean of those."""
    x = x - x[:n].mean(0, keepdims=True)
    return x @ x[:n].T


def ridge(found: Array, targets: Array, n: int, validation: int) -> Array:
    """Returns [accuracy, R²] on the test rows of the ridge regression of the first n rows that is best on the validation rows.

    Args:
      found: [rows, n] `products` of the features: they are all that the regression needs, and of one shape for all maps.
      targets: [rows, classes and shifts].
      n: rows to fit.
      validation: rows after them by which the penalty is chosen; the others are the test set.
    """
    centre = targets[:n].mean(0, keepdims=True)
    gram = found[:n]
    scale = jnp.trace(gram) / n

    def scores(penalty: Array) -> Array:
        dual = jax.scipy.linalg.solve(gram + penalty * scale * jnp.eye(n), targets[:n] - centre, assume_a="pos")
        predicted = found[n:] @ dual + centre
        return jnp.stack([score(predicted[rows], targets[n:][rows]) for rows in (slice(validation), slice(validation, None))])

    tried = jax.lax.map(scores, jnp.asarray(RIDGES))  # [penalties, validation or test, accuracy or R²]
    return jnp.stack([tried[tried[:, 0, which].argmax(), 1, which] for which in (0, 1)])


def score(predicted: Array, targets: Array) -> Array:
    """Returns [accuracy of the classes, R² of the shifts]."""
    right = predicted[:, :CLASSES].argmax(1) == targets[:, :CLASSES].argmax(1)
    place, truth = predicted[:, CLASSES:], targets[:, CLASSES:]
    return jnp.stack([jnp.mean(right, dtype=jnp.float32), 1 - jnp.mean((place - truth) ** 2) / truth.var()])


def map_changes(settings: Pooling, images: Array, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns how much a shift decorrelates one layer's pooled map: random convolutions of digits, and white noise."""
    found = over_seeds(lambda key: _decorrelations(settings, key, images), key, settings.seeds)
    shift = "1 − correlation of the pooled map before and after a shift by one cell"
    of_digits, of_noise = (
        f"{shift}: {what}" for what in ("random 3×3 convolution and ReLU of digits", "white noise; autocorrelation")
    )
    measurements = [interval(f"map-change-{name}", values[:, 0, 0], source=of_digits) for name, values in found.items()]
    measurements += [
        interval(f"white-change-{name}", values[:, 1, 0], prediction=WHITE.get(name), source=of_noise)
        for name, values in found.items()
    ]
    arrays = {f"digits-{name}": values[:, 0] for name, values in found.items()}
    return measurements, arrays | {"shifts": np.asarray(MAP_SHIFTS)}


def _decorrelations(settings: Pooling, key: Array, images: Array) -> dict[str, Array]:
    """Returns [digits or noise, shifts] of each pool."""
    key_filters, key_images, key_noise = jax.random.split(key, 3)
    params = convolution_init(key_filters, 1, settings.channels[0], (3, 3))
    chosen = jax.random.choice(key_images, len(images), (settings.maps,), replace=False)
    maps = relu(convolution(params, images[chosen], padding="CIRCULAR"))
    both = jnp.stack([maps, jax.random.normal(key_noise, maps.shape)])
    return jax.lax.map(lambda h: {name: decorrelation(pool, h) for name, pool in POOLS.items()}, both)


def decorrelation(pool: Callable, h: Array) -> Array:
    """Returns [shifts] mean squared change over twice the variance, each channel about its own mean, over both axes."""
    shifts = jnp.asarray([(0, 0)] + [shift for s in MAP_SHIFTS for shift in ((s, 0), (0, s))])
    pooled = jax.lax.map(lambda shift: pool(jnp.roll(h, shift, (1, 2))), shifts)
    twice = 2 * jnp.mean(pooled[0].var((0, 1, 2)))
    changes = jnp.mean((pooled[1:] - pooled[0]) ** 2, (1, 2, 3, 4)) / twice
    return changes.reshape(-1, 2).mean(1)
