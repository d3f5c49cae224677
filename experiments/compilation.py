"""How the experiments' programs are compiled: fast, since that is half of a first run, and once, since they are kept."""

import os
from importlib import metadata
from pathlib import Path

import jax


def _has_older_emitters() -> bool:
    return tuple(int(part) for part in metadata.version("jaxlib").split(".")[:2]) < (0, 12)


# The first level of optimisation takes half the time of XLA's own, and the programs run as fast.
_FAST = ("--xla_backend_optimization_level=1",)
_FAST_BEFORE_JAXLIB_0_12 = ("--xla_cpu_use_fusion_emitters=false",)  # half again; later versions end at a flag they do not know
# Less of LLVM's effort, for programs that compile longer than they run: loops take one vector a turn, not four, and short ones
# none. Without any vectors random numbers would take six times as long; with `-fast-isel` some programs take 20 GB to compile.
_LEAST_BEFORE_JAXLIB_0_12 = (
    "--xla_backend_extra_options="
    "-force-vector-interleave=1,-enable-epilogue-vectorization=false,-vectorizer-min-trip-count=128,-disable-lsr",
)
# One thread an operation and one piece a program: what is cut up to be compiled in parallel costs more in all.
_ONE_THREAD = ("--xla_cpu_multi_thread_eigen=false", "--xla_cpu_parallel_codegen_split_count=1")


def _long_run() -> dict[str, bool | int | str]:
    short = _LEAST_BEFORE_JAXLIB_0_12[0] in os.environ.get("XLA_FLAGS", "")
    return {"xla_cpu_use_fusion_emitters": True} if _has_older_emitters() and not short else {}


# For `jax.jit(…, compiler_options=LONG_RUN)` of what runs far longer than it compiles: scatters and chains of elementwise
# operations, as of Adam, run up to four times as fast. Nothing where the process that started this one set `short_runs`.
LONG_RUN = _long_run()


def set_flags(*, processes: int | None = None, short_runs: bool = False) -> None:
    """Sets XLA's flags for this process and those it starts; what the user has in XLA_FLAGS goes before ours.

    XLA reads them when it first computes: call this before.

    Args:
      processes: how many of them share the cores, each with one thread an operation; None where this one has all cores.
      short_runs: no effort for speed of what takes longer to compile than to run, as at scale quick.
    """
    ours = [*_FAST, *(_ONE_THREAD if processes else ())]
    if _has_older_emitters():
        ours += [*_FAST_BEFORE_JAXLIB_0_12, *(_LEAST_BEFORE_JAXLIB_0_12 if short_runs else ())]
    asked = os.environ.get("XLA_FLAGS", "").split()
    named = {flag.partition("=")[0] for flag in asked}
    os.environ["XLA_FLAGS"] = " ".join(asked + [flag for flag in ours if flag.partition("=")[0] not in named])
    if processes:  # as many threads in XLA's pool as a process has cores: idle ones take time to look for work
        os.environ.setdefault("NPROC", str(max((os.cpu_count() or 1) // processes, 1)))


def use_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second process starts fast.

    JAX_COMPILATION_CACHE_DIR, where set, names another folder.
    """
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        jax.config.update("jax_compilation_cache_dir", str(home / "jaxnotes"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
