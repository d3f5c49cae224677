"""Strict settings for every test: no silent dtype or rank promotion, and jaxtyping's shapes checked at run time."""

import jax
import jaxtyping
import pytest

jaxtyping.install_import_hook("jaxnotes", "beartype.beartype")
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
