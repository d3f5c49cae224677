"""Readings of one network in four frameworks against differentiation by hand, and each framework's own tools."""

import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnotes import probe

WIDTHS = (6, 8, 8, 3)
EXAMPLES = 5
pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture
def weights(key):
    keys = jax.random.split(key, len(WIDTHS))
    return [jax.random.normal(k, (a, b)) / math.sqrt(a) for k, a, b in zip(keys, WIDTHS, WIDTHS[1:], strict=False)]


@pytest.fixture
def batch(key):
    return jax.random.normal(jax.random.fold_in(key, 9), (EXAMPLES, WIDTHS[0])), jnp.arange(EXAMPLES) % WIDTHS[-1]


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(8)(x))
        x = nn.relu(nn.Dense(8)(x))
        return nn.Dense(3)(x)


class NnxNetwork(nnx.Module):
    def __init__(self, weights, rngs):
        self.layers = nnx.List([nnx.Linear(*w.shape, rngs=rngs) for w in weights])
        for layer, w in zip(self.layers, weights, strict=True):
            layer.kernel[...] = w

    def __call__(self, x):
        first, second, last = self.layers
        return last(nnx.relu(second(nnx.tanh(first(x)))))


class EquinoxNetwork(eqx.Module):
    layers: list

    def __init__(self, weights, key):
        layers = [eqx.nn.Linear(*w.shape, key=key) for w in weights]
        set_to = lambda layer, w: eqx.tree_at(lambda m: (m.weight, m.bias), layer, (w.T, jnp.zeros(w.shape[1])))
        self.layers = [set_to(layer, w) for layer, w in zip(layers, weights, strict=True)]

    def __call__(self, x):
        first, second, last = self.layers
        return last(jax.nn.relu(second(jnp.tanh(first(x)))))


def plain_network(parameters, x):
    h = probe.tap("0", x @ parameters["0"])
    h = probe.tap("1", jnp.tanh(h) @ parameters["1"])
    return probe.tap("2", jax.nn.relu(h) @ parameters["2"])


def model_of(framework, weights, key):
    if framework == "linen":
        named = {f"Dense_{i}": {"kernel": w, "bias": jnp.zeros(w.shape[1])} for i, w in enumerate(weights)}
        return Network(), {"params": named}
    if framework == "nnx":
        return NnxNetwork(weights, nnx.Rngs(0))
    if framework == "equinox":
        return EquinoxNetwork(weights, key)
    return plain_network, {str(i): w for i, w in enumerate(weights)}


def parts(weights, x, zeros=(0.0, 0.0, 0.0)):
    """The three layers' outputs by hand, float64 of NumPy or JAX."""
    first = x @ weights[0] + zeros[0]
    second = jnp.tanh(first) @ weights[1] + zeros[1]
    return first, second, jax.nn.relu(second) @ weights[2] + zeros[2]


@pytest.fixture(params=["linen", "nnx", "equinox", "plain"])
def report(request, weights, batch, key):
    return probe.read(model_of(request.param, weights, key), batch, "cross_entropy")


def test_activations_and_gradients_are_those_by_hand(report, weights, batch):
    x, labels = batch
    values = parts(weights, x)
    zeros = [jnp.zeros_like(v) for v in values]
    loss = lambda zeros, w: optax.softmax_cross_entropy_with_integer_labels(parts(w, x, zeros)[-1], labels).mean()
    of_zeros, of_weights = jax.grad(loss, argnums=(0, 1))(zeros, weights)
    assert len(report.layers) == 3 and not report.notes and not report.crosses_examples
    assert report.loss == pytest.approx(float(loss(zeros, weights)), rel=1e-5)
    for row, value, gradient, of_weight in zip(report.layers, values, of_zeros, of_weights, strict=True):
        assert row.call == 0 and row.output_shape == value.shape and row.nonfinite == 0
        assert row.activation_mean == pytest.approx(float(value.mean()), rel=1e-4, abs=1e-6)
        assert row.activation_rms == pytest.approx(float(jnp.sqrt((value**2).mean())), rel=1e-5)
        assert (row.activation_min, row.activation_max) == pytest.approx((float(value.min()), float(value.max())), rel=1e-5)
        norms = np.linalg.norm(np.asarray(gradient, np.float64), axis=1)
        assert row.log10_gradient_norm == pytest.approx(0.5 * math.log10((norms**2).mean()), abs=1e-5)
        entries = of_weight.size + (0 if report.framework == "plain" else of_weight.shape[1])
        bias = 0 if report.framework == "plain" else np.square(np.asarray(gradient, np.float64).sum(0)).sum()
        rms = math.sqrt((np.square(np.asarray(of_weight, np.float64)).sum() + bias) / entries)
        assert row.parameter_gradient_rms == pytest.approx(rms, rel=1e-4)


