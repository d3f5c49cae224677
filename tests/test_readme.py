"""The README's Python examples run as written, and print what stands below them."""

import contextlib
import io
import re
from pathlib import Path

import jax
import pytest

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCK = re.compile(r"```python\n(?P<code>.*?)```(?:\n\n```text\n(?P<shown>.*?)```)?", re.DOTALL)
# Of each section that has any: its examples in order, as a reader goes through them.
SECTIONS = {
    section.partition("\n")[0]: [found.groups() for found in BLOCK.finditer(section)]
    for section in README.read_text(encoding="utf-8").split("\n## ")
    if "```python" in section
}
DECIMAL = re.compile(r"-?\d+\.(\d+)")


@pytest.mark.filterwarnings("ignore::DeprecationWarning:flax|equinox")
@pytest.mark.parametrize("section", SECTIONS)
def test_the_examples_of_a_section_print_what_is_shown(section):
    names = {}
    for code, shown in SECTIONS[section]:
        printed = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(printed))
            if "probe" in code or shown:  # a user's own model runs under JAX's own promotion, not under the tests' strict one
                stack.enter_context(jax.numpy_dtype_promotion("standard"))
                stack.enter_context(jax.numpy_rank_promotion("allow"))
            exec(compile(code, str(README), "exec"), names)
        if shown:
            assert same(printed.getvalue(), shown), f"README shows\n{shown}\nand its example prints\n{printed.getvalue()}"


def same(printed: str, shown: str) -> bool:
    """Whether two texts are the same but for two units of a decimal's last digit, which machines may differ by."""
    pairs = list(zip(DECIMAL.finditer(printed), DECIMAL.finditer(shown), strict=False))
    near = all(abs(float(a[0]) - float(b[0])) < 2.5 * 10.0 ** -len(b[1]) for a, b in pairs)
    return near and DECIMAL.sub("0.0", printed) == DECIMAL.sub("0.0", shown)


def test_only_last_digits_may_differ():
    assert same("loss 2.303 in 8 layers", "loss 2.301 in 8 layers")
    assert not same("loss 2.303 in 8 layers", "loss 2.310 in 8 layers")
    assert not same("loss 2.303 in 8 layers", "loss 2.303 in 9 layers")
    assert not same("loss 2.303, 1.0", "loss 2.303")
