"""Pooling: what each kind computes, what it saves, what it keeps, and what it does to generalisation and to shifts."""

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
from jax import Array

from experiments.pooling.cost import cost, parameters, speed
from experiments.pooling.learned import learned
from experiments.pooling.overfitting import overfitting
from experiments.pooling.settings import Pooling
from experiments.study.measurement import Evidence, Measurement, exact, interval
from experiments.study.topic import Topic
from jaxnotes.layers.pooling import average_pool, global_average_pool, global_max_pool, max_pool

WINDOWS = {"two": 2, "three": 3}
_max_pool = jax.jit(max_pool, static_argnames=("window", "padding"))
_average_pool = jax.jit(average_pool, static_argnames=("window", "stride", "padding", "count_padding"))


def definitions(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """pooling.max, pooling.average and pooling.global on random maps, against NumPy in float64."""
    shape = (settings.seeds, settings.maps, settings.map_size, settings.map_size, 2)
    maps = jax.random.normal(key, shape)
    return {
        "pooling.max": _maximum(maps),
        "pooling.average": _average(maps),
        "pooling.global": _global(maps),
    }


def _by_numpy(x: Array | np.ndarray, size: int, reduce: Callable) -> np.ndarray:
    """Returns windows without overlap, reduced in float64."""
    n, height, width, channels = x.shape
    windows = np.asarray(x, np.float64).reshape(n, height // size, size, width // size, size, channels)
    return reduce(windows, axis=(2, 4))


def _maximum(maps: Array) -> Evidence:
    x, measurements = np.asarray(maps[0]), []
    for name, size in WINDOWS.items():
        pooled = _max_pool(x, size)
        difference = np.abs(np.asarray(pooled, np.float64) - _by_numpy(x, size, np.max)).max()
        gradient = jax.jit(jax.grad(lambda x, size=size: max_pool(x, size).sum()))(x)
        reached = _by_numpy(np.asarray(gradient) != 0, size, np.sum)
        source = f"{size}×{size} windows of {len(x)} random maps, against NumPy in float64"
        measurements.append(exact(f"difference-{name}", difference, prediction=0, source=source))
        cells = f"cells per {size}×{size} window that the gradient reaches, mean"
        measurements.append(exact(f"gradient-cells-{name}", reached.mean(), unit="cells", prediction=1, source=cells))
    negative = -np.abs(np.asarray(x[:, :-1, :-1])) - 1
    share = np.mean(np.asarray(_max_pool(negative, 2, padding="SAME")) > negative.max())
    source = "windows at a padded border of a negative map whose maximum is a padded cell"
    measurements.append(exact("padding-share", share, unit="of the windows", prediction=0, source=source))
    return Evidence(tuple(measurements), _pictures(x))


def _pictures(x: Array) -> dict[str, np.ndarray]:
    """Returns a 12×12 corner of one map, and its pools."""
    corner = x[:1, :12, :12, :1]
    pools = {"map": corner} | {f"max-{size}": _by_numpy(corner, size, np.max) for size in WINDOWS.values()}
    return {name: np.asarray(pool[0, ..., 0]) for name, pool in pools.items()}


def _average(maps: Array) -> Evidence:
    x, measurements = np.asarray(maps[0]), []
    for name, size in WINDOWS.items():
        error = np.abs(np.asarray(_average_pool(x, size), np.float64) - _by_numpy(x, size, np.mean)).max()
        source = f"{size}×{size} windows, largest difference from NumPy in float64"
        measurements.append(exact(f"error-{name}", error, prediction=0, source=source))
    pair = np.asarray([1, 2], np.float32).reshape(1, 2, 1)
    for name, counted in (("uncounted", False), ("counted", True)):
        last = np.asarray(_average_pool(pair, 2, stride=1, padding="SAME", count_padding=counted))[0, 1, 0]
        source = f"second mean of [1, 2], window 2, stride 1, SAME, padded cell {name}"
        measurements.append(exact(f"border-{name}", last, prediction=1 if counted else 2, source=source))
    peak = np.zeros((1, 4, 4, 1), np.float32)
    peak[0, 1, 1, 0] = 1
    spike = np.asarray(_average_pool(peak, 2)).max()
    pooled = {
        name: np.asarray(jax.jit(jax.vmap(partial(pool, window=2)))(maps), np.float64)
        for name, pool in (("", average_pool), ("max-", max_pool))
    }
    noise = pooled[""].var(axis=(1, 2, 3, 4))
    largest = np.asarray(maps).max(axis=(1, 2, 3, 4))
    extremes = {name: values.max(axis=(1, 2, 3, 4)) / largest for name, values in pooled.items()}
    measurements += [
        exact("spike", spike, unit="of its height", prediction=0.25, source="a single cell of 1 behind 2×2 means: 1/k²"),
        interval("noise-variance", noise, prediction=0.25, source="variance of unit noise behind 2×2 means: 1/k²"),
        *(
            interval(f"{name}extreme-ratio", values, source=f"largest value behind 2×2 {name or 'average-'}pooling over before")
            for name, values in extremes.items()
        ),
    ]
    edges = np.linspace(-3.5, 4.5, 65)
    counts = {
        name: np.histogram(np.asarray(values), edges, density=True)[0]
        for name, values in (("map", x), ("average", pooled[""]), ("max", pooled["max-"]))
    }
    return Evidence(tuple(measurements), {"edges": edges} | counts)


def _global(maps: Array) -> Evidence:
    x = np.asarray(maps[0])
    measurements, arrays = [], {}
    for name, pool, reduce in (("max", global_max_pool, np.max), ("average", global_average_pool, np.mean)):
        values = np.asarray(jax.jit(pool)(x))
        per_channel = values.size / (x.shape[0] * x.shape[-1])
        difference = np.abs(values.astype(np.float64) - reduce(x.astype(np.float64), axis=(1, 2)))
        rolled = np.stack([np.roll(x, (shift, -shift), (1, 2)) for shift in range(1, 5)])
        shifted = np.asarray(jax.jit(jax.vmap(pool))(rolled))
        kind, shapes = "difference" if name == "max" else "error", f"shape {values.shape} of {x.shape}"
        change = np.abs(shifted - values[None]).max()
        measurements += [
            exact(f"values-per-channel-{name}", per_channel, unit="values", prediction=1, source=shapes),
            exact(f"{kind}-{name}", difference.max(), prediction=0, source="largest, from NumPy in float64"),
            exact(f"shift-change-{name}", change, prediction=0, source="largest change under circular shifts of 1 to 4 cells"),
        ]
        corners = jax.jit(lambda x, pool=pool: [pool(x[:, :size, :size])[:, 0] for size in _sides(x.shape[1])])
        spread = np.asarray(corners(x), np.float64).T
        arrays |= {f"mean-{name}": spread.mean(0), f"deviation-{name}": spread.std(0)}
    return Evidence(_in_rule_order(measurements), arrays | {"sides": np.asarray(_sides(x.shape[1]))})


def _sides(largest: int) -> list[int]:
    return [size for size in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32) if size <= largest]


def _in_rule_order(measurements: list[Measurement]) -> tuple[Measurement, ...]:
    """Returns the measurements with the same quantity of both kinds side by side."""
    return tuple(measurements[i + offset] for i in range(3) for offset in (0, 3))


TOPIC = Topic("pooling", Pooling, (cost, parameters, speed, definitions, overfitting, learned), edition=4)
