"""Which activation function a traced computation applies: a chain of elementwise operations, named by its values."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from jaxnotes.layers.activations import ACTIVATIONS

# fmt: off
ELEMENTWISE = frozenset((
    "abs", "add", "and", "atan2", "cbrt", "ceil", "clamp", "convert_element_type", "copy", "copy_p", "cos", "cosh",
    "div", "eq", "erf", "erf_inv", "erfc", "exp", "exp2", "expm1", "floor", "ge", "gt", "integer_pow", "is_finite",
    "le", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter", "not", "or", "pow",
    "reduce_precision", "rem", "round", "rsqrt", "select_n", "sign", "sin", "sinh", "sqrt", "square", "stop_gradient",
    "sub", "tan", "tanh", "xor",
))
# fmt: on
CALLS = ("jit", "pjit", "closed_call", "core_call", "custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr")
UNKNOWN = "elementwise"  # name of an activation function that is none of those known
_GRID = np.linspace(-10, 10, 2001, dtype=np.float32)


@dataclasses.dataclass(frozen=True)
class Activation:
    """An elementwise function φ found in a model.

    Attributes:
      name: the usual one, or "elementwise" where φ is none of those known.
      fingerprint: its values on a grid; two with the same are equal.
      function: φ itself, traceable, for arrays of any shape.
      saturates: whether its slope vanishes towards both sides, as the sigmoid's does.
    """

    name: str
    fingerprint: bytes
    function: Callable[[Array], Array] = dataclasses.field(compare=False, repr=False)
    saturates: bool = dataclasses.field(compare=False, default=False)


def inner(equation: JaxprEqn) -> Jaxpr | None:
    """Returns the body of a call, such as a jitted function's; None where the equation is no call."""
    if equation.primitive.name not in CALLS:
        return None
    body = next((equation.params[name] for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in equation.params), None)
    return getattr(body, "jaxpr", body)


def readable_body(equation: JaxprEqn) -> Jaxpr | None:
    """Returns the body of a jitted function, a scan or a rematerialised block, whose taps can be read; None for others."""
    name = equation.primitive.name
    if name in ("scan", "remat2", "checkpoint", "remat"):
        body = equation.params["jaxpr"]
        return getattr(body, "jaxpr", body)
    return None if name.startswith("custom") else inner(equation)


def is_elementwise(equation: JaxprEqn) -> bool:
    """Returns whether each entry of the one output depends on that entry of the inputs only."""
    if len(equation.outvars) != 1:
        return False
    body = inner(equation)
    if body is not None:
        if equation.primitive.name.startswith("custom_vjp"):
            return False  # its values do not tell its slope: a straight-through estimator rounds and passes gradients on
        return not body.constvars and all(is_elementwise(e) or _is_constant_fill(e) for e in body.eqns)
    return equation.primitive.name in ELEMENTWISE


def _is_constant_fill(equation: JaxprEqn) -> bool:
    return equation.primitive.name == "broadcast_in_dim" and all(isinstance(v, Literal) for v in equation.invars)


@dataclasses.dataclass(frozen=True)
class Origins:
    """Where the values of a jaxpr come from by elementwise operations alone.

    Attributes:
      root: for each variable the one it is a function of, entry by entry; itself where other operations made it; None: fixed.
      made_by: the equation that made a variable, and its place in the jaxpr.
    """

    root: dict[Var, Var | None]
    made_by: dict[Var, tuple[int, JaxprEqn]]

    def of(self, variable: Var | Literal) -> Var | None:
        return None if isinstance(variable, Literal) else self.root.get(variable, variable)


def origins(jaxpr: Jaxpr) -> Origins:
    """Traces every variable of a jaxpr to its origin."""
    found = Origins({}, {})
    for place, equation in enumerate(jaxpr.eqns):
        for variable in equation.outvars:
            found.made_by[variable] = place, equation
            found.root[variable] = variable
        if _is_constant_fill(equation):
            found.root[equation.outvars[0]] = None
        elif is_elementwise(equation):
            roots = {found.of(v) for v in equation.invars} - {None}
            if len(roots) <= 1:
                found.root[equation.outvars[0]] = next(iter(roots), None)
    return found


def aval(variable: Var | Literal) -> Any:
    """Returns the shape and dtype of a variable: what every array in a jaxpr has, though not every abstract value."""
    return variable.aval


