"""Convolution against XLA's and Flax's, in value, gradient and forward derivative, over strides, paddings and sizes."""

import flax.linen as nn
import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from jaxnotes.layers.convolution import convolution, convolution_init

# (spatial sizes, kernel, stride, input channels): odd and even, kernels wider than the image, both of the CPU's forms.
CASES = [
    ((9,), (3,), (1,), 2),
    ((10,), (4,), (3,), 17),
    ((7, 6), (3, 3), (1, 1), 3),
    ((8, 5), (3, 2), (2, 3), 16),
    ((1, 3), (3, 5), (1, 2), 20),
    ((6, 6), (1, 1), (2, 2), 4),
]


def example(key, sizes, kernel, n_in, dtype=jnp.float32):
    key_params, key_bias, key_x = jax.random.split(key, 3)
    params = convolution_init(key_params, n_in, 5, kernel, dtype=dtype)
    return {**params, "bias": jax.random.normal(key_bias, (5,), dtype)}, jax.random.normal(key_x, (2, *sizes, n_in), dtype)


def flax_convolution(params, x, stride, padding):
    layer = nn.Conv(params["bias"].size, params["weight"].shape[:-2], stride, padding)
    return layer.apply({"params": {"kernel": params["weight"], "bias": params["bias"]}}, x)


def xla_convolution(params, x, stride, padding):
    dimensions = ("NHC", "HIO", "NHC") if x.ndim == 3 else ("NHWC", "HWIO", "NHWC")
    y = jax.lax.conv_general_dilated(x, params["weight"], stride, padding, dimension_numbers=dimensions)
    return y + params["bias"].reshape((1,) * (y.ndim - 1) + (-1,))


@pytest.mark.parametrize("padding", ["SAME", "VALID", "CIRCULAR"])
@pytest.mark.parametrize(("sizes", "kernel", "stride", "n_in"), CASES)
def test_value_and_gradient_equal_flax_and_xla(key, sizes, kernel, stride, n_in, padding):
    if padding == "VALID" and any(k > n for k, n in zip(kernel, sizes, strict=True)):
        pytest.skip("does not fit")
    params, x = example(key, sizes, kernel, n_in)

    def value_and_gradient(f):
        y = f(params, x)
        weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
        return y, jax.grad(lambda p, x: jnp.sum(weights * f(p, x) ** 2), (0, 1))(params, x)

    ours = jax.jit(lambda: value_and_gradient(lambda p, x: convolution(p, x, stride=stride, padding=padding)))()
    others = [flax_convolution] if padding == "CIRCULAR" else [flax_convolution, xla_convolution]
    for other in others:
        theirs = jax.jit(lambda f=other: value_and_gradient(lambda p, x: f(p, x, stride, padding)))()
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-4), ours, theirs)


@pytest.mark.parametrize(("platform", "form"), [("cpu", "dot_general"), ("tpu", "convolution"), ("cuda", "convolution")])
def test_gradients_are_computed_in_the_form_that_is_fast_on_the_platform(key, platform, form):
    params, x = example(key, (6, 6), (3, 3), 2)
    gradient = jax.jit(jax.grad(lambda p, x: jnp.sum(convolution(p, x) ** 2)))
    program = jax.export.export(gradient, platforms=[platform])(params, x).mlir_module()
    assert {name for name in ("dot_general", "convolution") if f"stablehlo.{name}" in program} == {form}


@pytest.mark.parametrize("n_in", [2, 16])
def test_derivatives_equal_finite_differences_in_both_modes(key, n_in):
    with jax.enable_x64(True):
        params, x = example(key, (5, 4), (3, 2), n_in, jnp.float64)
        # check_grads passes NumPy arrays, which the typed door refuses.
        f = lambda p, x: jnp.sin(convolution(jax.tree.map(jnp.asarray, p), jnp.asarray(x), stride=(2, 1)))
        check_grads(f, (params, x), order=2, modes=("fwd", "rev"))


