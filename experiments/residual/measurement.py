"""Residual connections: the identity in the Jacobian, the paths it opens, what it does to gradients, and training with it."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.residual.settings import Residual
from experiments.residual.training import train_all
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.profiles import decades, log_gradients
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes import jacobians, meanfield
from jaxnotes.layers.activations import by_name, relu
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.layers.residual import depth_scale, residual
from jaxnotes.models.mlp import stack_init
from jaxnotes.models.residual_network import residual_layer

SMALL, LARGE = 1e-4, 8.0  # weight variances of "very small" and "very large" ∂F/∂x
RATIO = "nats, first over last layer"
PATHS_ENUMERATED = 10  # 2^10 products, each computed


def branch_stack(key: Array, depth: int, width: int, branch_variance, dtype=jnp.float32):
    """Returns the stacked parameters of branches F(h) = W φ(h), W ~ N(0, branch_variance / width), no bias."""
    params = stack_init(key, width, depth, initializer=weight_variance(branch_variance), bias_variance=0.0)
    return jax.tree.map(lambda p: p.astype(dtype), params)


def branch(activation: Callable) -> Callable:
    """F(h) = W φ(h): the branch of a pre-activation block, and, alone, a layer of the plain network."""
    return lambda layer_params, h: linear(layer_params, activation(h))


def form(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.form: the block against F(x) + x computed apart from it, and the block of a zero branch."""
    f = branch(by_name(settings.activation))

    def of_seed(key: Array) -> tuple[Array, Array, Array, Array]:
        key_params, key_input = jax.random.split(key)
        params = jax.tree.map(
            lambda p: p[0], branch_stack(key_params, 1, settings.width, settings.weight_variance, jnp.float64)
        )
        x = jax.random.normal(key_input, (settings.batch, settings.width), jnp.float64)
        y, apart = residual(f, params, x), f(params, x) + x
        zero = jax.tree.map(jnp.zeros_like, params)
        return jnp.abs(y - apart).max(), jnp.abs(residual(f, zero, x) - x).max(), x.ravel(), (y - x).ravel()

    with jax.enable_x64(True):
        error, zero_error, x, added = over_seeds(of_seed, key, settings.seeds)
    measurements = (
        interval("error-float64", error, prediction=0, source="largest |block(x) − (F(x) + x)|"),
        interval("zero-branch-difference", zero_error, prediction=0, source="largest |block(x) − x| where F = 0"),
    )
    return {"residual.form": Evidence(measurements, {"x": x[0], "added": added[0]})}


