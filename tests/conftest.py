"""Strict settings for every test: no silent promotion of dtypes or ranks; pytest's addopts check the shapes."""

import os
from pathlib import Path

# Before NumPy: the QR's threads would fight those of the parallel test processes, a hundred times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Before JAX, and for the processes that tests start: programs are compiled as users' are, by XLA's default flags, and kept
# from run to run, since compiling is most of a first run.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).resolve().parent.parent / ".pytest_cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Before Keras, whose own default is TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")

import jax  # noqa: E402
import jaxtyping  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")


MAPS = Path("/proc/self/maps")


def pytest_runtest_teardown():
    """Lets compiled programs go: each holds memory maps, of which Linux grants a process 65,530; beyond, XLA crashes."""
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > 15_000:
        jax.clear_caches()


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