def between(found: Origins, root: Var, end: Var | Literal) -> Activation | None:
    """Returns the function from `root` to `end`; None where it is linear, or none that a layer has as its activation.

    A logarithm or an exponential, as of a variance, is no layer's activation.
    """
    seen = recognise(*composed(found, root, end))
    return seen if seen is None or seen.name != UNKNOWN or _may_activate(np.frombuffer(seen.fingerprint, np.float32)) else None


def composed(found: Origins, root: Var, end: Var | Literal) -> tuple[Callable[[Array], Array], float]:
    """Returns the function from `root` to `end` for arrays of any shape, and the precision of its number formats."""
    chain, waiting = {}, [end]
    while waiting:
        variable = waiting.pop()
        if not isinstance(variable, Literal) and variable is not root and variable not in chain:
            chain[variable] = found.made_by[variable]
            waiting += chain[variable][1].invars
    equations = [equation for _, equation in sorted(chain.values(), key=lambda made: made[0])]
    met = [aval(v).dtype for v in (root, *chain) if jnp.issubdtype(aval(v).dtype, jnp.floating)]
    coarsest = max((float(jnp.finfo(dtype).eps) for dtype in met), default=0.0)
    function = lambda x: _evaluate(equations, {root: x.astype(aval(root).dtype)}, x)[end]
    return function, max(1e-3, 4 * coarsest)


def _evaluate(equations: list[JaxprEqn], values: dict, like: Array) -> dict:
    """Returns the values of elementwise equations on an array of another shape than they were traced for."""
    read = lambda v: jnp.asarray(v.val, aval(v).dtype) if isinstance(v, Literal) else values[v]
    for equation in equations:
        (out,) = equation.outvars
        body = inner(equation)
        arguments = [read(v) for v in equation.invars]
        if body is not None:
            inside = _evaluate(body.eqns, dict(zip(body.invars, arguments, strict=True)), like)
            result = body.outvars[0]
            values[out] = jnp.asarray(result.val) if isinstance(result, Literal) else inside[result]
        elif equation.primitive.name == "broadcast_in_dim":
            values[out] = jnp.broadcast_to(arguments[0], like.shape)
        else:
            shaped = [jnp.broadcast_to(a, like.shape) for a in arguments]
            values[out] = equation.primitive.bind(*shaped, **equation.params)
    return values


@np.errstate(over="ignore", invalid="ignore")  # of functions with values that are not finite
def recognise(function: Callable[[Array], Array], precision: float = 1e-3) -> Activation | None:
    """Names an elementwise function, whatever factor it is times, by its values on [-10, 10]; None for a linear one."""
    with jax.ensure_compile_time_eval():
        found = function(jnp.asarray(_GRID))
    if not jnp.issubdtype(found.dtype, jnp.floating):
        return None
    values = np.asarray(found.astype(jnp.float32))
    close = lambda other: np.allclose(values, other, atol=precision, rtol=precision, equal_nan=True)
    if close(values[0] + (values[-1] - values[0]) * (_GRID + 10) / 20):
        return None
    slopes = np.abs(np.diff(values))
    saturates = max(slopes[:50].max(), slopes[-50:].max()) < 0.05 * slopes.max()
    for name, known in _known().items():
        shape = _on_grid(known)
        factor = float(values @ shape / (shape @ shape))  # as of a dropout's 1 / keep behind it
        if factor > 0 and close(factor * shape):
            return Activation(name, name.encode(), known, bool(saturates))
    leaky = close(np.where(_GRID > 0, values[-1] / 10 * _GRID, -values[0] / 10 * _GRID))
    return Activation("leaky_relu" if leaky else UNKNOWN, values.tobytes(), function, bool(saturates))


def _may_activate(values: np.ndarray) -> bool:
    """Returns whether a function of unknown name, on the grid, is finite everywhere and grows no faster than a square."""
    rise = lambda reach: np.abs(values[[1000 - reach, 1000 + reach]] - values[1000]).max()
    return bool(np.isfinite(values).all() and rise(1000) <= 4.5 * rise(500))


@lru_cache(maxsize=64)
def _on_grid(function: Callable) -> np.ndarray:
    with jax.ensure_compile_time_eval():
        return np.asarray(function(jnp.asarray(_GRID)))


@lru_cache(maxsize=1)
def _known() -> Mapping[str, Callable]:
    more = ("relu6", "selu", "soft_sign", "hard_tanh", "hard_sigmoid", "hard_silu", "mish")
    return {name: f for name, f in ACTIVATIONS.items() if name != "identity"} | {name: getattr(jax.nn, name) for name in more}
