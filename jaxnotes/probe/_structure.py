"""What is seen in a traced program before it runs: weight layers without activation, softmaxes over scores, squares."""

import dataclasses
from collections.abc import Container

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxnotes.probe._inner_taps import InnerTap, Watchlist
from jaxnotes.probe._lookups import Lookups
from jaxnotes.probe._reach import unreached
from jaxnotes.probe._residuals import Additions, Residuals
from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._softmaxes import Softmaxes
from jaxnotes.probe._squares import Squares
from jaxnotes.probe._walk import Path, Walk
from jaxnotes.probe._weight_layers import Known, Product, WeightLayers


@dataclasses.dataclass(frozen=True)
class Structure:
    """What is seen in a program.

    Attributes:
      products: of the data with weights, by place, in order.
      affine: whether the floating outputs are an affine function of the inputs.
      watched: values to read, by the place of the equation that uses them.
      batch_softmax: names of the layers behind a softmax over the examples.
      cut: parameters from which no derivative reaches the loss, by number, with what cuts them off; "" where nothing uses them.
      residuals: residual connections.
    """

    products: dict[Path, Product]
    affine: bool
    watched: dict[Path, InnerTap]
    batch_softmax: tuple[str, ...]
    cut: dict[int, str]
    residuals: Residuals


def structure_of(traced: ClosedJaxpr, parameters: int, data: Container[int], examples: int) -> Structure:
    """Looks through a program of (loss, outputs…).

    Args:
      traced: jaxpr, a function of the floating parameters first.
      parameters: how many of the arguments they are.
      data: places of inputs and targets among the arguments.
      examples: size of the batch.
    """
    layers, watchlist = WeightLayers(), Watchlist()
    softmaxes, squares, additions = Softmaxes(watchlist, examples), Squares(watchlist), Additions(traced, watchlist)
    tables = Lookups(watchlist)

    def rule(equation: JaxprEqn, inputs: list[Known], path: Path) -> list[Known]:
        watchlist.meet(equation)
        softmaxes.meet(equation, inputs, path)
        squares.meet(equation, path)
        tables.meet(equation, inputs, path)
        additions.meet(equation, path)
        return layers.rule(equation, inputs, path)

    known = [Known(fixed=i not in data, parameters=1 << i if i < parameters else 0) for i in range(len(traced.jaxpr.invars))]
    _, *outputs = Walk(rule, Known.joined, Known()).run(traced.jaxpr, known)
    for path, source in softmaxes.sources.items():  # named after the module around the layer that made the queries
        if source in layers.products and (module := layers.products[source].name.rpartition("/")[0]):
            watchlist.change(path, name=module)
    pairs = zip(outputs, traced.jaxpr.outvars[1:], strict=True)
    floating = [found for found, v in pairs if jnp.issubdtype(aval(v).dtype, jnp.inexact)]
    affine = bool(floating) and all(found.affine and not found.fixed for found in floating)
    cut = unreached(traced, parameters)
    return Structure(layers.products, affine, watchlist.entries, tuple(softmaxes.over_examples), cut, additions.counted())
