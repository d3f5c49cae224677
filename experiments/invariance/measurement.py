"""Translation invariance: what moves and what stays when the input is shifted, and what networks make of it."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.invariance.canvas import networks_on_canvas
from experiments.invariance.sequences import generalisation
from experiments.invariance.settings import Invariance
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.pooling import global_average_pool, max_pool


def relative(a: Array, b: Array) -> Array:
    """Returns ‖a − b‖ / ‖b‖."""
    return jnp.linalg.norm((a - b).ravel()) / jnp.linalg.norm(b.ravel())


def _start(settings: Invariance, key: Array) -> tuple[Array, dict, dict]:
    """Returns images, and the parameters of two convolutions on top of one another."""
    key_input, *keys_params = jax.random.split(key, 3)
    n = settings.features
    x = jax.random.normal(key_input, (settings.batch, settings.size, settings.size, 2), jnp.float64)
    one, two = (convolution_init(k, a, n, (3, 3), dtype=jnp.float64) for k, a in zip(keys_params, (2, n), strict=True))
    return x, one, two


def definition(settings: Invariance, key: Array) -> dict[str, Evidence]:
    """invariance.definition: a network that has it exactly, one that has not, and the map in between, which moves along."""

    def of_seed(key: Array) -> dict[str, Array]:
        key_stack, key_dense = jax.random.split(key)
        x, one, two = _start(settings, key_stack)
        dense = linear_init(key_dense, settings.size**2 * 2, 10, dtype=jnp.float64)
        features = lambda x: relu(convolution(two, relu(convolution(one, x, padding="CIRCULAR")), padding="CIRCULAR"))
        flat = lambda x: linear(dense, x.reshape(len(x), -1))
        moved = lambda h, s: jnp.roll(h, (s, s), (1, 2))
        # One program for all shifts: 0 among them, so that the others are compared with what it makes of that.
        maps, outputs = jax.lax.map(lambda s: (features(moved(x, s)), flat(moved(x, s))), jnp.arange(settings.size // 2))
        changes = lambda found: jax.vmap(relative, (0, None))(found[1:], found[0])
        along = jax.vmap(moved, (None, 0))(maps[0], jnp.arange(1, settings.size // 2))
        return {
            "exact": changes(jax.vmap(global_average_pool)(maps)),
            "map": changes(maps),
            "dense": changes(outputs),
            "equivariance": jax.vmap(relative)(maps[1:], along),
        }

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    relative_change = "largest relative change of the output over diagonal shifts, circular"
    measurements = (
        interval(
            "change-exact", found["exact"].max(1), prediction=0, source=f"circular convolutions, global mean: {relative_change}"
        ),
        interval("change-dense", found["dense"].max(1), source=f"a dense layer: {relative_change}"),
        interval("change-map", found["map"].max(1), source=f"the convolutions' map: {relative_change}"),
        interval(
            "equivariance-exact", found["equivariance"].max(1), prediction=0, source="map of the moved input against moved map"
        ),
    )
    arrays = {"shifts": np.arange(1, settings.size // 2)}
    for name in ("exact", "map", "dense", "equivariance"):
        arrays |= curve(name, np.log10(np.maximum(found[name], 1e-17)))
    return {"invariance.definition": Evidence(measurements, arrays)}


def equivariance(settings: Invariance, key: Array) -> dict[str, Evidence]:
    """invariance.convolution: moving before against moving after one convolution, by padding, stride and shift."""
    shifts = tuple(range(5))

    def of_seed(key: Array) -> dict[str, Array]:
        x, one, _ = _start(settings, key)
        found = {}
        for name, padding, stride in (("circular", "CIRCULAR", 1), ("zeros", "SAME", 1), ("stride", "CIRCULAR", 2)):
            f = partial(convolution, one, stride=stride, padding=padding)
            moved = jax.lax.map(lambda s, f=f: f(jnp.roll(x, s, 2)), jnp.asarray(shifts))
            after = jnp.stack([jnp.roll(moved[0], s // stride, 2) for s in shifts])
            found[name] = jax.vmap(relative)(moved, after)
            if name == "zeros":  # away from the border and from what wrapped around
                inside = slice(max(shifts) + 1, -max(shifts) - 1)
                found["zeros-inside"] = jax.vmap(relative)(moved[:, :, :, inside], after[:, :, :, inside])
            if name == "circular":
                found["change"] = jax.vmap(relative, (0, None))(moved, moved[0])
        return found

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    what = "‖f(moved x) − moved f(x)‖ / ‖f(x)‖"
    measurements = (
        interval("error-circular", found["circular"].max(1), prediction=0, source=f"{what}, circular padding, stride 1"),
        interval("error-zeros", found["zeros"][:, 1], source=f"{what}, zeros at the border, stride 1, shift 1"),
        interval("error-zeros-inside", found["zeros-inside"].max(1), prediction=0, source=f"{what}, away from the border"),
        interval(
            "error-stride-odd", found["stride"][:, 1], source=f"{what}, circular, stride 2, shift 1, the output not moved"
        ),
        interval("error-stride-even", found["stride"][:, 2], prediction=0, source=f"{what}, circular, stride 2, shift 2"),
        interval("change-circular", found["change"][:, 1], source="‖f(moved x) − f(x)‖ / ‖f(x)‖, circular, stride 1, shift 1"),
    )
    arrays = {"shifts": np.asarray(shifts)}
    for name, values in found.items():
        arrays |= curve(name, np.maximum(values, 1e-17))
    return {"invariance.convolution": Evidence(measurements, arrays)}


def trained(settings: Invariance, key: Array) -> dict[str, Evidence]:
    """What networks trained on digits make of shifts, and what max pooling leaves unchanged."""
    key_digits, key_maxima = jax.random.split(key)
    found = networks_on_canvas(settings, key_digits)
    noise, pooled = maxima(settings, key_maxima), found["invariance.max-pool"]
    measurements = (*noise.measurements, *pooled.measurements)
    return found | {"invariance.max-pool": dataclasses.replace(pooled, measurements=measurements, arrays=noise.arrays)}


def maxima(settings: Invariance, key: Array) -> Evidence:
    """What a shift does to the maxima of noise: in windows whose maximum stays, and the share of all that keep theirs."""

    def of_seed(key: Array) -> dict[str, Array]:
        x = jax.random.normal(key, (settings.noise_maps, 24, 24, 1))
        before = max_pool(x, 2)
        shares = [jnp.mean(max_pool(jnp.roll(x, s, 2), 2) == before, dtype=jnp.float32) for s in range(4)]
        moved = jnp.roll(x, 1, 2)
        # The window's larger column is its first, and the cells that come in are smaller: its maximum stays.
        columns = x.max(3).reshape(len(x), 12, 2, 12, 2).max(2)
        incoming = moved.max(3).reshape(len(x), 12, 2, 12, 2).max(2)[..., 0]
        stays = (columns[..., 0] > columns[..., 1]) & (columns[..., 0] > incoming)
        change = jnp.where(stays, jnp.abs(max_pool(moved, 2)[..., 0] - before[..., 0]), 0.0)
        return {"inside": change.max(), "share": jnp.stack(shares)}

    found = over_seeds(of_seed, key, settings.seeds)
    law = "2 of the 6 cells that either window sees are in both, so a third; 2×2 windows of unit noise, shift 1"
    measurements = (
        interval("change-inside", found["inside"], prediction=0, source="largest change where the maximum stays in its window"),
        interval("share-unchanged", found["share"][:, 1], unit="of the windows", prediction=1 / 3, source=law),
    )
    return Evidence(measurements, {"shifts": np.arange(4)} | curve("share", found["share"]))


TOPIC = Topic("invariance", Invariance, (definition, equivariance, trained, generalisation), edition=4)
