"""Strict settings for every test: no silent promotion of dtypes or ranks; pytest's addopts check the shapes."""

import os

# Before NumPy: the QR's threads would fight those of the parallel test processes, a hundred times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def key() -> jax.Array:
    return jax.random.key(20)


@pytest.fixture
def unchecked():
    """Switches jaxtyping off, so that a test of a public error message meets our own check and not the test's."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture
def standard_promotion():
    """JAX's own promotion, as scripts and users' models run under it, in place of the tests' strict one."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield
