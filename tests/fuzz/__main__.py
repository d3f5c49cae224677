"""`python -m tests.fuzz`: 10,000 calls, counted by outcome; writes the table beside this file."""

import argparse
import collections
import datetime
import os
import platform
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")  # most of the time is compilation

import hypothesis  # noqa: E402
import jax  # noqa: E402

from tests.fuzz.calls import calls, doors, outcome  # noqa: E402

GOOD = ("right value", "our error")


def count(number: int) -> tuple[collections.Counter, list[str]]:
    """Returns how many of so many calls ended how, and a line for each that ended badly."""
    counts: collections.Counter = collections.Counter()
    bad: list[str] = []

    @hypothesis.settings(
        max_examples=number,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(calls())
    def run(call) -> None:
        found = outcome(call)
        counts[found if found in GOOD else "neither"] += 1
        if found not in GOOD:
            bad.append(f"{call.door.name}({call.changed}: {call.wrong}): {found}")

    run()
    return counts, bad


def table(counts: collections.Counter) -> str:
    """The committed page."""
    import numpy

    rows = "\n".join(f"| {name} | {counts[name]} |" for name in (*GOOD, "neither"))
    versions = {"Python": platform.python_version(), "JAX": jax.__version__, "NumPy": numpy.__version__}
    versions["hypothesis"] = hypothesis.__version__
    used = ", ".join(f"{name} {version}" for name, version in versions.items())
    return (
        f"# Calls of {len(doors())} public functions with right and wrong arguments\n\n"
        f"`make fuzz`, {datetime.date.today()}, {used}\n\n| outcome | calls |\n| --- | --- |\n{rows}\n"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000, help="how many; the table is written for 10,000 and more")
    number = parser.parse_args().calls
    counts, bad = count(number)
    for line, times in collections.Counter(bad).most_common():
        print(f"{times} × {line}")
    print(dict(counts))
    if number >= 10_000:
        Path(__file__).with_name("result.md").write_text(table(counts), encoding="utf-8")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
