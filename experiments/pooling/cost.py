"""What pooling saves: operations, bytes and memory of the layers behind it, parameters, and the time of a training step."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.pooling.settings import CLASSES, Pooling
from experiments.study.measurement import Evidence, exact, interval
from experiments.study.tuning import adam
from jaxnotes import training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.pooling import max_pool
from jaxnotes.models.convolutional import convolutional, convolutional_init

IMAGE, CHANNELS = (28, 28, 1), (16, 32)
QUANTITIES = ("operations", "bytes", "memory")
ARMS = ("none", "max")
HEADS = ("flatten", "average")
RATE = 1e-3


def cost(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """pooling.cost: operations, bytes and memory of what stands behind a pool, as XLA counts them. Nothing is random."""
    del key
    sizes = sorted({size for full in settings.cost_sizes for size in (full, full // 2)})
    layers = np.asarray([_layer_cost(settings, size) for size in sizes])
    full, half = (sizes.index(size) for size in (max(settings.cost_sizes), max(settings.cost_sizes) // 2))
    operations, traffic = (layers[half, i] / layers[full, i] for i in (0, 1))
    whole = jax.ShapeDtypeStruct((1, sizes[full], sizes[full], 1), jnp.float32)
    cells = jax.eval_shape(partial(max_pool, window=2), whole).size / whole.size
    law = layer_bytes(settings.cost_batch, sizes[half]) / layer_bytes(settings.cost_batch, sizes[full])
    at = f"3×3 convolution, 16 to 32 channels, of the map of {sizes[half]}² cells over that of {sizes[full]}²"
    measurements = [
        exact("map-ratio", cells, unit="of the cells", prediction=0.25, source="2×2 windows"),
        exact("operations-ratio-layer", operations, prediction=0.25, source=f"floating-point operations: {at}"),
        exact("bytes-ratio-layer", traffic, prediction=law, source=f"bytes read and written: {at}; law: weights and border"),
    ]
    behind = {"none": (28, 28, CHANNELS[0]), "max": (14, 14, CHANNELS[0])}
    later = {arm: _gradient_cost(arm, settings.cost_batch, image=behind[arm], channels=CHANNELS[1:]) for arm in ARMS}
    step = {arm: _gradient_cost(arm, settings.cost_batch) for arm in ARMS}
    where = f"over no pooling, forward and backward, two blocks on 28×28, batch {settings.cost_batch}, compiled"
    for part, found, what in (("later", later, "all behind the first pool"), ("step", step, "the whole network")):
        measurements += [
            exact(f"{quantity}-ratio-{part}", found["max"][i] / found["none"][i], source=f"{quantity} of {what} {where}")
            for i, quantity in enumerate(QUANTITIES)
        ]
    arrays = {"sizes": np.asarray(sizes), "layers": layers}
    return {"pooling.cost": Evidence(tuple(measurements), arrays)}


def compiled_cost(f: Callable, *arguments) -> tuple[float, float, float]:
    """Returns floating-point operations, bytes accessed and temporary bytes of a compiled function of abstract arrays."""
    compiled = jax.jit(f).lower(*arguments).compile()
    analysis = compiled.cost_analysis()
    return analysis["flops"], analysis["bytes accessed"], compiled.memory_analysis().temp_size_in_bytes


def layer_bytes(batch: int, size: int) -> float:
    """Returns what a 3×3 convolution of 16 to 32 channels must read and write in single precision, padded by one cell."""
    n_in, n_out = CHANNELS
    return 4 * (batch * ((size + 2) ** 2 * n_in + size**2 * n_out) + 9 * n_in * n_out + n_out)


def _layer_cost(settings: Pooling, size: int) -> tuple[float, float, float]:
    params = jax.eval_shape(lambda: convolution_init(jax.random.key(0), *CHANNELS, (3, 3)))
    # One cell more on each side in place of padding, which XLA counts as bytes of an operation of its own.
    x = jax.ShapeDtypeStruct((settings.cost_batch, size + 2, size + 2, CHANNELS[0]), jnp.float32)
    return compiled_cost(partial(convolution, padding="VALID"), params, x)


def _gradient_cost(
    pool: str, batch: int, *, image: tuple[int, ...] = IMAGE, channels: tuple[int, ...] = CHANNELS
) -> tuple[float, float, float]:
    """Returns the cost of the loss and its gradient by the parameters and, behind a first layer, by what it hands on."""
    params = jax.eval_shape(partial(_classifier, image=image, channels=channels, pool=pool, head="flatten"))
    images = jax.ShapeDtypeStruct((batch, *image), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
    by = 0 if image == IMAGE else (0, 1)
    return compiled_cost(jax.value_and_grad(lambda params, x, y: _loss(pool, params, (x, y)), by), params, images, labels)


def _classifier(*, image: tuple[int, ...] = IMAGE, channels: tuple[int, ...] = CHANNELS, pool: str, head: str) -> dict:
    return convolutional_init(jax.random.key(0), image, channels, CLASSES, pool=pool, head=head)


def _loss(pool: str, params: Any, batch: tuple[Array, Array]) -> Array:
    return training.cross_entropy(convolutional(params, batch[0], activation=relu, pool=pool, head="flatten"), batch[1])


def parameters(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """pooling.parameters: the parameters of two-block classifiers with and without pooling, counted."""
    del settings, key
    counts = np.asarray([[_counts(pool, head) for pool in ARMS] for head in HEADS])
    convolutions, output = counts[0, 1] / counts[0, 0]
    whole = counts.sum(-1)
    flattened, averaged = whole[:, 1] / whole[:, 0]
    over = "2×2 pooling behind both blocks over none, classifier of 28×28"
    law = np.divide(*(parameter_count(*IMAGE[:2], *CHANNELS, pools) for pools in (2, 0)))
    measurements = [
        exact("parameters-ratio-flatten", flattened, prediction=law, source=f"flattened head, {over}; law: each layer counted"),
        exact("head-ratio-flatten", output, source=f"the flattened head alone, {over}"),
        exact("parameters-ratio-convolution", convolutions, prediction=1, source=f"the convolutions alone, {over}"),
        exact("parameters-ratio-global", averaged, prediction=1, source=f"global average before the head, {over}"),
    ]
    for head, found in zip(HEADS, whole, strict=True):
        for pool, total in zip(ARMS, found, strict=True):
            measurements.append(
                exact(f"parameters-{head}-{pool}", total, unit="parameters", source=f"head {head}, pool {pool}")
            )
    return {"pooling.parameters": Evidence(tuple(measurements), {"counts": counts})}


def parameter_count(height: int, width: int, n_first: int, n_last: int, pools: int) -> int:
    """Returns the parameters of two 3×3 convolutions of a grey image and a flattened head behind `pools` halvings."""
    cells = (height >> pools) * (width >> pools)
    return (9 + 1) * n_first + (9 * n_first + 1) * n_last + (cells * n_last + 1) * CLASSES


def _counts(pool: str, head: str) -> tuple[int, int]:
    """Returns the parameters of a classifier's convolutions and those of its output layer."""
    params = jax.eval_shape(partial(_classifier, pool=pool, head=head))
    convolutions, output = (sum(leaf.size for leaf in jax.tree.leaves(params[part])) for part in ("blocks", "output"))
    return convolutions, output


