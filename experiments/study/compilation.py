"""How the study's programs are compiled: with little effort, since compiling is half of a first run."""

import os
from importlib import metadata

# Level 1 takes a tenth off a quick run's processor time, and programs run as fast.
_LESS_EFFORT = ("--xla_backend_optimization_level=1",)
# XLA's older code generator takes three tenths off a quick run's processor time (causes, dropout; jaxlib 0.10.2), but its
# loops run slower, so that it is for runs that compile longer than they run. jaxlib 0.12 has it no more and refuses the flag:
# drop this with Python 3.11, the last for which the lock has an older one (October 2027).
_SHORT_RUNS_BEFORE_JAXLIB_0_12 = ("--xla_cpu_use_fusion_emitters=false",)
# Where several processes share the cores: one thread per operation, and programs compiled in one piece.
_ONE_THREAD = ("--xla_cpu_multi_thread_eigen=false", "--xla_cpu_parallel_codegen_split_count=1")


def set_flags(*, processes: int | None = None, short_runs: bool = False) -> None:
    """Sets XLA's flags for this process and those it starts; what the user has in XLA_FLAGS goes before ours.

    XLA reads them when it first computes: call this before.

    Args:
      processes: how many of them share the cores, each with one thread per operation; None where this one has all cores.
      short_runs: whether compiling takes longer than running, as at scale quick.
    """
    ours = [*_LESS_EFFORT, *(_ONE_THREAD if processes else ())]
    if short_runs and tuple(map(int, metadata.version("jaxlib").split(".")[:2])) < (0, 12):
        ours += _SHORT_RUNS_BEFORE_JAXLIB_0_12
    asked = os.environ.get("XLA_FLAGS", "").split()
    named = {flag.partition("=")[0] for flag in asked}
    os.environ["XLA_FLAGS"] = " ".join(asked + [flag for flag in ours if flag.partition("=")[0] not in named])
    if processes:  # as many threads in XLA's pool as a process has cores: idle ones take time to look for work
        os.environ.setdefault("NPROC", str(max((os.cpu_count() or 1) // processes, 1)))
