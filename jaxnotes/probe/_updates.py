"""What an optimiser makes of a gradient: its first updates, from its initial state."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import optax
from jax import Array

from jaxnotes.probe._adapted import Adapted
from jaxnotes.probe._program import merge, split

TREES = {  # what an optimiser is given in each framework
    "linen": "variables['params'] is",
    "nnx": "nnx.state(model, nnx.Param) is",
    "equinox": "eqx.filter(model, eqx.is_inexact_array) is",
    "haiku": "transformed.init returns as params is",
    "keras": "{layer: {variable: value}} of its trainable variables is",
    "plain": "the function's parameters are",
}


class Updates:
    """The optimiser's first updates, all from the same gradients, each made when it is first asked for.

    The optimiser sees the parameters as the user's own tree, so that masks and labels by name find them; parameters that are
    not floating have a gradient of 0.
    """

    def __init__(self, adapted: Adapted, gradients: list[Array], optimizer: optax.GradientTransformation):
        self._adapted, self._gradients, self._optimizer = adapted, gradients, optimizer
        self._made, self._found = self._steps(), []

    def first(self, steps: int) -> list[list[Array]]:
        """Returns the first updates, each a list of one array per floating parameter, in the tree's order.

        Raises:
          ValueError: the optimiser does not take this tree, as by a mask or labels of another structure.
        """
        while len(self._found) < steps:
            self._found.append(next(self._made))
        return self._found[:steps]

    def turned(self) -> "Updates":
        """Returns those of the gradients with the other sign."""
        return Updates(self._adapted, [-gradient for gradient in self._gradients], self._optimizer)

    def _steps(self) -> Iterator[list[Array]]:
        parameters = self._adapted.parameters
        _, (others, structure) = split(parameters)
        zeros = jax.tree.map(lambda leaf: jnp.zeros_like(leaf) if hasattr(leaf, "dtype") else leaf, others)
        tree = merge(self._gradients, (zeros, structure))
        try:
            state = self._optimizer.init(parameters)
            while True:
                updates, state = self._optimizer.update(tree, state, parameters)
                yield split(updates)[0]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            first = next(iter(jax.tree_util.tree_flatten_with_path(parameters)[0]), ((), None))[0]
            raise ValueError(
                f"the optimizer does not take this model's parameters, whose first is {jax.tree_util.keystr(first)}: "
                f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; masks and labels are of the tree that "
                f"{TREES[self._adapted.framework]}"
            ) from error
