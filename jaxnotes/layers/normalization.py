"""Normalisation: batch, layer, group and root-mean-square, each x̂ = (x − μ) / √(σ² + ε), then scale and shift.

They differ in the axes that μ and σ² are taken over. σ² is the biased variance, in two passes: the mean of squares minus the
squared mean would cancel where |μ| ≫ σ. 16-bit inputs are normalised in float32 and come back in their own type.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnotes import _checks
from jaxnotes._checks import POSITIVE, SHARE, choice, count, counts, entries, flag, floats, not_negative, number

EPSILON = 1e-5
MOMENTUM = 0.9
RUNNING_VARIANCES = ("biased", "unbiased")


def norm_init(shape: int | Sequence[int], dtype=jnp.float32) -> dict[str, Array]:
    """{"scale": ones, "shift": zeros} of a shape, [features] for `batch_norm` and `group_norm`.

    Every norm here also takes params without "shift", without "scale" or without either, and then leaves that step out.

    Raises:
      TypeError: no size, or no dtype of floats.
      ValueError: a size below 1.
    """
    shape = counts("shape", shape) if isinstance(shape, Sequence) else count("shape", shape)
    _checks.dtype("dtype", dtype)
    return {"scale": jnp.ones(shape, dtype), "shift": jnp.zeros(shape, dtype)}


def batch_norm_state(features: int, dtype=jnp.float32) -> dict[str, Array]:
    """{"mean": zeros, "variance": ones}: running statistics before the first update, with which inference is x / √(1 + ε).

    Raises:
      TypeError: no size, or no dtype of floats.
      ValueError: a size below 1.
    """
    features = count("features", features)
    _checks.dtype("dtype", dtype)
    return {"mean": jnp.zeros(features, dtype), "variance": jnp.ones(features, dtype)}


def mean_and_variance(x: Float[Array, "*shape"], axes: int | Sequence[int]) -> tuple[Array, Array]:
    """Returns the mean and biased variance over axes, which stay with size 1; in two passes; float32 for 16-bit x.

    Squares leave float32 where |x − μ| passes 1.8e19. The gradient of what is normalised by them lacks what comes through the
    variance beyond a deviation of 4e12, whose cube leaves float32.

    Raises:
      TypeError: x is not of a floating type, or the axes no integers.
      ValueError: an axis that x lacks, that is named twice, or that is empty: there is no mean of no numbers.
    """
    x = floats("x", x)
    axes = _checked_axes(x, axes)
    x = x.astype(_statistics_dtype(x))
    mean = x.mean(axes, keepdims=True)
    return mean, jnp.mean((x - mean) ** 2, axes, keepdims=True)


def batch_norm(
    params: dict[str, Array],
    state: dict[str, Array],
    x: Float[Array, "batch *spatial features"],
    *,
    train: bool,
    momentum: float | Float[Array, ""] = MOMENTUM,
    epsilon: float = EPSILON,
    running_variance: str = "biased",
) -> tuple[Float[Array, "batch *spatial features"], dict[str, Array]]:
    """Batch normalisation per feature, over all other axes (Ioffe and Szegedy 2015, algorithms 1 and 2).

    Args:
      params: {"scale": [features], "shift": [features]}.
      state: {"mean": [features], "variance": [features]}, from `batch_norm_state` or the last call.
      x: [batch, ..., features].
      train: True normalises by the batch's statistics and updates the state; False by the state, which stays as it is.
      momentum: weight of the old value: running = momentum · running + (1 − momentum) · batch's.
      epsilon: ε, added to the variance.
      running_variance: what the state averages: the "biased" variance that also normalises (Flax), or the "unbiased" one
        (the paper, PyTorch).

    Returns:
      (y like x, state). A feature that is constant over the batch, as with a single example, gives exactly its shift and
      passes no gradient.

    Raises:
      ValueError: shapes that do not fit; in training an empty batch, or "unbiased" from a single value per feature; at
        inference a negative variance, where it is concrete; momentum outside [0, 1], epsilon not positive, or another
        running_variance.
      TypeError: x, a parameter or the state is not of a floating type, train not True or False, or momentum or epsilon not one
        real number.
    """
    flag("train", train)
    x = _checked_input(x, epsilon)
    _check_features(x, params)
    _check_state(x, state)
    number("momentum", momentum, SHARE, "the weight of the old value")
    choice("running_variance", running_variance, RUNNING_VARIANCES)
    if not train:
        not_negative("running variance", state["variance"])
        mean, variance = (_along(state[name], x, (x.ndim - 1,)) for name in ("mean", "variance"))
        return _finish(params, x, mean, variance, epsilon, (x.ndim - 1,)), state
    mean, variance = _batch_statistics(x)
    count = math.prod(x.shape[:-1])
    if count == 1 and running_variance == "unbiased":
        raise ValueError("the unbiased variance of a single value per feature is 0/0; give more examples or 'biased'")
    correction = count / (count - 1) if running_variance == "unbiased" else 1.0
    seen = {"mean": mean, "variance": variance * correction}
    new = {name: _average(momentum, old, seen[name].reshape(old.shape)) for name, old in state.items()}
    return _finish(params, x, mean, variance, epsilon, (x.ndim - 1,)), new


def normalise_by_batch(
    params: dict[str, Array], x: Float[Array, "batch *spatial features"], *, epsilon: float = EPSILON
) -> Float[Array, "batch *spatial features"]:
    """What `batch_norm` returns in training, without running statistics: for networks that are never run at inference.

    Args:
      params: {"scale": [features], "shift": [features]}; {} normalises only.
      x: [batch, ..., features].
      epsilon: ε, added to the variance.

    Raises:
      ValueError: shapes that do not fit, an empty batch, or epsilon not positive.
      TypeError: x or a parameter is not of a floating type, or epsilon no number.

    Example:
      >>> normalise_by_batch({}, jnp.asarray([[1.0], [3.0]])).round(3).tolist()
      [[-1.0], [1.0]]
    """
    x = _checked_input(x, epsilon)
    _check_features(x, params)
    return _finish(params, x, *_batch_statistics(x), epsilon, (x.ndim - 1,))


def layer_norm(
    params: dict[str, Array], x: Float[Array, "*shape"], *, axes: int | Sequence[int] = -1, epsilon: float = EPSILON
) -> Float[Array, "*shape"]:
    """Layer normalisation over any axes, each example alone when the batch is not among them (Ba, Kiros and Hinton 2016).

    Args:
      params: {"scale", "shift"}, each with the sizes of x along `axes`, in the order of x's axes.
      x: any shape.
      axes: normalised together; the last by default.
      epsilon: ε, added to the variance.

    Raises:
      ValueError: an axis that x lacks, that is named twice or that is empty, params that do not fit, or epsilon not positive.
      TypeError: x or a parameter is not of a floating type, the axes no integers, or epsilon no number.
    """
    x = _checked_input(x, epsilon)
    axes = _checked_axes(x, axes)
    _check_params(params, tuple(x.shape[axis] for axis in axes))
    return _finish(params, x, *mean_and_variance(x, axes), epsilon, axes)


def rms_norm(
    params: dict[str, Array], x: Float[Array, "*shape"], *, axes: int | Sequence[int] = -1, epsilon: float = EPSILON
) -> Float[Array, "*shape"]:
    """x / √(mean of x² + ε) over axes, then scale (Zhang and Sennrich 2019): layer normalisation without the mean.

    Arguments and errors as `layer_norm`; params usually hold a scale alone.
    """
    x = _checked_input(x, epsilon)
    axes = _checked_axes(x, axes)
    _check_params(params, tuple(x.shape[axis] for axis in axes))
    wide = x.astype(_statistics_dtype(x))
    square = jnp.mean(wide**2, axes, keepdims=True)
    return _finish(params, x, jnp.zeros_like(square), square, epsilon, axes)


def group_norm(
    params: dict[str, Array], x: Float[Array, "batch *spatial features"], *, groups: int, epsilon: float = EPSILON
) -> Float[Array, "batch *spatial features"]:
    """Group normalisation: per example, over space and the features of a group (Wu and He 2018).

    Args:
      params: {"scale": [features], "shift": [features]}.
      x: [batch, ..., features]; group g holds the features g · features / groups and on.
      groups: 1 is layer normalisation over space and features, `features` instance normalisation.
      epsilon: ε, added to the variance.

    Raises:
      ValueError: groups below 1 or not a divisor of the features, an empty axis other than the batch, params that do not fit,
        or epsilon not positive.
      TypeError: x or a parameter is not of a floating type, groups no integer, or epsilon no number.
    """
    x = _checked_input(x, epsilon)
    _check_features(x, params)
    features = x.shape[-1]
    if count("groups", groups, None) < 1 or features % groups:
        raise ValueError(f"groups is {groups} with {features} features; give a divisor of {features}")
    grouped = x.reshape(*x.shape[:-1], groups, features // groups)
    axes = (*range(1, x.ndim - 1), x.ndim)
    normalised = _normalise(grouped, *mean_and_variance(grouped, axes), epsilon).reshape(x.shape)
    return _scale_and_shift(params, normalised, (x.ndim - 1,)).astype(x.dtype)


def _batch_statistics(x: Array) -> tuple[Array, Array]:
    """Returns the mean and biased variance of each feature over the batch and all axes between."""
    if math.prod(x.shape[:-1]) == 0:
        raise ValueError(f"x has shape {x.shape}: a batch without examples has no statistics to train with")
    return mean_and_variance(x, tuple(range(x.ndim - 1)))


def _finish(params, x: Array, mean: Array, variance: Array, epsilon: float, axes: tuple[int, ...]) -> Array:
    return _scale_and_shift(params, _normalise(x, mean, variance, epsilon), axes).astype(x.dtype)


def _normalise(x: Array, mean: Array, variance: Array, epsilon: float) -> Array:
    dtype = _statistics_dtype(x)
    return (x.astype(dtype) - mean.astype(dtype)) * jax.lax.rsqrt(variance.astype(dtype) + epsilon)


def _scale_and_shift(params: dict[str, Array], x: Array, axes: tuple[int, ...]) -> Array:
    if "scale" in params:
        x = x * _along(params["scale"], x, axes).astype(x.dtype)
    return x + _along(params["shift"], x, axes).astype(x.dtype) if "shift" in params else x


def _along(value: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """value with the sizes of x along axes and 1 elsewhere, so that it broadcasts against x."""
    return value.reshape([size if axis in axes else 1 for axis, size in enumerate(x.shape)])


def _average(momentum: float | Array, old: Array, new: Array) -> Array:
    # No gradient flows into what is only remembered.
    return momentum * old + (1 - momentum) * jax.lax.stop_gradient(new).astype(old.dtype)


def _statistics_dtype(x: Array):
    return x.dtype if jnp.finfo(x.dtype).bits >= 32 else jnp.dtype(jnp.float32)


def _checked_input(x: Array, epsilon: float) -> Array:
    number("epsilon", epsilon, POSITIVE, "added to the variance, which may be 0,")
    return floats("x", x)


def _check_features(x: Array, params: dict[str, Array]) -> None:
    if x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}; it must be [batch, ..., features]")
    _check_params(params, x.shape[-1:])


def _check_params(params: dict[str, Array], sizes: tuple[int, ...]) -> None:
    entries("params", params)
    for name, value in params.items():
        choice("entry of params", name, ("scale", "shift"))
        if floats(name, value).shape != sizes:
            raise ValueError(f"{name} has shape {value.shape}; it must have the sizes of x that are normalised: {sizes}")


def _check_state(x: Array, state: dict[str, Array]) -> None:
    entries("state", state, "mean", "variance")
    for name, value in state.items():
        choice("entry of state", name, ("mean", "variance"))
        floats(f"running {name}", value, "features", features=x.shape[-1])


def _checked_axes(x: Array, axes: int | Sequence[int]) -> tuple[int, ...]:
    """Returns the axes as positive numbers in order."""
    found = _checks.axes("axes", axes, x)
    if any(x.shape[axis] == 0 for axis in found):
        raise ValueError(f"x has shape {x.shape} and axes is {axes}; an empty axis has no mean: leave such a call out")
    return found
