"""Tables of which entries are taken by their index, and indices that lie beyond them."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn, Literal

from jaxnotes.probe._inner_taps import Watchlist
from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._survey import Site
from jaxnotes.probe._tapping import Mark
from jaxnotes.probe._walk import Path
from jaxnotes.probe._weight_layers import Known


@dataclasses.dataclass(frozen=True)
class Lookup:
    """Indices made of the data, into a table of parameters; negative ones count from its end, as NumPy's do.

    Attributes:
      name: of the layer.
      entries: of the table.
      highest: index.
      outside: share of the indices that are none of the table's.
    """

    name: str
    entries: int
    highest: int
    outside: float


@dataclasses.dataclass(frozen=True)
class Table:
    """What a traced program says of a lookup: the entry on the last axis of the indices that counts, and the table's length."""

    column: int
    entries: int


class Lookups:
    """Finds them."""

    def __init__(self, watchlist: Watchlist):
        self.watchlist = watchlist

    def meet(self, equation: JaxprEqn, inputs: list[Known], path: Path) -> None:
        """Looks at one equation."""
        if equation.primitive.name != "gather" or not inputs[0].fixed or not inputs[0].parameters or inputs[1].fixed:
            return
        axes = equation.params["dimension_numbers"].start_index_map
        shape, taken = aval(equation.invars[0]).shape, equation.params["slice_sizes"]
        columns = [column for column, axis in enumerate(axes) if taken[axis] == 1 < shape[axis]]  # all others are taken whole
        indices = equation.invars[1]
        if len(columns) == 1 and not isinstance(indices, Literal):
            detail = Table(columns[0], shape[axes[columns[0]]])
            self.watchlist.add(path, Mark("", "lookup", role="indices", detail=detail), indices)


def lookups(sites: Sequence[Site], values: Sequence[Array]) -> tuple[Lookup, ...]:
    """Returns one entry per lookup; the steps of a scan are taken together."""
    pairs = [(site.mark, value) for site, value in zip(sites, values, strict=True) if site.mark.role == "indices"]
    return tuple(_lookup(mark.name, mark.detail, np.asarray(value)) for mark, value in pairs if value.size)


def _lookup(name: str, table: Table, indices: np.ndarray) -> Lookup:
    indices = indices[..., table.column]
    outside = (indices < 0) | (indices >= table.entries)
    return Lookup(name, table.entries, int(indices.max()), float(outside.mean()))
