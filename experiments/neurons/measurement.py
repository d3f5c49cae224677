"""What a unit computes, what each kind of network sees, and what a stack without activations is."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from experiments.neurons.settings import Neurons
from experiments.neurons.training import expressive
from experiments.study.measurement import Evidence, Measurement, curve, interval
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes.layers.activations import by_name, identity, relu, tanh
from jaxnotes.layers.attention import self_attention, self_attention_init
from jaxnotes.layers.initializers import he_normal, lecun_normal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.recurrent import rnn, rnn_init
from jaxnotes.models.mlp import hidden_layer, mlp, mlp_init, stack_init

ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu")
KINDS = ("mlp", "convolution", "rnn", "attention", "causal-attention")
DEPTH_NAMES = ("shallow", "deep", "deepest")
RECORDED = 16  # depths at which a product's singular values are taken


def unit(settings: Neurons, key: Array) -> dict[str, Evidence]:
    """neurons.unit: a unit against its sum written out, what it is blind to, and where it is not linear."""

    def of_seed(key: Array) -> dict[str, Array]:
        key_params, key_x, key_other, key_direction = jax.random.split(key, 4)
        params = linear_init(key_params, settings.n_in, 1, bias_variance=1.0, dtype=jnp.float64)
        x, other = (jax.random.normal(k, (settings.batch, settings.n_in), jnp.float64) for k in (key_x, key_other))
        along = params["weight"][:, 0] / jnp.linalg.norm(params["weight"])
        across = jax.random.normal(key_direction, along.shape, jnp.float64)
        across -= along * jnp.dot(along, across)
        across /= jnp.linalg.norm(across)
        steps = jnp.linspace(-4.0, 4.0, 41)[:, None]
        lines = [x[:1] + steps * direction for direction in (along, across)]
        points = jnp.concatenate([x, other, x + other, 0 * x[:1], *lines])
        sums = linear(params, points)[:, 0]
        outputs = {name: by_name(name)(sums) for name in ACTIVATIONS}
        return {"weight": params["weight"][:, 0], "bias": params["bias"], "x": x, **outputs}

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    ends = np.cumsum([settings.batch] * 3 + [1, 41])
    for name in ACTIVATIONS:
        f, at_other, at_sum, at_zero, along, across = np.split(found[name], ends, axis=1)
        found |= {name: f, f"along-{name}": along, f"across-{name}": across}
        # Zero for an affine map, whatever its bias.
        found[f"superposition-{name}"] = np.abs(at_sum - f - at_other + at_zero).mean(axis=1)
    sums = _written_out(found)
    outputs = {"identity": sums, "sigmoid": special.expit(sums), "tanh": np.tanh(sums), "relu": np.maximum(sums, 0)}
    errors = np.max([np.abs(found[name] - outputs[name]).max(axis=1) for name in ACTIVATIONS], axis=0)
    blind = np.max([np.ptp(found[f"across-{name}"], axis=1) for name in ACTIVATIONS], axis=0)
    measurements = [
        interval(
            "error-float64", errors, prediction=0, source="largest |unit − φ(Σ w x + b)|, the sum exact, of 4 activations"
        ),
        interval(
            "orthogonal-change", blind, prediction=0, source="spread of the output along a direction orthogonal to the weights"
        ),
    ]
    for name in ACTIVATIONS:
        source = "mean |f(a + b) − f(a) − f(b) + f(0)|, 0 for any affine map"
        prediction = 0 if name == "identity" else None
        measurements.append(
            interval(f"superposition-{name}", found[f"superposition-{name}"], prediction=prediction, source=source)
        )
    arrays = {"sums": sums[0]} | {name: found[name][0] for name in ACTIVATIONS}
    arrays |= {f"{way}-{name}": found[f"{way}-{name}"][0] for way in ("along", "across") for name in ACTIVATIONS}
    arrays |= {"steps": np.linspace(-4, 4, 41), "inputs": np.asarray(settings.n_in)}
    return {"neurons.unit": Evidence(tuple(measurements), arrays)}


def _written_out(found: dict[str, np.ndarray]) -> np.ndarray:
    """Returns [seeds, batch] weighted sums, each product added without rounding until the end."""
    per_seed = zip(found["x"], found["weight"], found["bias"], strict=True)
    return np.asarray([[math.fsum([*(row * weight), bias[0]]) for row in x] for x, weight, bias in per_seed])


def networks(settings: Neurons, key: Array) -> dict[str, Callable]:
    """Returns each kind as a function [positions, channels] -> [depth, positions, channels], float64 and drawn from the key."""
    length, channels, layers = settings.positions, settings.channels, settings.convolutions
    key_mlp, key_kernels, key_rnn, key_attention = jax.random.split(key, 4)
    flat = length * channels
    params_mlp = mlp_init(key_mlp, flat, flat, 1, flat, initializer=lecun_normal, dtype=jnp.float64)
    kernels = jax.random.normal(key_kernels, (layers, settings.kernel, channels, channels), jnp.float64)
    kernels /= math.sqrt(settings.kernel * channels)
    params_rnn = rnn_init(key_rnn, channels, channels, dtype=jnp.float64)
    attention = self_attention_init(key_attention, channels, dtype=jnp.float64)

    def convolution(h: Array, kernel: Array) -> tuple[Array, Array]:
        h = jax.lax.conv_general_dilated(h[None], kernel, (1,), "SAME", dimension_numbers=("NWC", "WIO", "NWC"))[0]
        return tanh(h), tanh(h)

    attend = partial(self_attention, attention, heads=1)
    return {
        "mlp": lambda x: mlp(params_mlp, x.reshape(1, flat), activation=tanh).reshape(1, length, channels),
        "convolution": lambda x: jax.lax.scan(convolution, x, kernels)[1],
        "rnn": lambda x: rnn(params_rnn, x)[1][None],
        "attention": lambda x: attend(x, causal=False)[None],
        "causal-attention": lambda x: attend(x, causal=True)[None],
    }


def kinds(settings: Neurons, key: Array) -> dict[str, Evidence]:
    """neurons.kinds: which input positions each output position depends on, from the Jacobian's exact zeros."""

    def of_seed(key: Array) -> dict[str, Array]:
        key_params, key_x = jax.random.split(key)
        x = jax.random.normal(key_x, (settings.positions, settings.channels), jnp.float64)
        jacobians = {name: jax.jacrev(network)(x) for name, network in networks(settings, key_params).items()}
        return {name: jnp.sqrt(jnp.sum(jacobian**2, axis=(2, 4))) for name, jacobian in jacobians.items()}

    with jax.enable_x64(True):
        norms = over_seeds(of_seed, key, settings.seeds)  # [seeds, depth, output position, input position] by kind
    place = np.arange(settings.positions)
    lag = place[:, None] - place[None]
    measurements = [*_fields(settings, {name: sizes > 0 for name, sizes in norms.items()}, lag)]
    arrays = {}
    for name, sizes in norms.items():
        last = sizes[:, -1]
        with np.errstate(divide="ignore"):
            arrays[name] = np.log10(last[0])
        visible = [k for k in range(settings.positions) if (last[:, lag == k] > 0).all()]
        decay = np.stack([np.log10(last[:, lag == k]).mean(axis=1) for k in visible], axis=1)
        arrays |= {f"{name}-lags": np.asarray(visible)} | curve(f"{name}-decay", decay)
    arrays["convolution-reach"] = np.asarray(
        [_reach(norms["convolution"][0, depth] > 0) for depth in range(settings.convolutions)]
    )
    arrays["kernel"] = np.asarray(settings.kernel)
    steps = "log10 of ∂h_t/∂x_(t−k) per step k, straight-line fit"
    decay = np.log10(np.stack([[seed[lag == k].mean() for k in place] for seed in norms["rnn"][:, -1]]))
    measurements.append(interval("decay-rnn", np.polyfit(place, decay.T, 1)[0], unit="log10 per step", source=steps))
    return {"neurons.kinds": Evidence(tuple(measurements), arrays)}


