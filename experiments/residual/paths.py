"""The gradient by path length: the direct path, how the mean length depends on width, and which paths carry the gradient."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.residual.settings import Residual
from experiments.residual.stacks import branch, branch_stack, normalised_gains, profile, relative_curve
from experiments.study.measurement import Evidence, Measurement, curve, fraction, interval
from experiments.study.seeds import over_seeds
from jaxnotes import jacobians, meanfield
from jaxnotes.layers.activations import by_name, relu
from jaxnotes.layers.residual import depth_scale, residual

HE = 2.0
LONG = 4  # a path is long that takes at least this part, a quarter, of all branches
BRANCHES = "branches"


def by_length(f: Callable, stack, x: Array, direction: Array, scale=1.0) -> dict[str, Array]:
    """Returns what the paths of each length bring to the gradient at the first block, whose loss is Σ h_L · direction.

    shortcut: how far the path of length 0 is from the output's gradient. sum: how far all paths are from JAX's gradient,
    relative. share [depth + 1]: squared norms, as a share of their sum. longest: ln norm of the path through all branches over
    that of length 0.
    """
    vectors = jacobians.path_contributions(f, stack, x, lambda h: jnp.sum(h * direction), branch_scale=scale)

    def loss(at: Array) -> Array:
        return jnp.sum(jax.lax.scan(lambda h, p: (residual(f, p, h, branch_scale=scale), None), at, stack)[0] * direction)

    gradient, weights = jax.grad(loss)(x), jnp.sum(vectors**2, axis=(1, 2))
    return {
        "shortcut": jnp.abs(vectors[0] - direction).max(),
        "sum": jnp.linalg.norm(vectors.sum(0) - gradient) / jnp.linalg.norm(gradient),
        "share": weights / weights.sum(),
        "longest": jnp.log(weights[-1] / weights[0]) / 2,
    }


def random_stack(
    key: Array, f: Callable, *, depth: int, width: int, batch: int, branch_variance: float, scale: float = 1.0
) -> dict[str, Array]:
    """Returns `by_length` of a random stack in float64, from inputs and to a direction of N(0, 1)."""
    key_params, key_input, key_direction = jax.random.split(key, 3)
    stack = branch_stack(key_params, depth, width, branch_variance, jnp.float64)
    x, direction = (jax.random.normal(k, (batch, width), jnp.float64) for k in (key_input, key_direction))
    return by_length(f, stack, x, direction, scale)


def mean_length(share: np.ndarray) -> np.ndarray:
    """Returns the mean path length, weighted by the share of the squared gradient; lengths on the last axis."""
    return share @ np.arange(share.shape[-1])


def predicted_share(gains: np.ndarray) -> np.ndarray:
    """Returns [depth + 1] shares by path length, where a path takes a branch of squared gain χ with chance χ / (1 + χ)."""
    expected = np.ones(1)
    for chance in gains / (1 + gains):
        expected = np.convolve(expected, [1 - chance, chance])
    return expected


def path(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.path: the gradient by path length; and gradient profiles over depth with and without the shortcut."""
    key_paths, key_profiles = jax.random.split(key)
    measurements, arrays = _widths(settings, key_paths)
    arrays["depths"] = np.asarray(settings.depths)
    for depth, key_depth in zip(settings.depths, jax.random.split(key_profiles, len(settings.depths)), strict=True):
        for name, scale in (("plain", None), ("residual", 1.0)):
            log_norms = profile(settings, key_depth, depth, settings.weight_variance, scale, by_name(settings.activation))
            gains = log_gain(settings, depth, scale)
            predicted = gains[-1] / 2
            samples, unit = log_norms[:, 0] - log_norms[:, -1], "nats, first over last layer"
            source = f"sum of ½ ln gain over the layers' mean-field variances; depth over width is {depth / settings.width:.2g}"
            found = interval(f"log-ratio-{name}-{depth}", samples, unit=unit, prediction=predicted, source=source)
            measurements.append(found)
            arrays |= relative_curve(f"{name}-{depth}", log_norms, predicted - gains / 2)
    return {"residual.path": Evidence(tuple(measurements), arrays)}


