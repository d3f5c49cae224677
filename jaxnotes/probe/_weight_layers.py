"""Products of the data with weights in a traced program, and what lies between them."""

import dataclasses
import math
from collections.abc import Iterable
from functools import reduce

import jax.numpy as jnp
from jax.extend.core import JaxprEqn, Literal, Var

from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._tapping import Mark, tap_primitive
from jaxnotes.probe._walk import Path

# Linear in the one operand that depends on the data, where all others are fixed.
# fmt: off
LINEAR = frozenset((
    "broadcast_in_dim", "convert_element_type", "copy", "copy_p", "cumsum", "dynamic_slice", "expand_dims", "gather", "mul",
    "neg", "reduce_precision", "reduce_sum", "reduce_window_sum", "reshape", "rev", "slice", "squeeze", "stop_gradient",
    "transpose",
))
# fmt: on
SUMS = frozenset(("add", "sub", "add_any", "concatenate", "select_n", "pad", "dynamic_update_slice"))  # of several operands
PRODUCTS = ("dot_general", "conv_general_dilated")


@dataclasses.dataclass(frozen=True)
class Known:
    """What is known of a value.

    Attributes:
      fixed: whether it is the same for all data.
      parameters: that it depends on, as bits of an integer.
      affine: whether it is an affine function of the inputs, given the parameters and what has been drawn at random.
      layer: the product with weights whose outputs these are, only moved, scaled or shifted since.
      scaled: whether it was multiplied or divided by one number, or by a parameter, since that product.
      depth: of a product of two values that depend on the data, as attention's scores are: how many products an entry sums.
    """

    fixed: bool = True
    parameters: int = 0
    affine: bool = True
    layer: Path | None = None
    scaled: bool = False
    depth: int = 0

    def joined(self, other: "Known") -> "Known":
        """Returns what is known of a value that may be the one or the other."""
        return Known(
            self.fixed and other.fixed,
            self.parameters | other.parameters,
            self.affine and other.affine,
            self.layer if self.layer == other.layer else None,
            self.scaled or other.scaled,
            max(self.depth, other.depth),
        )


@dataclasses.dataclass
class Product:
    """A product of data with weights.

    Attributes:
      fan_in: how many entries each output sums.
      units: outputs at one place, such as channels.
      parameters: among the weights, as bits of an integer; 0: the weights are no parameters.
      grouped: whether it is a convolution of groups of channels.
      mark: of the first tap behind it; None without.
      after: place of the product before it, with nothing but affine operations between; None: there is an activation function.
    """

    fan_in: int
    units: int
    parameters: int
    grouped: bool
    mark: Mark | None = None
    after: Path | None = None

    @property
    def name(self) -> str:
        return self.mark.name if self.mark else ""


class WeightLayers:
    """The rule of a walk that finds them.

    Attributes:
      products: by place, in order.
    """

    def __init__(self) -> None:
        self.products: dict[Path, Product] = {}
        self._entered: dict[str, Known] = {}  # batch normalisation, by name: what is known of its input

    def rule(self, equation: JaxprEqn, inputs: list[Known], path: Path) -> list[Known]:
        """Returns what is known of an equation's outputs."""
        if equation.primitive is tap_primitive:
            return [self._tap(equation.params["mark"], inputs[0])]
        if equation.primitive.name in PRODUCTS and len(inputs) == 2:
            return [self._product(equation, inputs, path)]
        return [_elsewhere(equation, inputs)] * len(equation.outvars)

    def _tap(self, mark: Mark, value: Known) -> Known:
        if value.layer is not None and not value.depth and self.products[value.layer].mark is None:
            self.products[value.layer].mark = mark
        if "BatchNorm" in mark.kind and mark.role == "input":
            self._entered[mark.name] = value
        if "BatchNorm" in mark.kind and mark.role == "output":
            # Affine given the statistics; how these depend on the data lets layers in a row learn no more.
            return self._entered.get(mark.name, value)
        return value

    def _product(self, equation: JaxprEqn, inputs: list[Known], path: Path) -> Known:
        left, right = inputs
        if left.fixed and right.fixed:
            return left.joined(right)
        fan_in, units = _sizes(equation, place=1 if right.fixed else 0)
        if not left.fixed and not right.fixed:
            parameters, scaled = left.parameters | right.parameters, left.scaled or right.scaled
            return Known(False, parameters, False, left.layer or right.layer, scaled, fan_in)
        data, weights = (left, right) if right.fixed else (right, left)
        grouped = equation.params.get("feature_group_count", 1) > 1
        product = self.products.setdefault(path, Product(fan_in, units, weights.parameters, grouped))
        product.after = None if data.depth else data.layer
        return Known(False, data.parameters | weights.parameters, data.affine, path)


def _elsewhere(equation: JaxprEqn, inputs: list[Known]) -> Known:
    """Returns what is known of what an equation makes that is neither a tap nor a product with weights."""
    name = equation.primitive.name
    moving = [known for known in inputs if not known.fixed]
    parameters = reduce(int.__or__, (known.parameters for known in inputs), 0)
    if not moving:
        return Known(parameters=parameters)
    if name == "gather" and inputs[0].fixed:  # an embedding: its values take the inputs' place
        return Known(False, parameters)
    linear = _is_linear(equation, inputs, len(moving))
    depth = 0 if name == "exp" or name.startswith("reduce_") else max(known.depth for known in moving)
    scaled = any(k.scaled for k in moving) or name in ("mul", "div") and _by_number(inputs, equation.invars)
    affine = linear and all(known.affine for known in moving)
    layers = {known.layer for known in moving if known.layer or not depth}
    layer = layers.pop() if len(layers) == 1 and (linear or depth) else None
    return Known(False, parameters, affine, layer, scaled, depth)


def _is_linear(equation: JaxprEqn, inputs: list[Known], moving: int) -> bool:
    name = equation.primitive.name
    if not jnp.issubdtype(aval(equation.outvars[0]).dtype, jnp.inexact) or name == "select_n" and not inputs[0].fixed:
        return False
    return name in SUMS or moving == 1 and (name in LINEAR or name == "div" and inputs[1].fixed)


def _by_number(inputs: list[Known], variables: Iterable[Var | Literal]) -> bool:
    """Returns whether one operand is a single number or depends on parameters alone."""
    pairs = zip(inputs, variables, strict=True)
    return any(known.fixed and (known.parameters > 0 or math.prod(aval(v).shape) == 1) for known, v in pairs)


def _sizes(equation: JaxprEqn, place: int) -> tuple[int, int]:
    """Returns how many products each output sums, and how many outputs the weights at that place make."""
    if equation.primitive.name == "conv_general_dilated":
        kernel, axes = aval(equation.invars[1]).shape, equation.params["dimension_numbers"].rhs_spec
        return math.prod(kernel) // max(kernel[axes[0]], 1), kernel[axes[0]]
    shape, (contracted, batched) = aval(equation.invars[place]).shape, equation.params["dimension_numbers"]
    fan_in, shared = (math.prod(shape[axis] for axis in axes[place]) for axes in (contracted, batched))
    return fan_in, math.prod(shape) // max(fan_in * shared, 1)