def identity(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.identity: the block's Jacobian by differentiation, and a product of blocks as the sum over 2^L paths."""
    f = branch(by_name(settings.activation))
    width = min(settings.width, 48)

    def of_seed(key: Array) -> dict[str, Array]:
        key_params, key_input = jax.random.split(key)
        stack = branch_stack(key_params, PATHS_ENUMERATED, width, settings.weight_variance, jnp.float64)
        x = jax.random.normal(key_input, (1, width), jnp.float64)

        def step(h: Array, params) -> tuple[Array, tuple[Array, Array]]:
            one = partial(f, params), partial(residual, f, params)
            return one[1](h), tuple(jax.jacrev(g)(h[0]) for g in one)

        branches, blocks = jax.lax.scan(step, x, stack)[1]
        end_to_end = jax.lax.scan(lambda product, block: (block @ product, None), jnp.eye(width), blocks)[0]
        paths = sum_of_paths(branches)
        return {
            "error": jnp.abs(blocks - (branches + jnp.eye(width))).max(),
            "paths-error": jnp.linalg.norm(paths - end_to_end) / jnp.linalg.norm(end_to_end),
            "branch": branches[0],
            "block": blocks[0],
            "branch-singular": jnp.linalg.svd(branches, compute_uv=False)[0],
            "block-singular": jnp.linalg.svd(blocks, compute_uv=False)[0],
        }

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    blocks = f"product of {PATHS_ENUMERATED} blocks against the sum of its 2^{PATHS_ENUMERATED} paths, relative"
    measurements = (
        interval("error-float64", found["error"], prediction=0, source="largest |∂y/∂x − (∂F/∂x + I)|"),
        interval("paths-error-float64", found["paths-error"], prediction=0, source=blocks),
    )
    arrays = {name: found[name][0] for name in ("branch", "block", "branch-singular", "block-singular")}
    return {"residual.identity": Evidence(measurements, arrays)}


def sum_of_paths(branches: Array) -> Array:
    """Sum over all subsets of layers of the product of their branch Jacobians; the empty product is I. Each is formed."""
    depth, width = branches.shape[:2]

    def path(total: Array, subset: Array) -> tuple[Array, None]:
        taken = (subset >> jnp.arange(depth)) & 1 == 1
        one = jnp.eye(width, dtype=branches.dtype)
        product = jax.lax.scan(lambda p, both: (jnp.where(both[1], both[0] @ p, p), None), one, (branches, taken))[0]
        return total + product, None

    return jax.lax.scan(path, jnp.zeros((width, width), branches.dtype), jnp.arange(2**depth))[0]


def path(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.path: the gradient by path length; and gradient profiles over depth with and without the shortcut."""
    key_paths, key_profiles = jax.random.split(key)
    measurements, arrays = _path_lengths(settings, key_paths)
    arrays["depths"] = np.asarray(settings.depths)
    for depth, key_depth in zip(settings.depths, jax.random.split(key_profiles, len(settings.depths)), strict=True):
        for name, scale in (("plain", None), ("residual", 1.0)):
            log_norms = profile(settings, key_depth, depth, settings.weight_variance, scale, by_name(settings.activation))
            gains = log_gain(settings, depth, scale)
            predicted = gains[-1] / 2
            gain = log_norms[:, 0] - log_norms[:, -1]
            source = "sum of ½ ln gain over the layers' mean-field variances"
            measurements.append(
                interval(
                    f"log-ratio-{name}-{depth}", gain, unit="nats, first over last layer", prediction=predicted, source=source
                )
            )
            arrays |= relative_curve(f"{name}-{depth}", log_norms, predicted - gains / 2)
    return {"residual.path": Evidence(tuple(measurements), arrays)}


def _path_lengths(settings: Residual, key: Array) -> tuple[list, dict[str, np.ndarray]]:
    """Contributions of the paths of each length to the first layer's gradient, float64."""
    activation, depth = by_name(settings.activation), settings.path_depth
    f = branch(activation)

    def of_seed(key: Array) -> dict[str, Array]:
        key_params, key_input, key_direction = jax.random.split(key, 3)
        stack = branch_stack(key_params, depth, settings.width, settings.weight_variance, jnp.float64)
        x, direction = (jax.random.normal(k, (settings.batch, settings.width), jnp.float64) for k in (key_input, key_direction))
        by_length = jacobians.path_contributions(f, stack, x, lambda h: jnp.sum(h * direction))  # [depth + 1, batch, width]

        def loss(at: Array) -> Array:
            return jnp.sum(jax.lax.scan(lambda h, p: (residual(f, p, h), None), at, stack)[0] * direction)

        gradient = jax.grad(loss)(x)
        weights = jnp.sum(by_length**2, axis=(1, 2))
        return {
            "shortcut": jnp.abs(by_length[0] - direction).max(),
            "sum": jnp.linalg.norm(by_length.sum(0) - gradient) / jnp.linalg.norm(gradient),
            "share": weights / weights.sum(),
        }

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    log_gains = np.diff(log_gain(settings, depth, 1.0))
    taken = -np.expm1(-log_gains)  # χ / (1 + χ): the share of the squared weight of paths that take a layer's branch
    expected = np.ones(1)
    for chance in taken:
        expected = np.convolve(expected, [1 - chance, chance])
    arrays = curve("share", found["share"], expected)
    lengths = found["share"] @ np.arange(depth + 1)
    source = f"Σ χ_l / (1 + χ_l) over {depth} layers; squared contributions of paths, Veit et al. (2016)"
    measurements = [
        interval("shortcut-difference", found["shortcut"], prediction=0, source="largest |length-0 path − output gradient|"),
        interval("sum-error-float64", found["sum"], prediction=0, source="sum over path lengths against jax.grad, relative"),
        interval("mean-path-length", lengths, unit="branches", prediction=taken.sum(), source=source),
    ]
    return measurements, arrays


def log_gain(settings: Residual, depth: int, scale: float | None) -> np.ndarray:
    """Returns [depth + 1] mean-field ln of the squared gradient's gain from layer 0 on, of inputs N(0, 1).

    `scale` None: no shortcut.
    """
    activation = by_name(settings.activation)
    return meanfield.log_gradient_gain(activation, 1.0, settings.weight_variance, 0.0, depth, branch_scale=scale)


def profile(
    settings: Residual,
    key: Array,
    depth: int,
    branch_variance: float,
    scale: float | None,
    activation: Callable,
    dtype=jnp.float32,
) -> np.ndarray:
    """Returns [seeds, depth + 1] natural logs of the gradient's norm; `scale` None: the plain net of the same branches."""
    shortcut, branch_scale = (0.0, 1.0) if scale is None else (1.0, scale)
    numbers = jnp.asarray([branch_variance, shortcut, branch_scale], dtype)
    keys = jax.random.split(key, settings.seeds)
    return np.asarray(_log_norms(keys, numbers, depth=depth, shape=(settings.batch, settings.width), activation=activation))


@partial(jax.jit, static_argnames=("depth", "shape", "activation"))
def _log_norms(keys: Array, numbers: Array, *, depth: int, shape: tuple[int, int], activation: Callable) -> Array:
    """Returns [seeds, depth + 1] of layers shortcut · h + scale · F(h).

    `numbers` are the branch's weight variance, the shortcut and the scale: arguments, so that plain and residual networks share
    one program.
    """
    branch_variance, shortcut, scale = numbers

    def draw(key: Array) -> tuple[dict[str, Array], Array]:
        key_stack, key_input = jax.random.split(key)
        stack = branch_stack(key_stack, depth, shape[1], branch_variance, numbers.dtype)
        return stack, jax.random.normal(key_input, shape, numbers.dtype)

    return log_gradients(residual_layer(activation, scale, shortcut), draw, keys)


def relative_curve(name: str, log_norms: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Returns a figure's arrays: log10 of each layer's gradient over the last's, with interval and prediction (in nats)."""
    return curve(name, decades(log_norms), predicted / np.log(10))


def small_branch(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.small-branch: branches of weight variance 1e-4, with the shortcut and alone; ReLU."""
    depth = settings.branch_depth
    chi = SMALL / 2
    arms = {"residual": (1.0, meanfield.log_residual_gain(chi, depth) / 2), "plain": (None, depth * np.log(chi) / 2)}
    return {"residual.small-branch": _branch_evidence(settings, key, SMALL, arms)}


def large_branch(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.large-branch: branches of weight variance 8; unscaled, scaled by 1/√L, and zero at initialisation; ReLU."""
    depth = settings.branch_depth
    arms = {
        name: (scale, meanfield.log_residual_gain(LARGE / 2, depth, scale) / 2)
        for name, scale in (("unscaled", 1.0), ("scaled", depth_scale(depth)), ("zero-initialised", 0.0))
    }
    return {"residual.large-branch": _branch_evidence(settings, key, LARGE, arms)}


def _branch_evidence(settings: Residual, key: Array, branch_variance: float, arms: dict[str, tuple]) -> Evidence:
    """Returns each arm's ln of the first layer's gradient over the last's, and its profile; arms share seeds."""
    measurements, arrays = [], {"weight-variance": np.asarray(branch_variance)}
    for name, (scale, predicted) in arms.items():
        # A branch that starts at zero is the branch of scale 0: its weights do not reach the output.
        # In float32 the activations of small branches alone reach 0 and those of large ones infinity.
        with jax.enable_x64(True):
            log_norms = profile(settings, key, settings.branch_depth, branch_variance, scale, relu, jnp.float64)
        source = f"½ ln (1 + s² χ)^L, χ = {branch_variance / 2:g}, s = {scale:.3g}" if scale is not None else "½ L ln χ"
        gain = log_norms[:, 0] - log_norms[:, -1]
        measurements.append(interval(f"log-ratio-{name}", gain, unit=RATIO, prediction=predicted, source=source))
        arrays |= relative_curve(name, log_norms, np.linspace(predicted, 0, settings.branch_depth + 1))
    return Evidence(tuple(measurements), arrays)


TOPIC = Topic("residual", Residual, (form, identity, path, small_branch, large_branch, train_all))