def _widths(settings: Residual, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns path lengths at two widths, and at infinite width, the distance from which falls as 1/width."""
    depth, width, wide = settings.path_depth, settings.width, settings.wide
    f = branch(by_name(settings.activation))
    size = {"depth": depth, "batch": settings.batch, "branch_variance": settings.weight_variance}
    with jax.enable_x64(True):
        one, other = (
            over_seeds(lambda key, n=n: random_stack(key, f, width=n, **size), key_n, settings.seeds)
            for n, key_n in zip((width, wide), jax.random.split(key), strict=True)
        )
    gains = np.expm1(np.diff(log_gain(settings, depth, 1.0)))
    expected = predicted_share(gains)
    lengths, wider = mean_length(one["share"]), mean_length(other["share"])
    infinite = (wide * wider - width * lengths) / (wide - width)
    theory = f"Σ χ_l / (1 + χ_l) over {depth} layers; squared contributions of paths, Veit et al. (2016)"
    measurements = [
        interval("shortcut-difference", one["shortcut"], prediction=0, source="largest |length-0 path − output gradient|"),
        interval("sum-error-float64", one["sum"], prediction=0, source="sum over path lengths against jax.grad, relative"),
        interval("mean-path-length", lengths, unit=BRANCHES, source=f"width {width}"),
        interval("mean-path-length-wide", wider, unit=BRANCHES, source=f"width {wide}"),
        interval(
            "mean-path-length-infinite",
            infinite,
            unit=BRANCHES,
            prediction=mean_length(expected),
            source=f"{theory}; from both widths, the distance being in proportion to 1/width",
        ),
    ]
    return measurements, curve("share", one["share"], expected)


def log_gain(settings: Residual, depth: int, scale: float | None) -> np.ndarray:
    """Returns [depth + 1] mean-field ln of the squared gradient's gain from layer 0 on, of inputs N(0, 1).

    `scale` None: no shortcut.
    """
    activation = by_name(settings.activation)
    return meanfield.log_gradient_gain(activation, 1.0, settings.weight_variance, 0.0, depth, branch_scale=scale)


def long_paths(settings: Residual, key: Array, trained: np.ndarray) -> Evidence:
    """residual.long-paths: shares by path length of He-initialised ReLU blocks, and of trained networks.

    trained: [seeds, depth + 1] shares in networks with batch normalisation in the branch, at the end of training.
    """
    depth, scale = settings.long_depth, depth_scale(settings.long_depth)
    one, per_example = np.ones(depth), {"f": branch(relu), "batch": settings.batch}
    arms = {
        "unscaled": (per_example, one),
        "scaled": (per_example | {"scale": scale}, one * scale**2),
        "normalised": (
            {"f": branch(relu, normalised=True), "batch": settings.normalised_batch},
            normalised_gains(HE, depth),
        ),
    }
    measurements, arrays = [], {}
    size = {"depth": depth, "width": settings.long_width, "branch_variance": HE}
    for name, (options, gains) in arms.items():
        with jax.enable_x64(True):
            found = over_seeds(partial(random_stack, **options, **size), key, settings.seeds)
        expected = predicted_share(gains)
        measurements += _lengths(name, found["share"], expected)
        source = f"½ Σ ln χ_l over all {depth} branches: what a plain network of these branches passes"
        longest = np.log(gains).sum() / 2
        measurements.append(interval(f"longest-{name}", found["longest"], unit="nats", prediction=longest, source=source))
        arrays |= curve(f"share-{name}", found["share"], expected)
    counted = np.exp(jacobians.log_path_counts(depth) - depth * np.log(2))
    arrays["share-counted"] = counted
    return Evidence((*measurements, *_lengths("trained", trained)), arrays | curve("share-trained", trained))


def _lengths(name: str, share: np.ndarray, expected: np.ndarray | None = None) -> list[Measurement]:
    """Returns the mean path length, and the share of the squared gradient that long paths carry."""
    depth = share.shape[-1] - 1
    first = -(-depth // LONG)
    long = np.clip(share[:, first:].sum(-1), 0, 1)
    of = f"{depth} blocks"
    return [
        interval(
            f"length-{name}",
            mean_length(share),
            unit=BRANCHES,
            prediction=None if expected is None else mean_length(expected),
            source=f"weighted by the squared gradient, of {of}; Σ χ_l / (1 + χ_l)",
        ),
        fraction(
            f"long-share-{name}",
            long,
            unit="of the squared gradient",
            prediction=None if expected is None else expected[first:].sum(),
            source=f"paths of at least {first} of {of}",
        ),
    ]
