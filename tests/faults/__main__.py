"""`python -m tests.faults`: each fault and what happens, with 20 kills of a whole run; writes the table beside this file."""

import datetime
import importlib
import inspect
import os
import platform
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent


class Recorder:
    """A plugin that keeps how the tests ended, by name of the function."""

    def __init__(self):
        self.found: dict[str, list[str]] = {}

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.found.setdefault(report.nodeid.partition("[")[0], []).append(report.outcome)


def row(case: str, outcomes: list[str]) -> str:
    """Returns a line of the table: the two halves of the test's docstring, how many tests there were, how they ended."""
    file, _, name = case.partition("::")
    test = getattr(importlib.import_module(f"tests.faults.{Path(file).stem}"), name)
    fault, _, happens = " ".join(inspect.getdoc(test).split()).partition(": ")
    return f"| {fault} | {happens.rstrip('.')} | {len(outcomes)} {', '.join(sorted(set(outcomes)))} |"


def main() -> int:
    os.environ["JAXNOTES_KILLS"] = "20"
    recorder = Recorder()
    status = pytest.main(["-q", str(HERE)], plugins=[recorder])
    import jax

    used = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}, JAX {jax.__version__}"
    rows = "\n".join(row(case, outcomes) for case, outcomes in recorder.found.items())
    text = f"# Faults of a run, and what happens\n\n`make faults`, {datetime.date.today()}, {used}\n\n"
    (HERE / "result.md").write_text(f"{text}| fault | what happens | tests |\n| --- | --- | --- |\n{rows}\n", encoding="utf-8")
    return int(status)


if __name__ == "__main__":
    raise SystemExit(main())