def test_activation_functions_are_found_and_their_units_counted(report, weights, batch):
    first, second, _ = parts(weights, batch[0])
    assert [row.activation for row in report.layers] == ["tanh", "relu", ""]
    flat = (1 - np.tanh(np.asarray(first, np.float64)) ** 2) < 0.05
    assert report.layers[0].saturated_fraction == pytest.approx(flat.mean())
    assert report.layers[1].dead_fraction == pytest.approx(np.all(np.asarray(second) <= 0, axis=0).mean())
    assert math.isnan(report.layers[2].saturated_fraction)


def test_jacobian_norms_are_exact_for_few_outputs(report, weights, batch):
    values = parts(weights, batch[0])
    rest = (
        lambda h: jax.nn.relu(jnp.tanh(h) @ weights[1]) @ weights[2],
        lambda h: jax.nn.relu(h) @ weights[2],
        lambda h: h,
    )
    for row, value, f in zip(report.layers, values, rest, strict=True):
        jacobians = np.asarray(jax.vmap(jax.jacrev(f))(value), np.float64)
        assert row.log10_jacobian_norm == pytest.approx(0.5 * math.log10(np.square(jacobians).sum((1, 2)).mean()), abs=1e-5)
        assert row.log10_jacobian_error == 0


def test_singular_values_are_summarised_on_request(weights, batch, key):
    report = probe.read(model_of("linen", weights, key), batch, "cross_entropy", singular_values=True)
    values = parts(weights, batch[0])
    jacobians = jax.vmap(jax.jacrev(lambda h: jax.nn.relu(jnp.tanh(h) @ weights[1]) @ weights[2]))(values[0])
    expected = np.log10(np.linalg.svd(np.asarray(jacobians, np.float64), compute_uv=False)).mean(0)
    assert report.layers[0].log10_singular_values == pytest.approx(expected, abs=1e-4)  # three outputs: all three
    assert report.layers[2].log10_singular_values == pytest.approx((0, 0, 0), abs=1e-6)


def test_layer_to_layer_gains_are_those_of_the_exact_partial_jacobians(weights, batch, key):
    report = probe.read(model_of("plain", weights, key), batch, "cross_entropy", probes=400)
    first, second, _ = parts(weights, batch[0])
    slopes = (1 - jnp.tanh(first) ** 2, (second > 0).astype(jnp.float32))
    expected = [float(jnp.square(weights[0]).sum() / 8)]
    for slope, w in zip(slopes, weights[1:], strict=True):
        expected.append(float(jnp.mean(jnp.square(slope[:, :, None] * w[None]).sum((1, 2))) / w.shape[1]))
    # 100 probes of 5 examples: a few per cent.
    assert [row.partial_jacobian for row in report.layers] == pytest.approx(expected, rel=0.12)


def test_gains_of_a_wide_first_layer_are_finite(key):
    weight = jax.random.normal(key, (784, 64)) / 28
    batch = jax.random.uniform(key, (128, 784)), jnp.zeros(128, jnp.int32)
    model = lambda w, x: probe.tap("b", jnp.tanh(probe.tap("a", x @ w["a"])) @ w["b"])
    report = probe.read((model, {"a": weight, "b": weight[:64, :10]}), batch, "cross_entropy")
    assert report.layers[0].partial_jacobian == pytest.approx(float(jnp.square(weight).sum()) / 64, rel=0.05)


