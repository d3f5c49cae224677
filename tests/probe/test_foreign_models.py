"""Models as other people write them: prints, own scans, axis names, inputs of many forms, keys that are missing."""

import functools
import math
from typing import NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jaxnotes import probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def rms(value):
    return float(jnp.sqrt(jnp.mean(jnp.square(value))))


def test_a_model_that_prints_is_read_and_prints_nothing(batch, capfd, initialised):
    told = []

    class Printing(nn.Module):
        @nn.compact
        def __call__(self, x):
            h = nn.Dense(5)(x)
            jax.debug.print("h {}", h.mean())
            jax.debug.callback(told.append, h, ordered=True)
            return nn.Dense(3)(nn.relu(h))

    module, variables = initialised(Printing(), batch[0])
    jax.effects_barrier()
    capfd.readouterr()
    told.clear()
    report = probe.read((module, variables), batch, "cross_entropy")
    jax.effects_barrier()
    assert [(row.name, row.activation) for row in report.layers] == [("Dense_0", "relu"), ("Dense_1", "")]
    assert not told and not capfd.readouterr().out
    hidden = batch[0] @ variables["params"]["Dense_0"]["kernel"]
    assert report.layers[0].activation_rms == pytest.approx(rms(hidden), rel=1e-5)


@pytest.mark.parametrize("activation", [nn.relu, nn.silu, nn.softplus, nn.gelu])
def test_a_scan_over_blocks_with_any_activation(batch, activation, initialised):
    class Block(nn.Module):
        @nn.compact
        def __call__(self, x, _):
            return nn.LayerNorm()(nn.Dense(4)(activation(nn.Dense(8)(x)))), None

    class Scanned(nn.Module):
        @nn.compact
        def __call__(self, x):
            x, _ = nn.scan(Block, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)(name="stack")(x, None)
            return nn.Dense(3)(x)

    report = probe.read(initialised(Scanned(), batch[0]), batch, "cross_entropy")
    found = lambda name: [row.activation for row in report.layers if row.name == name]
    assert found("stack/Dense_1") == [activation.__name__] * 3


@pytest.mark.parametrize("activation", [nn.relu, nn.softplus])
def test_a_recurrent_cell_with_any_activation(key, activation, initialised):
    class Recurrent(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.RNN(nn.SimpleCell(8, activation_fn=activation))(x)[:, -1])

    batch = jax.random.normal(key, (6, 12, 4)), jnp.arange(6) % 3
    report = probe.read(initialised(Recurrent(), batch[0]), batch, "cross_entropy")
    cells = [row for row in report.layers if row.name == "SimpleCell_0/h"]
    assert len(cells) == 12 and all(row.over_time for row in cells)
    assert all(math.isfinite(row.log10_gradient_norm) for row in cells)


@pytest.mark.parametrize("name", ["devices", "batch"])
def test_batch_normalisation_over_a_named_axis(batch, name, initialised):
    class Normalised(nn.Module):
        axis: str | None

        @nn.compact
        def __call__(self, x, train):
            return nn.Dense(3)(nn.BatchNorm(use_running_average=not train, axis_name=self.axis)(nn.Dense(8)(x)))

    _, variables = initialised(Normalised(None), batch[0], train=False)
    named, plain = (probe.read((Normalised(axis), variables), batch, "cross_entropy") for axis in (name, None))
    same = lambda report: [(row.name, row.log10_gradient_norm, row.log10_jacobian_norm) for row in report.layers]
    assert same(named) == same(plain)


class Normalised(eqx.Module):
    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    last: eqx.nn.Linear

    def __call__(self, x, state):
        h, state = self.norm(self.first(x), state)
        return self.last(jax.nn.relu(h)), state


@pytest.mark.parametrize("mode", ["ema", "batch"])
def test_equinox_running_statistics_are_compared_under_any_axis_name(key, mode):
    layers = lambda: Normalised(
        eqx.nn.Linear(4, 8, key=key), eqx.nn.BatchNorm(8, "cases", mode=mode), eqx.nn.Linear(8, 3, key=key)
    )
    model, state = eqx.nn.make_with_state(layers)()
    x = 3 * jax.random.normal(key, (32, 4)) + 5
    new = probe.read((model, state), (x, jnp.arange(32) % 3), "cross_entropy", jacobian=False, train=False)
    hidden = np.asarray(jax.vmap(model.first)(x), np.float64)
    (statistics,) = new.running
    assert statistics.initial and statistics.values == 32 and statistics.mode == "inference"
    assert statistics.mean_distance == pytest.approx(math.sqrt(np.mean((hidden.mean(0) / hidden.std(0)) ** 2)), rel=1e-4)
    step = lambda state: jax.vmap(model, in_axes=(0, None), out_axes=(0, None), axis_name="cases")(x, state)[1]
    carried = functools.reduce(lambda state, _: step(state), range(30), state)
    after = probe.read((model, carried), (x, jnp.arange(32) % 3), "cross_entropy", jacobian=False, train=False)
    assert not after.running[0].initial and after.running[0].mean_distance < 0.01


