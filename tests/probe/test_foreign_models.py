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


@pytest.fixture
def batch(key):
    return jax.random.normal(key, (6, 4)), jnp.arange(6) % 3


def initialised(module, *inputs, **keywords):
    return module, module.init(jax.random.key(0), *inputs, **keywords)


def rms(value):
    return float(jnp.sqrt(jnp.mean(jnp.square(value))))


def test_a_model_that_prints_is_read_and_prints_nothing(batch, capfd):
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
def test_a_scan_over_blocks_with_any_activation(batch, activation):
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
def test_a_recurrent_cell_with_any_activation(key, activation):
    class Recurrent(nn.Module):
        @nn.compact
        def __call__(self, x):
            return nn.Dense(3)(nn.RNN(nn.SimpleCell(8, activation_fn=activation))(x)[:, -1])

    batch = jax.random.normal(key, (6, 12, 4)), jnp.arange(6) % 3
    report = probe.read(initialised(Recurrent(), batch[0]), batch, "cross_entropy")
    assert {row.name.split("/")[0] for row in report.layers} == {"SimpleCell_0", "Dense_0"}
    assert all(math.isfinite(row.log10_gradient_norm) for row in report.layers)
