"""One real step of an optimiser: where it goes, how far, and what the loss is behind it."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._program import Passed, Program
from jaxnotes.probe._sizes import norm, wide
from jaxnotes.probe._updates import Updates


@dataclasses.dataclass(frozen=True)
class FirstStep:
    """The optimiser's first step from here, with its state fresh; θ are all parameters, u the step, g the gradient.

    The part of the step that does not follow the gradient, as of decay, is (u(g) + u(-g)) / 2: what is left when the gradient
    turns round.

    Attributes:
      loss: before it.
      loss_after: at θ + u, on the same batch with the same key.
      along_gradient: inner product with g of the part that follows it: the loss's change to first order by that part.
      size: ‖u‖ / ‖θ‖.
      growth: ‖u‖ of the next two steps over the first's, were the gradient to stay: 1, 1 for SGD and Adam; it rises by equal
        amounts in a warm-up and by ever smaller ones with momentum. infinite where the first is 0.
      decay_size: norm of the part that does not follow the gradient, over ‖θ‖.
      decay_over_gradient: norm of that part over the norm of the rest.
    """

    loss: float
    loss_after: float
    along_gradient: float
    size: float
    growth: tuple[float, float]
    decay_size: float
    decay_over_gradient: float


def read_step(program: Program, arguments: list[Array], passed: Passed, updates: Updates) -> FirstStep:
    """Takes one step with the optimiser, from its initial state, and reads the loss behind it."""
    values, gradients = arguments[: program.differentiated], passed.parameters
    steps, (back,) = updates.first(3), updates.turned().first(1)
    decay = [(u + v) / 2 for u, v in zip(steps[0], back, strict=True)]
    follows = [(u - v) / 2 for u, v in zip(steps[0], back, strict=True)]
    moved = [jnp.asarray(value + u).astype(value.dtype) for value, u in zip(values, steps[0], strict=True)]
    after = program.gradients([*moved, *arguments[len(values) :]], jnp.float32(1)).loss
    first, second, third = (norm(step) for step in steps)
    return FirstStep(
        loss=float(passed.loss),
        loss_after=float(after),
        along_gradient=sum(float(np.vdot(wide(u), wide(g))) for u, g in zip(follows, gradients, strict=True)),
        size=_over(first, norm(values)),
        growth=(_over(second, first), _over(third, first)),
        decay_size=_over(norm(decay), norm(values)),
        decay_over_gradient=_over(norm(decay), norm(follows)),
    )


def _over(a: float, b: float) -> float:
    return a / b if b else (math.inf if a else math.nan)
