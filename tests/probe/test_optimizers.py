"""The optimiser's first update, on the user's own tree of parameters, against Optax on that tree."""

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from jaxnotes import probe

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, name="head")(nn.tanh(nn.Dense(5, name="body")(x)))


class NnxNetwork(nnx.Module):
    def __init__(self, rngs):
        self.body, self.head = nnx.Linear(4, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(nnx.tanh(self.body(x)))


class EquinoxNetwork(eqx.Module):
    body: eqx.nn.Linear
    head: eqx.nn.Linear

    def __call__(self, x):
        return self.head(jnp.tanh(self.body(x)))


def model_of(framework, key):
    keys = jax.random.split(key)
    if framework == "linen":
        return Network(), Network().init(key, jnp.zeros((1, 4)))
    if framework == "nnx":
        return NnxNetwork(nnx.Rngs(0))
    return EquinoxNetwork(eqx.nn.Linear(4, 5, key=keys[0]), eqx.nn.Linear(5, 3, key=keys[1]))


def of_head(tree):
    return jax.tree_util.tree_map_with_path(lambda path, _: "head" in jax.tree_util.keystr(path), tree)


def labels(tree):
    return jax.tree.map(lambda head: "head" if head else "body", of_head(tree))


@pytest.mark.parametrize("framework", ["linen", "nnx", "equinox"])
def test_masks_and_labels_by_name_find_the_users_own_tree(framework, batch, key):
    model = model_of(framework, key)
    frozen = probe.read(
        model, batch, "cross_entropy", optimizer=optax.partition({"head": optax.sgd(0.1), "body": optax.set_to_zero()}, labels)
    )
    body, head = frozen.layers
    assert body.update_ratio == 0
    assert head.update_ratio == pytest.approx(0.1 * head.parameter_gradient_rms / head.parameter_rms, rel=1e-5)
    decayed = probe.read(model, batch, "cross_entropy", optimizer=optax.masked(optax.add_decayed_weights(1e6), of_head))
    step = lambda row: row.update_ratio * row.parameter_rms
    assert step(decayed.layers[0]) == pytest.approx(decayed.layers[0].parameter_gradient_rms, rel=1e-5)
    assert step(decayed.layers[1]) == pytest.approx(1e6 * head.parameter_rms, rel=1e-4)


def test_a_mask_of_adamw_that_is_a_tree(batch, key):
    module, variables = model_of("linen", key)
    optimizer = optax.adamw(0.01, weight_decay=0.5, mask=of_head(variables["params"]))
    report = probe.read((module, variables), batch, "cross_entropy", optimizer=optimizer)
    loss = lambda p: probe.LOSSES["cross_entropy"](module.apply({"params": p}, batch[0]), batch[1])
    p = variables["params"]
    update = optimizer.update(jax.grad(loss)(p), optimizer.init(p), p)[0]
    for row, name in zip(report.layers, ("body", "head"), strict=True):
        rms = lambda tree: np.sqrt(np.mean(np.square(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]))))
        assert row.update_ratio == pytest.approx(rms(update[name]) / rms(p[name]), rel=1e-4)


def test_a_mask_of_another_tree_is_one_clear_line(batch, key):
    module, variables = model_of("linen", key)
    optimizer = optax.adamw(0.01, mask={"trunk": True})
    with pytest.raises(ValueError, match=r"whose first is \['body'\]\['bias'\].*variables\['params'\]"):
        probe.read((module, variables), batch, "cross_entropy", optimizer=optimizer)
