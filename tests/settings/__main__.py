"""`python -m tests.settings [--setting=NAME] [FOLDER…]`: the library's tests under other settings of JAX.

Without a folder all of the library's. A test that meets a limit named in `limits.py` is left out under its setting. Without
--setting all of them are run, and the table beside this file is written.
"""

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tests.settings.limits import LIMITS

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
FOLDERS = ("jacobians", "layers", "meanfield", "models", "probe", "diagnosis", "settings")
SETTINGS = {
    "x64": {"JAX_ENABLE_X64": "1"},
    "debug-nans": {"JAX_DEBUG_NANS": "1"},
    "no-jit": {"JAX_DISABLE_JIT": "1"},
    "eight-devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
}


class Ended(NamedTuple):
    """How many tests passed, failed and were skipped."""

    passed: int
    failed: int
    skipped: int


def tried(setting: str, folders: Sequence[str]) -> Ended:
    """Runs the tests of folders under a setting."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", "--dist", "loadfile", f"--junitxml={report}"]
        command += [f"--deselect={test}" for test in LIMITS.get(setting, {})]
        command += [f"tests/{folder}" for folder in folders]
        subprocess.run(command, cwd=ROOT, env=os.environ | SETTINGS[setting], check=False)
        tags = [{child.tag for child in case} for case in ElementTree.parse(report).iter("testcase")]
    failed = sum(bool(found & {"failure", "error"}) for found in tags)
    skipped = sum("skipped" in found for found in tags)
    return Ended(len(tags) - failed - skipped, failed, skipped)


def table(found: dict[str, Ended], folders: Sequence[str]) -> str:
    """The committed page."""
    import jax

    how = {name: " ".join(f"`{variable}={value}`" for variable, value in of.items()) for name, of in SETTINGS.items()}
    rows = [f"| {name} | {how[name]} | {' | '.join(map(str, ended))} |" for name, ended in found.items()]
    limits = [f"| {name} | `{test}` | {why} |" for name, of in LIMITS.items() for test, why in of.items()]
    lines = [
        "# The library's tests under other settings of JAX",
        "",
        f"`make settings`, {datetime.date.today()}, Python {platform.python_version()}, JAX {jax.__version__}: "
        f"{', '.join(folders)}.",
        "All tests set strict promotion of dtypes, and make it an error where ranks would be promoted.",
        "",
        "| setting | by | passed | failed | skipped |",
        "| --- | --- | --- | --- | --- |",
        *rows,
    ]
    if limits:
        lines += ["", "Left out, since they meet a limit:", "", "| setting | test | limit |", "| --- | --- | --- |", *limits]
    return "\n".join(lines) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--setting", choices=SETTINGS, help="one alone; no table is written then")
    parser.add_argument("folders", nargs="*", default=FOLDERS, help="of tests")
    given = parser.parse_args()
    found = {name: tried(name, given.folders) for name in ([given.setting] if given.setting else SETTINGS)}
    print(*(f"{name}: {ended}" for name, ended in found.items()), sep="\n")
    if not given.setting:
        (HERE / "result.md").write_text(table(found, given.folders), encoding="utf-8")
    return int(any(ended.failed for ended in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