def test_an_nnx_dropout_without_a_stream_is_missing_a_key(batch):
    class Model(nnx.Module):
        def __init__(self, rngs, stream):
            self.first, self.last = nnx.Linear(4, 8, rngs=rngs), nnx.Linear(8, 3, rngs=rngs)
            self.dropout = nnx.Dropout(0.5, rngs=stream)

        def __call__(self, x):
            return self.last(self.dropout(nnx.relu(self.first(x))))

    without, given = Model(nnx.Rngs(0), None), Model(nnx.Rngs(0), nnx.Rngs(1))
    for key in (None, jax.random.key(3)):
        report = probe.read(without, batch, "cross_entropy", key=key, jacobian=False)
        assert report.missing_key and "dropout: made without rngs" in report.notes[0]
    assert without.dropout.rngs is None
    assert not probe.read(given, batch, "cross_entropy", jacobian=False).missing_key
    assert not probe.read(without, batch, "cross_entropy", train=False, jacobian=False).missing_key


def test_switches_of_all_forms_are_reached(batch, initialised):
    class Argument(nnx.Module):
        def __init__(self, rngs):
            self.norm, self.last = nnx.BatchNorm(4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

        def __call__(self, x, training):
            return self.last(self.norm(x, use_running_average=not training))

    class Field(nn.Module):
        train: bool = True

        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.BatchNorm(use_running_average=not self.train)(x))

    for model in (Argument(nnx.Rngs(0)), initialised(Field(), batch[0])):
        for train in (True, False):
            report = probe.read(model, batch, "cross_entropy", train=train, jacobian=False)
            assert report.train is train and report.layers[0].mode == ("training" if train else "inference")
    assert probe.read(initialised(nn.Sequential([nn.Dense(3)]), batch[0]), batch, "cross_entropy", train=True).train is None


def test_a_module_with_a_list_and_a_dictionary_is_traced_once(batch):
    traced = []

    class Fields(nn.Module):
        widths: list
        options: dict

        @nn.compact
        def __call__(self, x):
            traced.append(1)
            for width in self.widths:
                x = nn.Dense(width, **self.options)(x)
            return x

    module = lambda bias: Fields([5, 3], {"use_bias": bias})
    variables = module(True).init(jax.random.key(0), batch[0])
    traced.clear()
    for _ in range(2):
        probe.read((module(True), variables), batch, "cross_entropy", jacobian=False)
    assert len(traced) == 1
    without = module(False).init(jax.random.key(0), batch[0])
    assert math.isnan(probe.read((module(False), without), batch, "cross_entropy", jacobian=False).layers[0].bias_variance)


def test_a_loss_per_example_and_one_with_auxiliary_values(batch):
    model = lambda x: probe.tap("h", jnp.tanh(x))
    each = lambda outputs, labels: jnp.square(outputs).sum(1)
    per_example, pair, plain = (
        probe.read(model, batch, loss)
        for loss in (each, lambda o, t: (each(o, t).mean(), {"kept": o}), lambda o, t: each(o, t).mean())
    )
    assert per_example.loss == pair.loss == plain.loss
    assert "their mean was taken" in per_example.notes[0] and "auxiliary" in pair.notes[0] and not plain.notes
    assert per_example.layers[0].log10_gradient_norm == plain.layers[0].log10_gradient_norm
    with pytest.raises(ValueError, match="the loss returned dict"):
        probe.read(model, batch, lambda o, t: {"loss": o.mean()})


class Graph(NamedTuple):
    nodes: jax.Array
    weights: jax.Array


def test_a_named_tuple_is_one_input_and_a_dictionary_is_no_batch(batch):
    x, labels = batch
    model = lambda graph: probe.tap("h", graph.nodes * graph.weights[:, None])
    report = probe.read(model, (Graph(x, jnp.ones(6)), labels), "cross_entropy")
    assert report.layers[0].activation_rms == pytest.approx(rms(x), rel=1e-6)
    with pytest.raises(TypeError, match=r"pass \(batch\['image'\], batch\['label'\]\)"):
        probe.read(model, {"image": x, "label": labels}, "cross_entropy")


class Scaled(eqx.Module):
    layer: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __call__(self, image, scale, *, key=None):
        first, _ = jax.random.split(key)
        return self.dropout(self.layer(image * scale), key=first)


def test_equinox_takes_inputs_by_name_and_splits_a_key_that_it_lacks(batch, key):
    (x, labels), scale = batch, jnp.arange(1.0, 7.0)
    model = Scaled(eqx.nn.Linear(4, 3, key=key), eqx.nn.Dropout(0.5))
    report = probe.read(model, ({"image": x, "scale": scale}, labels), "cross_entropy")
    expected = jax.vmap(model.layer)(x * scale[:, None])
    assert report.missing_key and report.layers[0].activation_rms == pytest.approx(rms(expected), rel=1e-5)
    by_place = probe.read(model, ((x, scale), labels), "cross_entropy", key=jax.random.key(0))
    assert not by_place.missing_key and by_place.loss == report.loss
    shared = probe.read(model, ({"image": x}, labels), "cross_entropy", keywords={"scale": jnp.ones(4)}, key=key)
    assert shared.layers[0].activation_rms == pytest.approx(rms(jax.vmap(model.layer)(x)), rel=1e-5)
    with pytest.raises(ValueError, match=r"input\[0\]: 6, input\[1\]: none"):
        probe.read(model, ((x, jnp.float32(1)), labels), "cross_entropy", key=key)
