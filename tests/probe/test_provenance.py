"""What a traced program says of a model: which weights a step has, what is summed over, what is an activation or an output."""

import functools
import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.mark.parametrize("axis", [0, 1])
def test_scanned_weights_are_split_along_the_axis_they_are_stacked_on(batch, axis, initialised):
    class Scanned(nn.Module):
        @nn.compact
        def __call__(self, x):
            block = nn.scan(Block, variable_axes={"params": axis}, split_rngs={"params": True}, length=4)
            return nn.Dense(3)(block(name="stack")(x, None)[0])

    module, variables = initialised(Scanned(), batch[0])
    kernel = np.moveaxis(np.asarray(variables["params"]["stack"]["Dense_0"]["kernel"], np.float64), axis, 0)
    expected = [4 * k.var() for k in kernel]
    report = probe.read((module, variables), batch, "cross_entropy")
    rows = [row for row in report.layers if row.name == "stack/Dense_0"]
    assert not any(row.over_time for row in rows)
    assert [row.weight_variance for row in rows] == pytest.approx(expected, rel=1e-5)
    short = probe.read((module, variables), batch, "cross_entropy", summarise_steps=True, jacobian=False)
    assert short.layers[0].weight_variance == pytest.approx(4 * kernel.var(), rel=1e-5)  # fan-in 4, not 4 layers times 4


class Block(nn.Module):
    @nn.compact
    def __call__(self, x, _):
        return x + nn.tanh(nn.Dense(4)(x)), None


def test_a_cell_with_as_many_steps_as_its_kernel_has_rows_keeps_its_kernel(key, initialised):
    class Recurrent(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.RNN(nn.SimpleCell(4))(x)[:, -1])

    batch = jax.random.normal(key, (6, 4, 4)), jnp.arange(6) % 3
    module, variables = initialised(Recurrent(), batch[0])
    kernel = np.asarray(variables["params"]["SimpleCell_0"]["h"]["kernel"], np.float64)
    report = probe.read((module, variables), batch, "cross_entropy", jacobian=False)
    rows = [row for row in report.layers if row.name == "SimpleCell_0/h"]
    assert [row.weight_variance for row in rows] == pytest.approx([4 * kernel.var()] * 4, rel=1e-5)


def test_the_fan_in_is_what_a_product_sums_over(key, initialised):
    class Several(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.MultiHeadDotProductAttention(4, name="attention")(x, x).mean(1)
            split = {"variable_axes": {"params": 0}, "split_rngs": {"params": True}}
            ensemble = nn.vmap(nn.Dense, in_axes=None, axis_size=7, **split)
            return nn.Dense(3)(nn.tanh(ensemble(5, name="ensemble")(h)).mean(0))

    batch = jax.random.normal(key, (6, 5, 8)), jnp.arange(6) % 3
    module, variables = initialised(Several(), batch[0])
    found = {row.name: row for row in probe.read((module, variables), batch, "cross_entropy", jacobian=False).layers}
    of = lambda *path: float(np.var(np.asarray(functools.reduce(lambda tree, name: tree[name], path, variables["params"]))))
    for name in ("query", "key", "value", "out"):  # 8 inputs, in 4 heads of 2: 8 × 4 × 2, and 4 × 2 × 8 back
        assert found[f"attention/{name}"].weight_variance == pytest.approx(8 * of("attention", name, "kernel"), rel=1e-5)
    assert found["ensemble"].weight_variance == pytest.approx(8 * of("ensemble", "kernel"), rel=1e-5)  # 7 × 8 × 5


def test_an_embedding_is_no_weight_layer_in_any_framework(key):
    class Model(eqx.Module):
        table: eqx.nn.Embedding
        out: eqx.nn.Linear

        def __call__(self, tokens):
            return self.out(jax.vmap(self.table)(tokens).mean(0))

    model = Model(eqx.nn.Embedding(11, 8, key=key), eqx.nn.Linear(8, 3, key=key))
    report = probe.read(model, (jnp.arange(30).reshape(6, 5) % 11, jnp.arange(6) % 3), "cross_entropy", jacobian=False)
    assert math.isnan(report.layers[0].weight_variance)
    assert report.layers[1].weight_variance == pytest.approx(8 * float(np.var(np.asarray(model.out.weight))), rel=1e-5)


def test_normalisation_an_exponential_and_the_loss_are_no_activation(key, initialised):
    class Normalised(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.relu(nn.LayerNorm()(nn.Dense(8)(x)))
            mean, log_variance = nn.Dense(4)(h), nn.Dense(4)(h)
            z = mean + jnp.exp(0.5 * log_variance) * jnp.ones_like(x).cumsum(0)
            return nn.Dense(4)(nn.RMSNorm()(nn.Dense(8)(z)))

    batch = jax.random.normal(key, (6, 4)), jnp.zeros((6, 4))
    log_loss = lambda outputs, targets: -jnp.mean(jnp.log(jnp.clip(outputs, 1e-6, 1.0)))
    report = probe.read(initialised(Normalised(), batch[0]), batch, log_loss, jacobian=False)
    assert {row.name: row.activation for row in report.layers if row.activation} == {"LayerNorm_0": "relu"}
    assert report.layers[-1].is_output and not report.layers[0].is_output


def test_a_straight_through_estimator_kills_no_unit(key):
    @jax.custom_vjp
    def rounded(x):
        return jnp.round(x)

    rounded.defvjp(lambda x: (rounded(x), None), lambda _, g: (g,))
    model = lambda p, x: probe.tap("b", rounded(probe.tap("a", 0.1 * x @ p)))
    batch = jax.random.normal(key, (6, 4)), jnp.zeros((6, 4))
    report = probe.read((model, jnp.eye(4)), batch, "squared_error", jacobian=False)
    assert report.layers[0].activation == "" and report.layers[0].dead_fraction == 0


def test_what_does_not_depend_on_the_examples_has_no_spread(key, initialised):
    class Model(nn.Module):
        @nn.compact
        def __call__(self, x, kind):
            place = jnp.broadcast_to(nn.Embed(5, 8, name="place")(jnp.arange(5)), x.shape)
            return nn.Dense(3)((nn.Dense(8)(x) + place + nn.Embed(2, 8, name="kind")(kind)[:, None]).mean(1))

    inputs = jax.random.normal(key, (6, 5, 8)), jnp.zeros(6, jnp.int32)
    model = initialised(Model(), *inputs)
    read = lambda inputs: {r.name: r.spread for r in probe.read(model, (inputs, jnp.arange(6) % 3), "cross_entropy").layers}
    spread = read(inputs)
    assert math.isnan(spread["place"]) and math.isnan(spread["kind"]) and spread["Dense_0"] > 0.1
    same = read((jnp.broadcast_to(inputs[0][:1], inputs[0].shape), inputs[1]))  # the examples are all the same: that is a fault
    assert max(same["kind"], same["Dense_0"]) < 1e-6
