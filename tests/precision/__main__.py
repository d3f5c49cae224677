"""`python -m tests.precision`: rounding errors of functions, layers, gradients, Jacobian tools and integrals, as a page."""

import datetime
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

import jax
import numpy as np

from tests.precision import functions, layers, theory, ulp

PAGE = Path(__file__).resolve().parent.parent.parent / "experiments" / "writeup" / "source" / "api" / "precision.md"


def page() -> str:
    """Returns the page with all tables."""
    versions = (
        f"Python {platform.python_version()}, JAX {jax.__version__}, NumPy {np.__version__}, {jax.devices()[0].device_kind}"
    )
    both = [f"{name}, {part}" for name in ulp.FORMATS for part in ("value", "gradient")]
    return f"""# Precision

The largest error of each function by number format, in units in the last place (ulp): 1 is the distance of neighbouring
numbers, and ½ the best that rounding can do. The page is written by `make precision`; {datetime.date.today()},
{versions}.

## Activation functions and their derivatives

Every number of float16 and bfloat16, and 65,536 of float32 over all exponents, against SciPy in float64. Of GELU′ and SiLU′,
which cross 0, an error counts in the last place of their terms. In float32 the Gaussian tails of GELU and erf′ lose the digits
that squaring x loses: at x = −12, where GELU is 1e-32. XLA on a CPU takes numbers below the smallest normal one for 0 in
bfloat16 and float32, so that results below 1,024 times that number, 1.2e-35, count in units of it.

At a kink the derivative is one-sided and stated with each function: ReLU′(0) = 0, leaky ReLU′(0) = 1, ELU′(0) = 1.

{_table("function", ulp.FORMATS, ((name, map(f.error, ulp.FORMATS)) for name, f in functions.FUNCTIONS.items()))}
## Layers and their gradients

Normal inputs, against the same layer in float64; an error counts in the last place of the largest entry, since sums cancel. The
gradient is by all parameters and inputs. Where a mean is hundreds of standard deviations, its own rounding shows.

Limits: normalisation computes in float32 where its inputs have 16 bits. Its squares leave float32 where an entry is 1.8e19 from
the mean, and the result is then 0; its gradient is right up to a deviation of 4e12, whose cube leaves float32, and lacks what
comes through the variance beyond. Attention's scores leave float32 at 3.4e38, as for entries of 1e19, and are NaN then.

{_table("layer", both, ((name, _both(layer)) for name, layer in layers.LAYERS.items()))}
## Jacobian tools

Of {layers.DEPTH} tanh layers of width 32. Logarithms are in nats, and an error counts in the last place of the largest.

{_table("function of `jaxnotes.jacobians`", both, ((name, _both(tool)) for name, tool in layers.TOOLS.items()))}
## Mean-field integrals

Relative error in float64 against mpmath in {theory.DIGITS} digits, the largest over
q = {", ".join(f"{q:g}" for q in theory.VARIANCES)}.

{_table("φ", ("E φ(√q z)²", "E φ′(√q z)²"), ((name, integral.errors()) for name, integral in theory.INTEGRALS.items()))}"""


def _both(layer: layers.Layer) -> list[float]:
    return [error for name in ulp.FORMATS for error in layer.errors(name)]


def _table(first: str, columns: Sequence[str], rows: Iterable[tuple[str, Iterable[float]]]) -> str:
    lines = [f"| {first} | {' | '.join(columns)} |", "| --- " * (len(columns) + 1) + "|"]
    lines += [f"| {name} | {' | '.join(f'{_short(error):,g}' for error in errors)} |" for name, errors in rows]
    return "\n".join(lines) + "\n"


def _short(error: float) -> float:
    """Returns the error to two digits."""
    return float(f"{error:.2g}")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"written to {PAGE}")
