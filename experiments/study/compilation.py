"""How the study's programs are compiled: with little effort, since compiling is half of a first run."""

import os

# Most programs here compile longer than they run. Level 1 halves XLA's time and they run as fast.
# To measure again, and drop where it is no longer worth it, when the lock's oldest JAX goes with Python 3.11: October 2027.
_LESS_EFFORT = ("--xla_backend_optimization_level=1",)
# Where several processes share the cores: one thread per operation, and programs compiled in one piece.
_ONE_THREAD = ("--xla_cpu_multi_thread_eigen=false", "--xla_cpu_parallel_codegen_split_count=1")


def set_flags(*, processes: int | None = None) -> None:
    """Sets XLA's flags for this process and those it starts; what the user has in XLA_FLAGS goes before ours.

    XLA reads them when it first computes: call this before.

    Args:
      processes: how many of them share the cores, each with one thread per operation; None where this one has all cores.
    """
    ours = [*_LESS_EFFORT, *(_ONE_THREAD if processes else ())]
    asked = os.environ.get("XLA_FLAGS", "").split()
    named = {flag.partition("=")[0] for flag in asked}
    os.environ["XLA_FLAGS"] = " ".join(asked + [flag for flag in ours if flag.partition("=")[0] not in named])
    if processes:  # as many threads in XLA's pool as a process has cores: idle ones take time to look for work
        os.environ.setdefault("NPROC", str(max((os.cpu_count() or 1) // processes, 1)))
