"""A small part of `make fuzz`: each call of a public function gives a right value or one of our errors."""

import collections.abc
import inspect
import subprocess
import sys
from pathlib import Path
from typing import get_origin

from tests.fuzz.calls import doors
from tests.fuzz.returned import WHO_RETURN

ROOT = Path(__file__).resolve().parent.parent.parent


def test_calls_give_a_right_value_or_one_of_our_errors():
    """In a process of its own, under JAX's own settings and without the tests' checks of shapes."""
    done = subprocess.run([sys.executable, "-m", "tests.fuzz", "--calls=150"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_public_functions_return_is_called_too():
    returns = {door.short: inspect.signature(door.function).return_annotation for door in doors()}
    functions = {name for name, annotation in returns.items() if get_origin(annotation) is collections.abc.Callable}
    assert functions and functions <= WHO_RETURN
