"""Modules that are not called as a whole: methods other than `__call__`, and modules that a function applies."""

import math

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from flax.training import train_state

from jaxnotes import diagnosis, probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


def rms(value):
    return float(jnp.sqrt(jnp.mean(jnp.square(value))))


class Autoencoder(nn.Module):
    def setup(self):
        self.narrow, self.wide = nn.Dense(3), nn.Dense(4)

    def encode(self, x, train=False):
        return nn.tanh(self.narrow(x)) * (2.0 if train else 1.0)

    def __call__(self, x):
        return self.wide(self.encode(x))


class NnxAutoencoder(nnx.Module):
    def __init__(self, rngs):
        self.narrow, self.wide = nnx.Linear(4, 3, rngs=rngs), nnx.Linear(3, 4, rngs=rngs)

    def encode(self, x):
        return nnx.tanh(self.narrow(x))

    def __call__(self, x):
        return self.wide(self.encode(x))


class EquinoxAutoencoder(eqx.Module):
    narrow: eqx.nn.Linear

    def encode(self, x):
        return jnp.tanh(self.narrow(x))


@pytest.mark.parametrize("by_name", [True, False])
def test_a_method_other_than_call_is_read(batch, by_name, key, initialised):
    x, _ = batch
    linen, nnx_model = initialised(Autoencoder(), x), NnxAutoencoder(nnx.Rngs(0))
    equinox = EquinoxAutoencoder(eqx.nn.Linear(4, 3, key=key))
    for model, kind in ((linen, Autoencoder), (nnx_model, NnxAutoencoder), (equinox, EquinoxAutoencoder)):
        report = probe.read(model, batch, "cross_entropy", method="encode" if by_name else kind.encode)
        assert [(row.name, row.activation) for row in report.layers] == [("narrow", "tanh")]
    hidden = x @ linen[1]["params"]["narrow"]["kernel"]
    report = probe.read(linen, batch, "cross_entropy", method="encode", train=True)  # the method's own switch
    loss = probe.LOSSES["cross_entropy"](2 * jnp.tanh(hidden), batch[1])
    assert report.train and report.loss == pytest.approx(float(loss), rel=1e-5)
    assert report.layers[0].activation_rms == pytest.approx(rms(hidden), rel=1e-5)


class Uncalled(nnx.Module):
    def __init__(self, rngs):
        self.layer = nnx.Linear(4, 3, rngs=rngs)


def test_a_method_that_is_not_there_is_one_line(batch, initialised):
    with pytest.raises(TypeError, match="Uncalled has no method '__call__'; name another by method="):
        probe.read(Uncalled(nnx.Rngs(0)), batch, "cross_entropy")
    with pytest.raises(TypeError, match="Autoencoder has no method 'decode'"):
        probe.read(initialised(Autoencoder(), batch[0]), batch, "cross_entropy", method="decode")
    with pytest.raises(TypeError, match="which Linen, NNX and Equinox modules take; model is a function"):
        probe.read(lambda x: x, batch, "cross_entropy", method="decode")


class Classifier(nn.Module):
    @nn.compact
    def __call__(self, x):
        h = nn.LayerNorm()(nn.Dense(8)(x))
        return nn.Dense(3)(nn.relu(h))


def test_layers_of_a_module_that_a_function_applies_are_met(batch, initialised):
    module, variables = initialised(Classifier(), batch[0])
    whole = probe.read((module, variables), batch, "cross_entropy")
    state = train_state.TrainState.create(apply_fn=module.apply, params=variables["params"], tx=optax.sgd(0.1))
    inside = probe.read((state.apply_fn, {"params": state.params}), batch, "cross_entropy")
    assert inside.framework == "plain" and inside.rows() == whole.rows()
    assert [row.weight_variance for row in inside.layers] == pytest.approx(
        [row.weight_variance for row in whole.layers], nan_ok=True
    )
    jitted = lambda params, x: jax.jit(module.apply)({"params": params}, x)
    assert probe.read((jitted, state.params), batch, "cross_entropy").rows() == whole.rows()
    closed = probe.read(lambda x: module.apply(variables, x), batch, "cross_entropy")
    assert [row.activation_rms for row in closed.layers] == [row.activation_rms for row in whole.layers]
    assert all(math.isnan(row.parameter_rms) for row in closed.layers)


def test_a_remedy_finds_the_weights_of_a_module_that_a_function_applies(key, initialised):
    batch = jax.random.normal(key, (32, 32)), jnp.arange(32) % 4
    module, variables = initialised(
        nn.Sequential([*(layer for _ in range(6) for layer in (nn.Dense(32), jnp.tanh)), nn.Dense(4)]), batch[0]
    )
    function = lambda parameters, x: module.apply(parameters["policy"], x)
    shrunk = jax.tree.map(lambda leaf: 0.02 * leaf if leaf.shape == (32, 32) else leaf, variables)
    model = function, {"policy": shrunk}
    report = probe.read(model, batch, "cross_entropy", jacobian=False)
    first = next(iter(diagnosis.verify(diagnosis.explain(report), report, model, batch, "cross_entropy", jacobian=False)))
    assert first.kind == "initialisation" and first.gone


def test_two_modules_of_one_function_have_the_names_and_parameters_of_their_places(batch, initialised):
    module, online = initialised(Classifier(), batch[0])
    target = jax.tree.map(lambda leaf: 2 * leaf, online)
    head = nn.Dense(3)
    parameters = {"online": online, "target": target, "head": head.init(jax.random.key(0), jnp.ones((1, 3)))}

    def difference(parameters, x):
        both = module.apply(parameters["online"], x) - module.apply(parameters["target"], x)
        return head.apply(parameters["head"], both)

    found = {row.name: row for row in probe.read((difference, parameters), batch, "cross_entropy").layers}
    assert {"online/Dense_0", "target/Dense_0", "head"} <= set(found) and len(found) == 7
    ratio = found["target/Dense_0"].weight_variance / found["online/Dense_0"].weight_variance
    assert ratio == pytest.approx(4, rel=1e-5)
    kernel = np.asarray(parameters["head"]["params"]["kernel"], np.float64)
    assert found["head"].weight_variance == pytest.approx(3 * kernel.var(), rel=1e-5)
    copies = lambda parameters, x: difference(jax.tree.map(lambda leaf: leaf + 0, parameters), x)
    again = {row.name: row for row in probe.read((copies, parameters), batch, "cross_entropy").layers}
    assert math.isnan(again["Dense_0"].weight_variance) and again["head"].weight_variance == found["head"].weight_variance