def _fields(settings: Neurons, seen: dict[str, np.ndarray], lag: np.ndarray) -> list[Measurement]:
    """Returns shares and counts of position pairs in the support; `seen` is [seeds, depth, output, input] by kind."""
    past, future = lag >= 0, lag < 0
    per_side = settings.convolutions * (settings.kernel - 1) // 2
    pairs = "share of pairs of positions with ∂output/∂input not 0"
    measured = [
        interval(f"pairs-{name}", seen[name][:, -1].mean(axis=(1, 2)), prediction=1, source=pairs)
        for name in ("mlp", "attention")
    ]
    for name, depth in (("one", 1), ("all", settings.convolutions)):
        reach = [_reach(seed[depth - 1]) for seed in seen["convolution"]]
        wide = min(1 + depth * (settings.kernel - 1), settings.positions)
        source = f"1 + L (k − 1), L = {depth}, k = {settings.kernel}; inputs that the centre's output depends on"
        measured.append(interval(f"reach-convolution-{name}", reach, unit="positions", prediction=wide, source=source))
    outside = seen["convolution"][:, -1, np.abs(lag) > per_side].sum(axis=1)
    measured.append(interval("outside-convolution", outside, unit="pairs", prediction=0, source="pairs beyond that reach"))
    for name in ("rnn", "causal-attention"):
        measured += [
            interval(f"past-{name}", seen[name][:, -1, past].mean(axis=1), prediction=1, source=f"{pairs}, input not later"),
            interval(f"future-{name}", seen[name][:, -1, future].sum(axis=1), unit="pairs", prediction=0, source="input later"),
        ]
    return measured


