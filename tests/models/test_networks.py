"""MLP and residual network against Flax Linen modules that hold the same parameters, forward and gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.layers.activations import relu, tanh
from jaxnotes.layers.initializers import he_normal, weight_variance
from jaxnotes.models.mlp import hidden_layer, mlp, mlp_init, stack_init
from jaxnotes.models.residual_network import residual_layer, residual_network, residual_network_init

SIZES = {"n_in": 5, "width": 7, "depth": 4, "n_out": 3}


class FlaxNetwork(nn.Module):
    """The textbook loop over layers, residual or plain."""

    residual: bool
    scale: float = 1.0

    @nn.compact
    def __call__(self, x):
        h = nn.Dense(SIZES["width"], name="input")(x)
        h = h if self.residual else nn.tanh(h)
        for layer in range(SIZES["depth"]):
            dense = nn.Dense(SIZES["width"], name=f"hidden_{layer}")
            h = h + self.scale * dense(nn.tanh(h)) if self.residual else nn.tanh(dense(h))
        return nn.Dense(SIZES["n_out"], name="output")(nn.tanh(h) if self.residual else h)


def as_flax(params):
    """Our stacked parameters under Flax's names."""
    layers = {f"hidden_{i}": jax.tree.map(lambda p, i=i: p[i], params["hidden"]) for i in range(SIZES["depth"])}
    layers |= {"input": params["input"], "output": params["output"]}
    return {"params": {name: {"kernel": p["weight"], "bias": p["bias"]} for name, p in layers.items()}}


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("batch", [1, 6])
def test_forward_and_gradient_equal_flax(key, residual, batch):
    init = residual_network_init if residual else mlp_init
    params = init(key, **SIZES, bias_variance=0.1)
    x = jax.random.normal(key, (batch, 5))
    options = {"branch_scale": 0.5} if residual else {}
    ours = lambda p: (residual_network if residual else mlp)(p, x, activation=tanh, **options)
    theirs = lambda p: FlaxNetwork(residual, 0.5).apply(as_flax(p), x)
    np.testing.assert_allclose(jax.jit(ours)(params), jax.jit(theirs)(params), rtol=2e-5, atol=1e-6)
    gradients = [jax.jit(jax.grad(lambda p, f=f: jnp.sum(f(p) ** 2)))(params) for f in (ours, theirs)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), *gradients)


def test_a_zero_branch_starts_as_the_identity(key):
    params = residual_network_init(key, **SIZES, zero_branch=True)
    shallow = {**params, "hidden": jax.tree.map(lambda p: p[:1], params["hidden"])}
    x = jax.random.normal(key, (2, 5))
    apply = lambda p: residual_network(p, x, activation=relu)
    np.testing.assert_array_equal(apply(params), apply(shallow))


def test_without_its_shortcuts_it_is_the_mlp(key):
    params, x = mlp_init(key, **SIZES, bias_variance=0.1), jax.random.normal(key, (2, 5))
    np.testing.assert_array_equal(
        residual_network(params, x, activation=tanh, shortcut_scale=0.0), mlp(params, x, activation=tanh)
    )


@pytest.mark.parametrize("residual", [False, True])
def test_compiled_equals_eager(key, residual):
    params = (residual_network_init if residual else mlp_init)(key, **SIZES)
    run = lambda p, x: (residual_network if residual else mlp)(p, x, activation=tanh)
    x = jax.random.normal(key, (2, 5))
    np.testing.assert_allclose(jax.jit(run)(params, x), run(params, x), rtol=1e-5, atol=1e-6)


def test_layers_of_a_stack_are_independent_draws(key):
    stack = stack_init(key, 64, 3, initializer=weight_variance(2.0), bias_variance=0.5)
    weights = np.asarray(stack["weight"]).reshape(3, -1)
    assert np.abs(np.corrcoef(weights) - np.eye(3)).max() < 5 / 64
    assert stack["bias"].shape == (3, 64)


def test_layer_functions_are_the_networks_layers(key):
    layer_params = jax.tree.map(lambda p: p[0], stack_init(key, 7, 1))
    h = jax.random.normal(key, (2, 7))
    apart = h @ layer_params["weight"]
    np.testing.assert_allclose(hidden_layer(tanh)(layer_params, h), jnp.tanh(apart), rtol=1e-5)
    block = h + 0.1 * (jnp.tanh(h) @ layer_params["weight"])
    np.testing.assert_allclose(residual_layer(tanh, 0.1)(layer_params, h), block, rtol=1e-5, atol=1e-6)


def test_vmap_over_seeds_equals_the_loop(key):
    keys, x = jax.random.split(key, 3), jax.random.normal(key, (2, 5))
    run = jax.jit(lambda k: mlp(mlp_init(k, **SIZES, initializer=he_normal), x, activation=relu))
    np.testing.assert_allclose(jax.vmap(run)(keys), jnp.stack([run(k) for k in keys]), rtol=1e-4, atol=1e-6)


def test_depth_is_data_not_program():
    size = lambda depth: len(str(jax.make_jaxpr(lambda k: mlp(
        mlp_init(k, 5, 7, depth, 3), jnp.ones((2, 5)), activation=relu))(jax.random.key(0))))  # fmt: skip
    assert size(2000) < size(2) + 200


def test_doors(key, unchecked):
    with pytest.raises(ValueError, match="depth is 0; it must be at least 1"):
        mlp_init(key, 5, 7, 0, 3)
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\); it must be \[..., n_in\] with n_in = 5"):
        mlp(mlp_init(key, **SIZES), jnp.ones((2, 4)), activation=relu)
