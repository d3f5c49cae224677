"""Residual connections: the identity in the Jacobian, and gradients behind small and large branches; and the TOPIC."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.residual.paths import path
from experiments.residual.settings import Residual
from experiments.residual.stacks import branch, branch_stack, normalised_gains, profile, relative_curve
from experiments.residual.trained import train_all
from experiments.study.measurement import Evidence, Measurement, curve, interval
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes import meanfield
from jaxnotes.layers.activations import by_name, relu
from jaxnotes.layers.residual import depth_scale, residual

SMALL, LARGE = 1e-4, 8.0  # weight variances of "very small" and "very large" ∂F/∂x
RATIO = "nats, first over last layer"
PATHS_ENUMERATED = 10  # 2^10 products, each computed


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


def small_branch(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.small-branch: branches of weight variance 1e-4, with the shortcut and alone; ReLU."""
    depth = settings.branch_depth
    chi = SMALL / 2
    arms = {"residual": (1.0, meanfield.log_residual_gain(chi, depth) / 2), "plain": (None, depth * np.log(chi) / 2)}
    return {"residual.small-branch": _branch_evidence(settings, key, SMALL, arms)}


def large_branch(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.large-branch: branches of weight variance 8; unscaled, scaled by 1/√L, zero at first, and normalised; ReLU."""
    depth = settings.branch_depth
    arms = {
        name: (scale, meanfield.log_residual_gain(LARGE / 2, depth, scale) / 2)
        for name, scale in (("unscaled", 1.0), ("scaled", depth_scale(depth)), ("zero-initialised", 0.0))
    }
    evidence = _branch_evidence(settings, key, LARGE, arms)
    measurements, arrays = _normalised(settings, key, LARGE)
    return {"residual.large-branch": Evidence((*evidence.measurements, *measurements), {**evidence.arrays, **arrays})}


def _branch_evidence(settings: Residual, key: Array, branch_variance: float, arms: dict[str, tuple]) -> Evidence:
    """Returns each arm's ln of the first layer's gradient over the last's, and its profile; arms share seeds."""
    measurements, arrays = [], {"weight-variance": np.asarray(branch_variance)}
    for name, (scale, predicted) in arms.items():
        # A branch that starts at zero is the branch of scale 0: its weights do not reach the output.
        # In float32 the activations of small branches alone reach 0 and those of large ones infinity.
        with jax.enable_x64(True):
            log_norms = profile(settings, key, settings.branch_depth, branch_variance, scale, relu, jnp.float64)
        source = f"½ ln (1 + s² χ)^L, χ = {branch_variance / 2:g}, s = {scale:.3g}" if scale is not None else "½ L ln χ"
        measurements.append(interval(f"log-ratio-{name}", ratio(log_norms), unit=RATIO, prediction=predicted, source=source))
        arrays |= relative_curve(name, log_norms, np.linspace(predicted, 0, settings.branch_depth + 1))
    return Evidence(tuple(measurements), arrays)


def _normalised(settings: Residual, key: Array, branch_variance: float) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns the control with batch normalisation in the branch: its gradient, and how its size falls over the blocks."""
    depth = settings.branch_depth
    log_norms = profile(settings, key, depth, branch_variance, 1.0, relu, normalised=True)
    gains = normalised_gains(branch_variance, depth)
    passed = np.concatenate([[0], np.cumsum(np.log1p(gains))]) / 2  # ln of the gradient's gain over the first l blocks
    law = f"½ Σ ln (1 + χ_l), χ_l the gain behind batch normalisation, De and Smith (2020); batch {settings.normalised_batch}"
    found = interval("log-ratio-normalised", ratio(log_norms), unit=RATIO, prediction=passed[-1], source=law)
    blocks = np.arange(depth // 10, depth)
    sizes = branch_sizes(settings, key, branch_variance)

    def exponent(sizes: np.ndarray) -> np.ndarray:
        return np.polyfit(np.log(blocks), np.log(sizes[..., blocks]).T, 1)[0]

    expected = np.sqrt(gains / meanfield.batch_norm_gain(relu))
    law = f"slope of ln (branch's spread over the stream's) over ln l, blocks {blocks[0]} to {depth}"
    falls = interval("size-exponent-normalised", exponent(sizes), prediction=exponent(expected), source=law)
    return [found, falls], relative_curve("normalised", log_norms, passed[-1] - passed) | curve(
        "size-normalised", sizes, expected
    )


def branch_sizes(settings: Residual, key: Array, branch_variance: float) -> np.ndarray:
    """Returns [seeds, depth] spread over the batch of what block l's normalised branch adds, over that of the stream."""
    f = branch(relu, normalised=True)

    def of_seed(key: Array) -> Array:
        key_stack, key_input = jax.random.split(key)
        stack = branch_stack(key_stack, settings.branch_depth, settings.width, branch_variance)
        x = jax.random.normal(key_input, (settings.normalised_batch, settings.width))

        def step(h: Array, params) -> tuple[Array, Array]:
            added = f(params, h)
            return h + added, jnp.sqrt(added.var(0).mean() / h.var(0).mean())

        return jax.lax.scan(step, x, stack)[1]

    return over_seeds(of_seed, key, settings.seeds)


def ratio(log_norms: np.ndarray) -> np.ndarray:
    """Returns [seeds] ln of the first layer's gradient over the last's."""
    return log_norms[:, 0] - log_norms[:, -1]


TOPIC = Topic("residual", Residual, (form, identity, path, small_branch, large_branch, train_all), edition=4)