def _reach(seen: np.ndarray) -> int:
    return int(seen[len(seen) // 2].sum())


def collapse(settings: Neurons, key: Array) -> dict[str, Evidence]:
    """neurons.linear: a stack without activations against one matrix and one bias; its rank; its Jacobian at two inputs."""
    key_stack, key_narrow, key_jacobians = jax.random.split(key, 3)
    depths, width = settings.linear_depths, settings.linear_width
    recorded = np.unique(np.geomspace(1, depths[-1], RECORDED).round().astype(int))
    measurements, arrays = [], {"depths": np.arange(1, depths[-1] + 1), "recorded": recorded}
    for dtype in ("float64", "float32"):
        with jax.enable_x64(dtype == "float64"):
            errors, singular = over_seeds(partial(stack_error, settings, recorded, dtype), key_stack, settings.seeds)
        source = "relative: network's output against x M + c, M and c multiplied out"
        for name, depth in zip(DEPTH_NAMES, depths, strict=True):
            measurements.append(
                interval(f"error-{dtype}-{name}", errors[:, depth - 1], prediction=0, source=f"{source}; {depth} layers")
            )
        arrays |= curve(f"error-{dtype}", np.log10(np.maximum(errors, np.finfo(dtype).tiny)))
        if dtype == "float64":
            rank = np.count_nonzero(singular > singular[..., :1] * width * np.finfo(dtype).eps, axis=-1)
            measurements.append(_numerical_rank(width, depths[-1], rank[:, -1]))
            predicted = [predicted_rank(width, depth) for depth in recorded]
            arrays |= curve("rank", rank) | {"rank-predicted": np.asarray(predicted)}
    measurements += [*jacobian_changes(settings, key_jacobians), bottleneck(settings, key_narrow)]
    return {"neurons.linear": Evidence(tuple(measurements), arrays)}


def stack_error(settings: Neurons, recorded: np.ndarray, dtype: str, key: Array) -> tuple[Array, Array]:
    """Returns [depth] the relative error after each layer, and the singular values of the product at the recorded depths."""
    key_params, key_x = jax.random.split(key)
    width, deepest = settings.linear_width, settings.linear_depths[-1]
    params = stack_init(key_params, width, deepest, initializer=lecun_normal, bias_variance=0.1, dtype=dtype)
    x = jax.random.normal(key_x, (settings.batch, width), dtype)
    layer = hidden_layer(identity)

    def step(carry: tuple, layer_params) -> tuple[tuple, tuple]:
        h, matrix, bias = carry
        h = layer(layer_params, h)
        matrix, bias = matrix @ layer_params["weight"], bias @ layer_params["weight"] + layer_params["bias"]
        error = jnp.linalg.norm(h - (x @ matrix + bias[None])) / jnp.linalg.norm(h)
        return (h, matrix, bias), (error, matrix)

    start = (x, jnp.eye(width, dtype=dtype), jnp.zeros(width, dtype))
    _, (errors, products) = jax.lax.scan(step, start, params)
    return errors, jnp.linalg.svd(products[recorded - 1], compute_uv=False)


def predicted_rank(width: int, depth: int) -> int:
    """Returns how many singular values of a product of `depth` Gaussian matrices float64 resolves beside the largest.

    Per layer, the logarithm of the i-th one changes by λ_i = ½ (ln(2 / n) + ψ((n − i + 1) / 2)) on average (Newman 1986).
    """
    exponents = (np.log(2 / width) + special.digamma((width - np.arange(width)) / 2)) / 2
    return int(np.count_nonzero(depth * (exponents[0] - exponents) < -np.log(width * np.finfo(np.float64).eps)))


def _numerical_rank(width: int, depth: int, rank: np.ndarray) -> Measurement:
    source = f"float64, {depth} Gaussian layers of {width} units; from Newman's (1986) Lyapunov exponents"
    return interval("rank-deepest", rank, unit="singular values", prediction=predicted_rank(width, depth), source=source)


def jacobian_changes(settings: Neurons, key: Array) -> list[Measurement]:
    """Returns how much the end-to-end Jacobian differs between two inputs, with and without activation."""
    width = settings.linear_width

    def of_seed(key: Array) -> dict[str, Array]:
        key_params, key_x = jax.random.split(key)
        params = mlp_init(key_params, width, width, 8, width, initializer=he_normal, dtype=jnp.float64)
        x = jax.random.normal(key_x, (2, width), jnp.float64)
        found = {}
        for activation in (identity, relu):
            f = lambda x, a=activation: mlp(params, x[None], activation=a)[0]
            one, two = jax.lax.map(jax.jacrev(f), x)
            found[activation.__name__] = jnp.linalg.norm(one - two) / jnp.linalg.norm(one)
        return found

    with jax.enable_x64(True):
        found = over_seeds(of_seed, key, settings.seeds)
    source = "relative Frobenius distance of ∂output/∂input at two inputs, 10 layers"
    predictions = {"identity": 0, "relu": None}
    return [
        interval(f"jacobian-change-{name}", found[name], prediction=predictions[name], source=source) for name in predictions
    ]


def bottleneck(settings: Neurons, key: Array) -> Measurement:
    """Returns the rank of a product of wide matrices with one narrow pair between them."""
    wide, narrow = settings.linear_width, settings.bottleneck

    def of_seed(key: Array) -> Array:
        sizes = ((wide, wide), (wide, narrow), (narrow, wide), (wide, wide))
        matrices = [lecun_normal(k, *size, jnp.float64) for k, size in zip(jax.random.split(key, 4), sizes, strict=True)]
        return jnp.linalg.svd(jnp.linalg.multi_dot(matrices), compute_uv=False)

    with jax.enable_x64(True):
        singular = over_seeds(of_seed, key, settings.seeds)
    rank = np.count_nonzero(singular > singular[:, :1] * wide * np.finfo(np.float64).eps, axis=1)
    source = f"4 layers of {wide} units with one of {narrow} between them"
    return interval("rank-bottleneck", rank, unit="rank", prediction=narrow, source=source)


TOPIC = Topic("neurons", Neurons, (unit, kinds, collapse, expressive), edition=4)
