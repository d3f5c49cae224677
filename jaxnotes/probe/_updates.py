"""The optimiser's updates of a model, on the user's own tree of parameters."""

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
    "plain": "the function's parameters are",
}


def updates_of(
    adapted: Adapted, gradients: list[Array], optimizer: optax.GradientTransformation, steps: int = 1
) -> list[list[Array]]:
    """Returns the updates of the first steps, with the same gradient at each: one array per floating parameter, in their order.

    The optimiser sees the parameters as the user's own tree, so that masks and labels by name find them; parameters that are
    not floating have a gradient of 0.

    Raises:
      ValueError: the optimiser does not take this tree, as by a mask or labels of another structure.
    """
    _, rest = split(adapted.parameters)
    zeros = jax.tree.map(lambda leaf: jnp.zeros_like(leaf) if hasattr(leaf, "dtype") else leaf, rest[0])
    gradient, found = merge(gradients, (zeros, rest[1])), []
    try:
        state = optimizer.init(adapted.parameters)
        for _ in range(steps):
            updates, state = optimizer.update(gradient, state, adapted.parameters)
            found.append(split(updates)[0])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        first = next(iter(jax.tree_util.tree_flatten_with_path(adapted.parameters)[0]), ((), None))[0]
        raise ValueError(
            f"the optimizer does not take this model's parameters, whose first is {jax.tree_util.keystr(first)}: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; masks and labels are of the tree that "
            f"{TREES[adapted.framework]}"
        ) from error
    return found