def test_weight_variance_is_that_of_the_weights(report, weights):
    for row, w in zip(report.layers, weights, strict=True):
        assert row.weight_variance == pytest.approx(np.asarray(w, np.float64).var() * w.shape[0], rel=1e-4)


def test_values_agree_with_linens_capture_and_perturbation(weights, batch, key):
    module, variables = model_of("linen", weights, key)
    report = probe.read((module, variables), batch, "cross_entropy")
    _, captured = module.apply(variables, batch[0], capture_intermediates=True)
    for row in report.layers:
        (value,) = captured["intermediates"][row.name]["__call__"]
        assert row.activation_rms == pytest.approx(float(jnp.sqrt(jnp.mean(value**2))), rel=1e-6)

    class Perturbed(nn.Module):
        @nn.compact
        def __call__(self, x):
            x = self.perturb("first", nn.Dense(8, name="Dense_0")(x))
            x = nn.relu(nn.Dense(8, name="Dense_1")(nn.tanh(x)))
            return nn.Dense(3, name="Dense_2")(x)

    zeros = Perturbed().init(key, batch[0])["perturbations"]
    loss = lambda z: probe.LOSSES["cross_entropy"](Perturbed().apply({**variables, "perturbations": z}, batch[0]), batch[1])
    gradient = np.asarray(jax.grad(loss)(zeros)["first"], np.float64)
    assert report.layers[0].log10_gradient_norm == pytest.approx(0.5 * math.log10(np.square(gradient).sum(1).mean()), abs=1e-6)


def test_gradients_agree_with_finite_differences_in_float64(weights, batch, key):
    with jax.enable_x64(True):
        wide = [jnp.asarray(np.asarray(w), jnp.float64) for w in weights]
        x, labels = jnp.asarray(np.asarray(batch[0]), jnp.float64), batch[1]
        report = probe.read((plain_network, {str(i): w for i, w in enumerate(wide)}), (x, labels), "cross_entropy")
        loss = lambda zeros: float(probe.LOSSES["cross_entropy"](parts(wide, x, zeros)[-1], labels))
        squares = np.zeros(EXAMPLES)
        for example in range(EXAMPLES):
            for unit in range(8):
                step = np.zeros((EXAMPLES, 8))
                step[example, unit] = 1e-6  # one unit lies 7e-6 from the kink
                squares[example] += ((loss((0.0, step, 0.0)) - loss((0.0, -step, 0.0))) / 2e-6) ** 2
    assert report.layers[1].log10_gradient_norm == pytest.approx(0.5 * math.log10(squares.mean()), abs=1e-6)


def test_a_model_is_left_as_it_was(weights, batch, key):
    model = NnxNetwork(weights, nnx.Rngs(0))
    before = jax.tree.map(np.asarray, nnx.state(model))
    probe.read(model, batch, "cross_entropy")
    assert type(model) is NnxNetwork and type(model.layers[0]) is nnx.Linear
    jax.tree.map(np.testing.assert_array_equal, before, jax.tree.map(np.asarray, nnx.state(model)))
    equinox = EquinoxNetwork(weights, key)
    probe.read(equinox, batch, "cross_entropy")
    assert type(equinox.layers[0]) is eqx.nn.Linear


def test_a_model_of_the_same_structure_is_traced_once(weights, batch, key):
    traced = []

    def counted(parameters, x):
        traced.append(1)
        return plain_network(parameters, x)

    parameters = {str(i): w for i, w in enumerate(weights)}
    first = probe.read((counted, parameters), batch, "cross_entropy")
    second = probe.read((counted, jax.tree.map(lambda w: 2 * w, parameters)), batch, "cross_entropy")
    assert len(traced) == 1
    assert second.layers[0].activation_rms == pytest.approx(2 * first.layers[0].activation_rms, rel=1e-5)
