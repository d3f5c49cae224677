"""A model and a loss as one traced program, and the compiled passes over it: gradients, Jacobians, layer-to-layer gains."""

import dataclasses
import re
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._adapted import Adapted
from jaxnotes.probe._inner_taps import with_watched
from jaxnotes.probe._last_activation import LastActivation, last_activation
from jaxnotes.probe._loss_response import answers
from jaxnotes.probe._statistics import example_axis, example_norms
from jaxnotes.probe._structure import Structure, structure_of
from jaxnotes.probe._survey import Site, Survey, survey
from jaxnotes.probe._tapped_run import evaluate
from jaxnotes.probe._tapping import MODEL_OUTPUT, Mark, bind_outputs


class Passed(NamedTuple):
    """What one forward and one backward pass return: a value and a gradient per site, and the gradients of the parameters."""

    loss: Array
    outputs: list[Array]
    values: list[Array]
    gradients: list[Array | None]
    parameters: list[Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Program:
    """A traced model with its loss. Arguments are flat: the differentiated parameters, then all else.

    Attributes:
      traced: jaxpr of (loss, outputs…) as a function of the arguments.
      surveyed: its taps.
      differentiated: how many of the arguments are floating parameters, which come first.
      inputs: places of the model's inputs among the arguments.
      examples: size of the batch.
      loss: (outputs, targets) -> number.
      output_tree: structure of the outputs.
      notes: on what the loss returned.
      structure: what is seen before it runs.
    """

    traced: Any
    surveyed: Survey
    differentiated: int
    inputs: range
    examples: int
    loss: Callable[[Any, Any], Array]
    output_tree: Any
    notes: tuple[str, ...]
    structure: Structure

    @property
    def sites(self) -> tuple[Site, ...]:
        return self.surveyed.sites

    @cached_property
    def gradients(self) -> Callable:
        """(arguments, scale) -> Passed, of `scale` times the loss."""
        return jax.jit(self._gradients)

    @cached_property
    def jacobians(self) -> Callable:
        """(arguments, cotangents [k, …] per output) -> for each site [k, *steps, examples] norms of what is pulled back."""
        return jax.jit(self._jacobians)

    @cached_property
    def pulled_back(self) -> Callable:
        """(arguments, cotangents [k, …] per output) -> for each site [k, *steps, *shape] the cotangents pulled back."""
        return jax.jit(lambda arguments, cotangents: jax.vmap(self._pullback(arguments))(cotangents)[0])

    @cached_property
    def partials(self) -> Callable:
        """(arguments, *random_signs) -> for each site [*steps] mean square of what ±1 at the sites right before it cause."""
        return jax.jit(self._partials)

    @cached_property
    def answers(self) -> Callable:
        """(outputs, targets, made-up outputs, signs) -> the loss's answers, of a model whose outputs are one array."""
        tree = self.output_tree
        ask = lambda outputs, targets: one_number(self.loss(tree.unflatten([outputs]), targets), outputs.shape[0])[0]
        return jax.jit(answers(ask))

    @cached_property
    def last_activation(self) -> LastActivation | None:
        """The activation function at the end of a model whose outputs are one array; None where none is seen."""
        return last_activation(self.traced.jaxpr, self.traced.jaxpr.outvars[1])

    @cached_property
    def hessian_product(self) -> Callable:
        """(arguments, a vector in the parameters' shapes) -> the loss's Hessian times the vector."""
        return jax.jit(self._hessian_product)

    def _gradients(self, arguments: list[Array], scale: Array) -> Passed:
        n = self.differentiated

        def loss(parameters: list[Array], zeros: list):
            (value, *outputs), values = evaluate(self.traced, [*parameters, *arguments[n:]], zeros, _add)
            return value * scale.astype(value.dtype), (value, outputs, values)

        differentiate = jax.grad(loss, argnums=(0, 1), has_aux=True)
        (parameters, gradients), (value, outputs, values) = differentiate(arguments[:n], self._zeros())
        return Passed(value, outputs, values, gradients, parameters)

    def _hessian_product(self, arguments: list[Array], vector: list[Array]) -> list[Array]:
        n = self.differentiated

        def loss(parameters: list[Array]) -> Array:
            given = [None] * len(self.sites)
            return evaluate(self.traced, [*parameters, *arguments[n:]], given, _add)[0][0]

        return jax.jvp(jax.grad(loss), (arguments[:n],), (vector,))[1]

    def _zeros(self) -> list[Array | None]:
        return [jnp.zeros(site.full_shape, site.dtype) if site.differentiable else None for site in self.sites]

    def _jacobians(self, arguments: list[Array], cotangents: list[Array]) -> list[Array | None]:
        pull = self._pullback(arguments)

        def pull_one(cotangent: list[Array]) -> list[Array | None]:
            return [None if g is None else self._norms(g, site) for g, site in zip(pull(cotangent)[0], self.sites, strict=True)]

        return jax.lax.map(pull_one, cotangents)

    def _pullback(self, arguments: list[Array]) -> Callable:
        """From cotangents of the floating outputs to those of the sites."""

        def outputs(zeros: list) -> list[Array]:
            (_, *found), _ = evaluate(self.traced, arguments, zeros, _add)
            return [out for out in found if jnp.issubdtype(out.dtype, jnp.floating)]

        return jax.vjp(outputs, self._zeros())[1]

    def _norms(self, value: Array, site: Site) -> Array:
        """Returns [*steps, examples] norms of a value at a site."""
        norms = partial(example_norms, axis=example_axis(site.shape, self.examples))
        for _ in site.steps:
            norms = jax.vmap(norms)
        return norms(value)

    def _partials(self, arguments: list[Array], signs: list, directions: list) -> list[Array | None]:
        moved = [i for i, direction in enumerate(directions) if direction is not None]

        def values(inputs: list, anchor: Array) -> list[Array]:
            given = list(arguments)
            for i, value in zip(moved, inputs, strict=True):
                given[i] = value
            return evaluate(self.traced, given, signs, partial(_restart, anchor))[1]

        # Differentiate only with respect to the inputs that are perturbed. Zero tangents for the weights would add matrix
        # products; with these, wrong results were seen with jaxlib 0.10.2 on CPU.
        inputs = [arguments[i] for i in moved]
        tangents = [directions[i].astype(x.dtype) for i, x in zip(moved, inputs, strict=True)]
        changes = jax.jvp(values, (inputs, jnp.float32(0)), (tangents, jnp.float32(0)))[1]
        return [_mean_square(c, len(s.steps)) if s.differentiable else None for c, s in zip(changes, self.sites, strict=True)]

    def random_signs(self, arguments: list[Array], random: np.random.Generator) -> tuple[list, list]:
        """Draws independent ±1: one array per site, with the lengths of its scans in front, and one per floating input."""
        sites = [signs(random, site.full_shape) if site.differentiable else None for site in self.sites]
        moved = {i for i in self.inputs if jnp.issubdtype(arguments[i].dtype, jnp.floating)}
        return sites, [signs(random, a.shape) if i in moved else None for i, a in enumerate(arguments)]


def signs(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Independent ±1, int8; drawn here and not in the compiled program, whose compilation they would double."""
    return random.integers(0, 2, shape, np.int8) * np.int8(2) - np.int8(1)


def trace(adapted: Adapted, loss: Callable, inputs: tuple, data: dict, structure: dict, targets: Any, key: Any) -> Program:
    """Traces the model and its loss on a batch; `data` and `structure` are keyword arguments with and without arrays.

    Raises:
      ValueError: the loss is not one real number.
    """
    parameters, rest = split(adapted.parameters)
    notes, examples = [], examples_of(inputs, data)
    before, tree = jax.tree.flatten((rest, adapted.state, inputs, data, targets, key))
    structures = []

    def run(parameters: list, others: list):
        rest, state, inputs, data, targets, key = jax.tree.unflatten(tree, others)
        outputs = adapted.call(merge(parameters, rest), state, inputs, {**data, **structure}, key)
        structures.append(jax.tree.structure(outputs))
        bound = bind_outputs(outputs, Mark("outputs", role=MODEL_OUTPUT))
        value, more = one_number(loss(bound, targets), examples)
        notes.extend(more)
        return value, [leaf for leaf in jax.tree.leaves(outputs) if hasattr(leaf, "dtype")]

    traced = _under_axes(jax.make_jaxpr, run)(parameters, before)
    first = len(parameters) + len(jax.tree.leaves((rest, adapted.state)))
    last = first + len(jax.tree.leaves((inputs, data)))
    places = range(first, last)
    structured = structure_of(traced, len(parameters), range(first, last + len(jax.tree.leaves(targets))), examples)
    traced = with_watched(traced, structured.watched)
    said = tuple(dict.fromkeys(notes))
    seen = survey(traced, places)
    return Program(traced, seen, len(parameters), places, examples, loss, structures[-1], said, structured)


def one_number(value: Any, examples: int) -> tuple[Array, list[str]]:
    """Returns a loss as one number, with notes on what was done to it: auxiliary values dropped, the mean over examples taken.

    Raises:
      ValueError: not one real number, nor one per example.
    """
    notes = []
    if isinstance(value, tuple) and len(value) == 2:
        value = value[0]
        notes.append("the loss returned a pair; its first entry was taken, and the auxiliary one left out")
    if not hasattr(value, "dtype") and not isinstance(value, float | int):
        raise ValueError(f"the loss returned {type(value).__name__}, expected one real number, or a pair of it and anything")
    value = jnp.asarray(value)
    if value.shape == (examples,) and jnp.issubdtype(value.dtype, jnp.floating):
        value = value.mean()
        notes.append("the loss returned one number per example; their mean was taken")
    if value.shape or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(
            f"the loss returned {value.dtype}{list(value.shape)}, expected one real number: take the mean over the batch"
        )
    return value, notes


def _under_axes(trace: Callable, run: Callable) -> Callable:
    """Returns `trace` of `run`, under an axis of length 1 for each name that `run` looks for: one device has all examples."""

    def traced(*arguments: Any) -> Any:
        inside = run
        while True:
            try:
                return trace(inside)(*arguments)
            except NameError as error:
                name = re.search(r"unbound axis name: (\w+)", str(error))
                if name is None:
                    raise
                inside = _under_axis(inside, name[1])

    return traced


def _under_axis(run: Callable, name: str) -> Callable:
    return lambda *arguments: jax.vmap(lambda _: run(*arguments), out_axes=None, axis_name=name)(jnp.zeros(1))


def examples_of(inputs: tuple, keywords: dict) -> int:
    """Returns the number of examples: the length of the first input array."""
    arrays = [leaf for leaf in jax.tree.leaves((inputs, keywords)) if getattr(leaf, "ndim", 0)]
    return arrays[0].shape[0] if arrays else 1


def split(parameters: Any) -> tuple[list, tuple]:
    """Returns the floating arrays of a tree, and the rest with the structure."""
    leaves, structure = jax.tree.flatten(parameters)
    floating = [hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]
    chosen = [leaf for leaf, f in zip(leaves, floating, strict=True) if f]
    others = [None if f else leaf for leaf, f in zip(leaves, floating, strict=True)]
    return chosen, (tuple(others), _Static((structure, tuple(floating))))


def merge(chosen: list, rest: tuple) -> Any:
    """Returns the tree that `split` took apart."""
    others, static = rest
    structure, floating = static.value
    waiting = iter(chosen)
    leaves = [next(waiting) if f else other for f, other in zip(floating, others, strict=True)]
    return jax.tree.unflatten(structure, leaves)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Static:
    value: tuple


def _add(value: Array, zero: Array | None) -> tuple[Array, Array]:
    value = value if zero is None else value + zero
    return value, value


def _restart(anchor: Array, value: Array, sign: Array | None) -> tuple[Array, Array]:
    return (value if sign is None else _with_tangent(value, sign.astype(value.dtype), anchor)), value


@jax.custom_jvp
def _with_tangent(value: Array, tangent: Array, anchor: Array) -> Array:
    """`value`, whose derivative is `tangent` whatever came before; differentiating `anchor` makes it so where nothing did."""
    return value


_with_tangent.defjvp(lambda primals, tangents: (primals[0], primals[1]))


def _mean_square(change: Array, steps: int) -> Array:
    wide = change.astype(jnp.promote_types(change.dtype, jnp.float32))
    return jnp.mean(jnp.square(wide), axis=tuple(range(steps, change.ndim)))
