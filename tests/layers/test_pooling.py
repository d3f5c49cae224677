"""Pooling against Flax's in value and gradient, against values computed by hand, and Zhang's filter against SciPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxnotes.layers.pooling import (
    average_pool,
    blur_pool,
    global_average_pool,
    global_max_pool,
    max_blur_pool,
    max_pool,
    polyphase_pool,
)

CASES = [((9,), (2,), (2,)), ((8,), (3,), (1,)), ((7, 6), (2, 2), (2, 2)), ((6, 5), (3, 3), (2, 1)), ((3, 4), (3, 2), (3, 3))]


def value_and_gradient(f, x):
    y = f(x)
    weights = jnp.cos(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)
    return y, jax.grad(lambda x: jnp.sum(weights * f(x)))(x)


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("sizes", "window", "stride"), CASES)
def test_value_and_gradient_equal_flax(key, sizes, window, stride, padding):
    x = jax.random.normal(key, (2, *sizes, 3))
    options = {"stride": stride, "padding": padding}
    pairs = [
        (lambda x: max_pool(x, window, **options), lambda x: nn.max_pool(x, window, stride, padding)),
        *(
            (
                lambda x, c=c: average_pool(x, window, count_padding=c, **options),
                lambda x, c=c: nn.avg_pool(x, window, stride, padding, count_include_pad=c),
            )
            for c in (True, False)
        ),
    ]
    for pair in pairs:
        with jax.numpy_dtype_promotion("standard"):  # Flax divides by an integer count
            ours, theirs = (jax.jit(lambda x, f=f: value_and_gradient(f, x))(x) for f in pair)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)


def test_padded_cells_counted_or_not():
    x = jnp.asarray([1.0, 2.0]).reshape(1, 2, 1)
    run = lambda count: average_pool(x, 2, stride=1, padding="SAME", count_padding=count).ravel().tolist()
    assert run(True) == [1.5, 1.0]
    assert run(False) == [1.5, 2.0]


def test_circular_and_reflected_windows():
    x = jnp.asarray([4.0, 1.0, 2.0]).reshape(1, 3, 1)
    run = lambda pool, padding: pool(x, 3, stride=1, padding=padding).ravel().tolist()
    assert run(max_pool, "CIRCULAR") == [4.0, 4.0, 4.0]
    assert run(max_pool, "REFLECT") == [4.0, 4.0, 2.0]
    np.testing.assert_allclose(run(average_pool, "CIRCULAR"), [7 / 3] * 3, rtol=1e-6)
    np.testing.assert_allclose(run(average_pool, "REFLECT"), [2, 7 / 3, 4 / 3], rtol=1e-6)


def test_gradient_of_equal_cells_goes_to_the_first():
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x, 2)))(jnp.zeros((1, 4, 4, 1)))
    np.testing.assert_array_equal(gradient[0, ..., 0], np.kron(np.ones((2, 2)), [[1, 0], [0, 0]]))


@pytest.mark.parametrize("cell", [0, 1, 2, 3])
def test_nan_and_infinity_pass(cell):
    x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    place = (0, cell // 2, cell % 2, 0)
    assert np.isnan(max_pool(x.at[place].set(jnp.nan), 2)).all()
    assert np.isnan(average_pool(x.at[place].set(jnp.nan), 2)).all()
    assert max_pool(x.at[place].set(jnp.inf), 2).item() == np.inf
    assert max_pool(jnp.full((1, 2, 2, 1), -jnp.inf), 2).item() == -np.inf


def test_negative_borders_are_not_padded_with_zero():
    assert max_pool(-jnp.ones((1, 3, 3, 1)), 2, padding="SAME").max() == -1


@pytest.mark.parametrize("ours", [(global_max_pool, jnp.max), (global_average_pool, jnp.mean)], ids=["max", "average"])
@pytest.mark.parametrize("sizes", [(5,), (4, 3), (2, 3, 2)])
def test_global_pools_equal_reductions(key, ours, sizes):
    x = jax.random.normal(key, (3, *sizes, 2))
    assert ours[0](x).shape == (3, 2)
    flat = np.asarray(x, np.float64).reshape(3, -1, 2)
    expected = flat.max(1) if ours[1] is jnp.max else flat.mean(1)
    np.testing.assert_allclose(ours[0](x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("size", "row"), [(2, [1, 1]), (3, [1, 2, 1]), (5, [1, 4, 6, 4, 1])])
@pytest.mark.parametrize(("padding", "mode"), [("REFLECT", "mirror"), ("CIRCULAR", "wrap"), ("SAME", "constant")])
def test_blur_equals_scipys_correlation_with_the_papers_filter(key, size, row, padding, mode):
    if padding == "SAME" and size == 2:
        pytest.skip("an even filter's odd padded cell differs")
    x = jax.random.normal(key, (1, 9, 8, 2))
    kernel = np.outer(row, row) / np.sum(row) ** 2
    origin = -1 if size == 2 else 0
    expected = [ndimage.correlate(np.asarray(x[0, ..., c], np.float64), kernel, mode=mode, origin=origin) for c in range(2)]
    ours = blur_pool(x, stride=1, filter_size=size, padding=padding)
    np.testing.assert_allclose(ours[0], np.stack(expected, -1), rtol=1e-5, atol=1e-6)
    if padding != "SAME":  # SAME's padding depends on the stride
        np.testing.assert_array_equal(blur_pool(x, stride=2, filter_size=size, padding=padding), ours[:, ::2, ::2])


def test_blur_keeps_constants_and_removes_the_highest_frequency():
    constant, checkerboard = jnp.full((1, 8, 1), 3.0), jnp.asarray([1.0, -1.0] * 4).reshape(1, 8, 1)
    np.testing.assert_array_equal(blur_pool(constant), jnp.full((1, 4, 1), 3.0))
    np.testing.assert_array_equal(blur_pool(checkerboard), jnp.zeros((1, 4, 1)))
    # Zhang (2019), figure 4: max pooling of 0 0 1 1 0 0 1 1 and of the same shifted by one differ; blurred they are closer.
    wave = jnp.asarray([0.0, 0, 1, 1, 0, 0, 1, 1]).reshape(1, 8, 1)
    shifted = jnp.roll(wave, 1, 1)
    np.testing.assert_array_equal(max_pool(wave, 2).ravel(), [0, 1, 0, 1])
    np.testing.assert_array_equal(max_pool(shifted, 2).ravel(), [1, 1, 1, 1])
    np.testing.assert_array_equal(max_blur_pool(wave, 2, padding="CIRCULAR").ravel(), [0.5, 1, 0.5, 1])
    np.testing.assert_array_equal(max_blur_pool(shifted, 2, padding="CIRCULAR").ravel(), [0.75, 0.75, 0.75, 0.75])


def test_vmap_and_compiled_equal_eager(key):
    x = jax.random.normal(key, (3, 2, 6, 6, 1))
    for pool in (lambda x: max_pool(x, 3, stride=2), lambda x: average_pool(x, 3, padding="SAME"), blur_pool):
        expected = jnp.stack([pool(each) for each in x])
        np.testing.assert_allclose(jax.jit(jax.vmap(pool))(x), expected, rtol=1e-6, atol=1e-6)


def test_doors(unchecked):
    x = jnp.ones((1, 4, 4, 2))
    for message, run in [
        ("window is 0 over 2 spatial axes", lambda: max_pool(x, 0)),
        (r"window is \(2,\) over 2 spatial axes", lambda: average_pool(x, (2,))),
        ("stride is -1 over 2", lambda: max_pool(x, 2, stride=-1)),
        (r"a window of \(5, 5\) does not fit into \(4, 4\)", lambda: max_pool(x, 5)),
        ("unknown padding 'FULL'", lambda: average_pool(x, 2, padding="FULL")),
        ("filter_size is 0", lambda: blur_pool(x, filter_size=0)),
        (r"x has shape \(4, 2\)", lambda: global_max_pool(x[0, 0])),
        (r"x has shape \(1, 0, 4, 2\)", lambda: global_average_pool(x[:, :0])),
    ]:
        with pytest.raises(ValueError, match=message):
            run()
    with pytest.raises(TypeError, match="x has dtype int32"):
        max_pool(x.astype(jnp.int32), 2)


def test_polyphase_pooling_moves_along_with_every_shift_and_keeps_maxima(key):
    x = jax.random.normal(key, (3, 8, 12, 2))
    y = polyphase_pool(x, 2)
    assert y.shape == (3, 4, 6, 2)
    for shift in ((1, 0), (0, 1), (3, 5), (2, 2)):
        moved = polyphase_pool(jnp.roll(x, shift, (1, 2)), 2)
        for example, expected in zip(moved, y, strict=True):
            steps = [(i, j) for i in range(4) for j in range(6)]
            assert any((jnp.roll(expected, step, (0, 1)) == example).all() for step in steps)
    phases = [max_pool(jnp.roll(x, (-i, -j), (1, 2)), 2) for i in (0, 1) for j in (0, 1)]
    energy = jnp.stack([(phase**2).sum((1, 2, 3)) for phase in phases])
    for example, largest in enumerate(energy.argmax(0)):
        np.testing.assert_array_equal(y[example], phases[int(largest)][example])
    with pytest.raises(ValueError, match="multiples of the stride"):
        polyphase_pool(x[:, :7], 2)
