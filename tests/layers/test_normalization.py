"""Normalisation layers against Flax Linen on the same parameters, forward and gradient, and the traps of their statistics."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.layers import normalization as norms


def parameters(key, shape):
    key_scale, key_shift = jax.random.split(key)
    return {"scale": 1 + 0.3 * jax.random.normal(key_scale, shape), "shift": jax.random.normal(key_shift, shape)}


def assert_equal_with_gradients(ours, theirs, params, x):
    """Both functions of (params, x) agree in value and in the gradient of an uneven loss by both arguments."""
    np.testing.assert_allclose(jax.jit(ours)(params, x), jax.jit(theirs)(params, x), rtol=2e-5, atol=2e-6)
    gradients = [jax.jit(jax.grad(lambda p, x, f=f: jnp.sum(jnp.sin(3 * f(p, x))), (0, 1)))(params, x) for f in (ours, theirs)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=5e-5), *gradients)


def flax_variables(params):
    return {"scale": params["scale"], "bias": params["shift"]} if "shift" in params else {"scale": params["scale"]}


@pytest.mark.parametrize("shape", [(16, 5), (3, 4, 5, 6)])
@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_equals_flax_with_its_running_statistics(key, shape, train):
    key_params, key_state, key_x = jax.random.split(key, 3)
    params, features = parameters(key_params, shape[-1:]), shape[-1]
    state = {"mean": jax.random.normal(key_state, (features,)), "variance": 1 + jax.random.uniform(key_state, (features,))}
    x = 2 + 3 * jax.random.normal(key_x, shape)
    layer = nn.BatchNorm(use_running_average=not train, momentum=0.8, epsilon=1e-4, use_fast_variance=False)

    def of_flax(params, x):
        variables = {"params": flax_variables(params), "batch_stats": {"mean": state["mean"], "var": state["variance"]}}
        return layer.apply(variables, x, mutable=["batch_stats"])

    def ours(params, x):
        return norms.batch_norm(params, state, x, train=train, momentum=0.8, epsilon=1e-4)

    assert_equal_with_gradients(lambda p, x: ours(p, x)[0], lambda p, x: of_flax(p, x)[0], params, x)
    new, theirs = ours(params, x)[1], of_flax(params, x)[1]["batch_stats"]
    np.testing.assert_allclose(new["mean"], theirs["mean"], rtol=1e-5)
    np.testing.assert_allclose(new["variance"], theirs["var"], rtol=1e-5)


def test_normalising_by_the_batch_alone_is_batch_norm_in_training(key, unchecked):
    key_params, key_x = jax.random.split(key)
    params, x = parameters(key_params, (3,)), jax.random.normal(key_x, (4, 5, 3))
    expected, _ = norms.batch_norm(params, norms.batch_norm_state(3), x, train=True, epsilon=1e-3)
    np.testing.assert_array_equal(norms.normalise_by_batch(params, x, epsilon=1e-3), expected)
    for wrong, message in ((x[:0], "without examples"), (x[0, 0], r"must be \[batch, ..., features\]")):
        with pytest.raises(ValueError, match=message):
            norms.normalise_by_batch({}, wrong)


def test_the_running_variance_is_biased_or_unbiased_and_momentum_weighs_the_old_value(key):
    x = jax.random.normal(key, (5, 3))
    state = {"mean": jnp.full(3, 10.0), "variance": jnp.full(3, 4.0)}
    for name, ddof in (("biased", 0), ("unbiased", 1)):
        _, new = norms.batch_norm({}, state, x, train=True, momentum=0.7, running_variance=name)
        np.testing.assert_allclose(new["variance"], 0.7 * 4 + 0.3 * np.var(np.asarray(x), axis=0, ddof=ddof), rtol=1e-5)
        np.testing.assert_allclose(new["mean"], 7 + 0.3 * np.mean(np.asarray(x), axis=0), rtol=1e-5)
    _, kept = norms.batch_norm({}, state, x, train=True, momentum=1.0)
    np.testing.assert_array_equal(kept["mean"], state["mean"])


def test_inference_before_the_first_update_is_almost_the_identity_and_does_not_see_the_batch(key):
    x, state = jax.random.normal(key, (6, 4)), norms.batch_norm_state(4)
    y, after = norms.batch_norm(norms.norm_init(4), state, x, train=False)
    np.testing.assert_allclose(y, x / np.sqrt(1 + 1e-5), rtol=1e-6)
    np.testing.assert_array_equal(y[:1], norms.batch_norm(norms.norm_init(4), state, x[:1], train=False)[0])
    assert after is state
    assert norms.batch_norm({}, state, x[:0], train=False)[0].shape == (0, 4)


def test_the_variance_of_a_large_mean_does_not_cancel(key):
    x = 100 + 0.01 * jax.random.normal(key, (100_000, 1), jnp.float32)
    variance = float(norms.mean_and_variance(x, 0)[1][0, 0])
    assert variance == pytest.approx(1e-4, rel=0.02)  # five standard errors
    assert variance == pytest.approx(np.var(np.asarray(x, np.float64)), rel=1e-4)
    assert abs(float((x**2).mean() - x.mean() ** 2) - 1e-4) > 1e-5  # the one-pass formula is lost here


@pytest.mark.parametrize("axes", [-1, (1, 3), (0, 2), (0, 1, 2, 3)])
def test_layer_and_rms_norm_equal_flax_over_any_axes(key, axes):
    x = 1 + 2 * jax.random.normal(key, (4, 3, 5, 6))
    positive = [a % 4 for a in ((axes,) if isinstance(axes, int) else axes)]
    params = parameters(key, [x.shape[a] for a in positive])
    options = {"epsilon": 1e-4, "reduction_axes": axes, "feature_axes": axes, "use_fast_variance": False}
    layer = nn.LayerNorm(**options)
    assert_equal_with_gradients(
        lambda p, x: norms.layer_norm(p, x, axes=axes, epsilon=1e-4),
        lambda p, x: layer.apply({"params": flax_variables(p)}, x),
        params,
        x,
    )
    only_scale = {"scale": params["scale"]}
    assert_equal_with_gradients(
        lambda p, x: norms.rms_norm(p, x, axes=axes, epsilon=1e-4),
        lambda p, x: nn.RMSNorm(**options).apply({"params": p}, x),
        only_scale,
        x,
    )


@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 5, 6)])
def test_group_norm_equals_flax(key, groups, shape):
    x, params = 1 + 2 * jax.random.normal(key, shape), parameters(key, (6,))
    layer = nn.GroupNorm(num_groups=groups, epsilon=1e-3, use_fast_variance=False)
    assert_equal_with_gradients(
        lambda p, x: norms.group_norm(p, x, groups=groups, epsilon=1e-3),
        lambda p, x: layer.apply({"params": flax_variables(p)}, x),
        params,
        x,
    )


def every_norm(params, x):
    return (
        norms.batch_norm(params, norms.batch_norm_state(x.shape[-1]), x, train=True)[0],
        norms.layer_norm(params, x),
        norms.group_norm(params, x, groups=2),
    )


def test_constant_input_gives_the_shift_and_no_gradient():
    params = {"scale": jnp.full(4, 2.0), "shift": jnp.arange(4.0)}
    x = jnp.full((3, 4), 7.0)
    for y in every_norm(params, x):
        np.testing.assert_array_equal(y, np.broadcast_to(np.arange(4.0), (3, 4)))
    gradient = jax.grad(lambda x: sum(jnp.sum(jnp.sin(y + jnp.eye(3, 4))) for y in every_norm(params, x)))(x)
    assert np.isfinite(gradient).all()


def test_a_single_example_gives_the_shift_passes_no_gradient_and_updates_the_state(key):
    x, params = jax.random.normal(key, (1, 4)), norms.norm_init(4) | {"shift": jnp.arange(4.0)}
    run = lambda x: norms.batch_norm(params, norms.batch_norm_state(4), x, train=True)
    np.testing.assert_array_equal(run(x)[0], [[0, 1, 2, 3]])
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sum(jnp.sin(run(x)[0])))(x), np.zeros((1, 4)))
    np.testing.assert_allclose(run(x)[1]["variance"], np.full(4, 0.9), rtol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_small_types_are_normalised_in_float32(key, dtype):
    x = (300 + 50 * jax.random.normal(key, (64, 8))).astype(dtype)  # squares would overflow float16
    params = norms.norm_init(8, dtype)
    for y, wide in zip(every_norm(params, x), every_norm(norms.norm_init(8), x.astype(jnp.float32)), strict=True):
        assert y.dtype == dtype
        np.testing.assert_allclose(y.astype(jnp.float32), wide, rtol=8 * float(jnp.finfo(dtype).eps), atol=1e-3)


def test_nan_stays_in_its_feature_or_its_example(key):
    x = jax.random.normal(key, (4, 6)).at[1, 2].set(jnp.nan)
    of_batch, of_layer, _ = every_norm({}, x)
    assert np.isnan(of_batch).any(0).tolist() == [False, False, True, False, False, False]
    assert np.isnan(of_layer).any(1).tolist() == [False, True, False, False]


def test_gradients_equal_finite_differences(key):
    with jax.enable_x64(True):
        x = jax.random.normal(key, (5, 4), jnp.float64)
        params = {"scale": jnp.linspace(0.5, 2, 4), "shift": jnp.linspace(-1, 1, 4)}
        loss = lambda x: sum(jnp.sum(jnp.sin(3 * y)) for y in every_norm(params, x))
        direction = jax.random.normal(jax.random.fold_in(key, 1), x.shape, jnp.float64)
        slope = (loss(x + 1e-5 * direction) - loss(x - 1e-5 * direction)) / 2e-5
        assert float(jnp.sum(jax.grad(loss)(x) * direction)) == pytest.approx(float(slope), rel=1e-7)


def test_doors(unchecked):
    x, state = jnp.ones((4, 6)), norms.batch_norm_state(6)
    with pytest.raises(ValueError, match=r"scale has shape \(5,\); it must have the sizes of x that are normalised: \(6,\)"):
        norms.batch_norm(norms.norm_init(5), state, x, train=True)
    with pytest.raises(ValueError, match=r"running mean has shape \(5,\)"):
        norms.batch_norm({}, norms.batch_norm_state(5), x, train=True)
    with pytest.raises(ValueError, match="a batch without examples has no statistics"):
        norms.batch_norm({}, state, x[:0], train=True)
    with pytest.raises(ValueError, match="unbiased variance of a single value per feature is 0/0"):
        norms.batch_norm({}, state, x[:1], train=True, running_variance="unbiased")
    with pytest.raises(ValueError, match="unknown running_variance 'sample'; choose one of biased, unbiased"):
        norms.batch_norm({}, state, x, train=True, running_variance="sample")
    with pytest.raises(ValueError, match="momentum is 1.1; it is the weight of the old value"):
        norms.batch_norm({}, state, x, train=True, momentum=1.1)
    with pytest.raises(ValueError, match="epsilon is 0.0; it is added to the variance, which may be 0, and must be positive"):
        norms.layer_norm({}, x, epsilon=0.0)
    with pytest.raises(TypeError, match="x has dtype int32; floats are expected"):
        norms.rms_norm({}, x.astype(jnp.int32))
    with pytest.raises(ValueError, match=r"x has shape \(6,\); it must be \[batch, ..., features\]"):
        norms.group_norm({}, x[0], groups=2)
    with pytest.raises(ValueError, match="groups is 4 with 6 features"):
        norms.group_norm({}, x, groups=4)
    for axes in (2, (0, -2), ()):
        with pytest.raises(ValueError, match="name one or more different axes of x"):
            norms.layer_norm({}, x, axes=axes)
    with pytest.raises(ValueError, match=r"scale has shape \(4,\); it must have the sizes of x that are normalised: \(6,\)"):
        norms.layer_norm(norms.norm_init(4), x)


def test_gradient_at_the_stated_limit(key):
    """Normalisation does not see the scale, so that its gradient at s x is that at x over s; s x deviates by up to 4e12."""
    x = jax.random.normal(key, (4, 6))
    weights = jnp.arange(24.0).reshape(4, 6)
    for norm in (norms.layer_norm, norms.rms_norm, norms.normalise_by_batch):
        gradient = jax.grad(lambda x, norm=norm: (weights * norm({}, x, epsilon=1e-12)).sum())
        np.testing.assert_allclose(1e12 * gradient(1e12 * x), gradient(x), rtol=1e-3, atol=1e-4)