def speed(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """pooling.speed: the wall time of a training step of equal channels, the two networks taking turns."""
    seconds = step_seconds(settings, key)
    medians = np.median(seconds, axis=1)  # [seeds, arms]
    ratio = np.median(seconds[..., 1] / seconds[..., 0], axis=1)
    channels, operations = settings.speed_channels, {}
    for name, pool, taken in (("none", "none", channels), ("max", "max", channels), ("doubled", "max", _doubled(channels))):
        operations[name] = _gradient_cost(pool, settings.speed_batch, channels=taken)[0]
    network = f"{len(channels)} blocks of {channels[0]} channels on 28×28, batch {settings.speed_batch}"
    pairs = f"median of {settings.speed_pairs} pairs in turn"
    measurements = [
        interval("time-ratio", ratio, source=f"wall time of an Adam step, 2×2 maxima over no pooling: {network}; {pairs}"),
        exact("operations-ratio", operations["max"] / operations["none"], source=f"operations of the same step: {network}"),
        exact(
            "operations-ratio-doubled",
            operations["doubled"] / operations["none"],
            source="operations where each pool is followed by twice the channels, over no pooling and equal channels",
        ),
        *(
            interval(f"milliseconds-{arm}", 1e3 * medians[:, i], unit="ms", source=f"a step on this machine, {arm}; {pairs}")
            for i, arm in enumerate(ARMS)
        ),
    ]
    return {"pooling.speed": Evidence(tuple(measurements), {"seconds": seconds})}


def step_seconds(settings: Pooling, key: Array) -> np.ndarray:
    """Returns [seeds, pairs, arms] seconds of a training step; a first pair of each seed, which compiles, is left out."""
    optimizer = adam(RATE, settings.speed_pairs)
    steps = {arm: training.train_step(partial(_loss, arm), optimizer) for arm in ARMS}
    seconds = np.empty((settings.speed_seeds, settings.speed_pairs + 1, len(ARMS)))
    for seed, key_seed in enumerate(jax.random.split(key, settings.speed_seeds)):
        key_params, key_images, key_labels = jax.random.split(key_seed, 3)
        images = jax.random.normal(key_images, (settings.speed_batch, *IMAGE))
        batch = images, jax.random.randint(key_labels, (settings.speed_batch,), 0, CLASSES)
        start = {
            arm: convolutional_init(key_params, IMAGE, settings.speed_channels, CLASSES, pool=arm, head="flatten")
            for arm in ARMS
        }
        states = {arm: training.init_state(params, optimizer) for arm, params in start.items()}
        for pair in range(settings.speed_pairs + 1):
            for i, arm in enumerate(ARMS):
                begun = time.perf_counter()
                states[arm], _ = jax.block_until_ready(steps[arm](states[arm], batch))
                seconds[seed, pair, i] = time.perf_counter() - begun
    return seconds[:, 1:]


def _doubled(channels: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n * 2**i for i, n in enumerate(channels))
