"""The README's Python examples run as written."""

import contextlib
import re
from pathlib import Path

import jax
import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.filterwarnings("ignore::DeprecationWarning:flax|equinox")
@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_runs_as_written(example):
    # A user's own model runs under JAX's own promotion, not under the tests' strict one.
    own = "probe" in example
    with contextlib.ExitStack() as stack:
        if own:
            stack.enter_context(jax.numpy_dtype_promotion("standard"))
            stack.enter_context(jax.numpy_rank_promotion("allow"))
        exec(compile(example, str(README), "exec"), {})