def test_a_hand_computed_row():
    params = {"weight": jnp.asarray([1.0, 2.0, 3.0]).reshape(3, 1, 1), "bias": jnp.asarray([10.0])}
    x = jnp.asarray([1.0, 0.0, 2.0]).reshape(1, 3, 1)
    run = lambda padding: convolution(params, x, padding=padding).ravel().tolist()
    assert run("VALID") == [17.0]
    assert run("SAME") == [12.0, 17.0, 14.0]
    assert run("CIRCULAR") == [14.0, 17.0, 17.0]
    assert run("REFLECT") == [12.0, 17.0, 14.0]


@pytest.mark.parametrize("n_in", [3, 16])
def test_circular_convolution_commutes_with_shifts(key, n_in):
    params, x = example(key, (6, 5), (3, 3), n_in)
    shift = lambda a: jnp.roll(a, (2, -1), (1, 2))
    f = lambda a: convolution(params, a, padding="CIRCULAR")
    np.testing.assert_allclose(f(shift(x)), shift(f(x)), rtol=1e-5, atol=1e-5)


def test_vmap_over_parameters_equals_the_loop(key):
    x = jax.random.normal(key, (2, 6, 6, 16))
    stack = jax.vmap(lambda k: convolution_init(k, 16, 4, (3, 3)))(jax.random.split(key, 3))
    gradient = jax.grad(lambda p: jnp.sum(convolution(p, x) ** 2))
    loop = [gradient(jax.tree.map(lambda p, i=i: p[i], stack))["weight"] for i in range(3)]
    np.testing.assert_allclose(jax.vmap(gradient)(stack)["weight"], jnp.stack(loop), rtol=1e-4, atol=1e-3)


def test_initial_variance_is_he_over_the_kernels_cells(key):
    params = convolution_init(key, 32, 64, (3, 3))
    assert params["weight"].shape == (3, 3, 32, 64) and not params["bias"].any()
    np.testing.assert_allclose(params["weight"].var(), 2 / (9 * 32), rtol=5 * (2 / params["weight"].size) ** 0.5)


def test_nan_reaches_only_the_windows_that_see_it(key):
    params, x = example(key, (9,), (3,), 1)
    seen = np.isnan(convolution(params, x.at[0, 4].set(jnp.nan)))
    assert seen[0, 3:6].all() and not seen[0, :3].any() and not seen[0, 6:].any() and not seen[1].any()


def test_bfloat16_and_an_empty_batch_pass(key):
    params, x = example(key, (4, 4), (3, 3), 2, jnp.bfloat16)
    assert convolution(params, x).dtype == jnp.bfloat16
    assert convolution(params, x[:0]).shape == (0, 4, 4, 5)


def test_doors(key, unchecked):
    params, x = example(key, (6, 6), (3, 3), 2)
    for message, arguments, options in [
        (r"x has shape \(2, 6, 6, 1\) and the weight \(3, 3, 2, 5\)", (params, x[..., :1]), {}),
        (r"x has shape \(2, 0, 6, 2\); it must be", (params, x[:, :0]), {}),
        ("unknown padding 'same'; choose one of VALID, SAME, CIRCULAR, REFLECT", (params, x), {"padding": "same"}),
        ("stride is 0 over 2 spatial axes", (params, x), {"stride": 0}),
        (r"stride is \(1, 2, 3\) over 2 spatial axes", (params, x), {"stride": (1, 2, 3)}),
        (r"a window of \(3, 3\) does not fit into \(2, 6\)", (params, x[:, :2]), {"padding": "VALID"}),
        (r"\(1, 6\) is too small to be reflected", (params, x[:, :1]), {"padding": "REFLECT"}),
    ]:
        with pytest.raises(ValueError, match=message):
            convolution(*arguments, **options)
    with pytest.raises(TypeError, match="x has dtype int32"):
        convolution(params, x.astype(jnp.int32))
    with pytest.raises(ValueError, match=r"kernel_size is \(3, 3, 3\); give one or two sizes"):
        convolution_init(key, 2, 5, (3, 3, 3))
