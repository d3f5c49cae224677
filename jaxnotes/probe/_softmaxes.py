"""Softmaxes in a traced program: over scores, products of two values that both depend on the data; and over examples."""

import dataclasses

from jax.extend.core import JaxprEqn, Literal, Var

from jaxnotes.probe._attention import Scores
from jaxnotes.probe._inner_taps import Watchlist
from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._tapping import Mark, tap_primitive
from jaxnotes.probe._walk import Path
from jaxnotes.probe._weight_layers import Known

MOVES = ("broadcast_in_dim", "reshape", "squeeze", "expand_dims", "convert_element_type", "transpose")
KEEP = ("convert_element_type", "mul", "div", "select_n", "copy", "tap")  # shape and axes of weights, as dropout on them does


class Softmaxes:
    """Follows exp(s), its sum over an axis, the quotient of the two, and the product of that with values.

    Attributes:
      over_examples: names of the layers behind a softmax over the examples.
      sources: of scores, by place: the product with weights that made the queries.
    """

    def __init__(self, watchlist: Watchlist, examples: int):
        self.watchlist, self.examples = watchlist, examples
        self.over_examples: list[str] = []
        self.sources: dict[Path, Path | None] = {}
        self._made: dict[Var, JaxprEqn] = {}
        self._exponentials: dict[Var, tuple[Var, Known]] = {}
        self._sums: dict[Var, tuple[Var, tuple[int, ...]]] = {}  # of exponentials, moved: of which, over which axes
        self._weights: dict[Var, tuple[Path, int]] = {}  # of values: the place of their softmax, its axis

    def meet(self, equation: JaxprEqn, inputs: list[Known], path: Path) -> None:
        """Looks at one equation."""
        name, variables = equation.primitive.name, [v for v in equation.invars if not isinstance(v, Literal)]
        self._made.update((out, equation) for out in equation.outvars)
        if not variables:
            return
        source, out = variables[0], equation.outvars[0]
        if equation.primitive is tap_primitive and equation.params["mark"].role == "output":
            self.over_examples = [before or equation.params["mark"].name for before in self.over_examples]
        if name == "exp" and not inputs[0].fixed:
            self._exponentials[out] = source, inputs[0]
        elif name == "reduce_sum" and source in self._exponentials:
            self._sums[out] = source, tuple(map(int, equation.params["axes"]))
        elif name in MOVES and source in self._sums:
            self._sums[out] = self._sums[source]
        elif name == "div" and len(variables) == 2 and self._sums.get(variables[1], ("",))[0] is source:
            self._met(source, self._sums[variables[1]][1], path, out)
        elif name == "dot_general":
            self._summed(equation)
        if name in KEEP:
            same = (v for v in variables if v in self._weights and aval(v).shape == aval(out).shape)
            self._weights.update((out, self._weights[v]) for v in same)

    def _met(self, exponential: Var, axes: tuple[int, ...], path: Path, out: Var) -> None:
        shifted, known = self._exponentials[exponential]
        scores = self._scores(shifted)
        if known.depth and len(axes) == 1:
            self.sources[path] = known.layer
            detail = Scores(axes[0], known.depth, known.scaled)
            self.watchlist.add(path, Mark("", "softmax", role="scores", detail=detail), scores)
            self._weights[out] = path, axes[0]
        elif axes == (0,) and len(aval(scores).shape) > 1 and aval(scores).shape[0] == self.examples > 1:
            self.over_examples.append("")

    def _scores(self, shifted: Var) -> Var:
        """Returns s of s - max(s), or the value itself where it is no such difference."""
        made = self._made.get(shifted)
        scores = made.invars[0] if made is not None and made.primitive.name == "sub" else None
        if scores is None or isinstance(scores, Literal) or aval(scores).shape != aval(shifted).shape:
            return shifted
        return scores

    def _summed(self, equation: JaxprEqn) -> None:
        """Looks whether the weights are summed over the axis over which they sum to 1."""
        for place, variable in enumerate(equation.invars):
            if isinstance(variable, Literal) or variable not in self._weights:
                continue
            path, axis = self._weights[variable]
            detail = self.watchlist.entries[path].mark.detail
            if axis not in equation.params["dimension_numbers"][0][place]:
                self.watchlist.change(path, detail=dataclasses.replace(detail, other_axis=True))
