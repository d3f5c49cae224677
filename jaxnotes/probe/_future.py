"""Whether a sequence model sees what it is to predict: outputs that change as only later inputs do."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._program import Passed, Program

SHORTEST = 4  # positions of a sequence
AGREE = 0.9  # share of the targets that are the next input: those of padding may differ
MOVING = 0.1  # share of the inputs that differ from the one before: a constant sequence equals itself one position on


@dataclasses.dataclass(frozen=True)
class Future:
    """What outputs make of later inputs, where the targets are the inputs one position on.

    In an eighth of the examples all inputs behind the middle were replaced by the first one.

    Attributes:
      positions: of a sequence.
      kept: how many of them, the first, kept their inputs.
      change: RMS of what the outputs at the one of these positions where it is largest change by, over the RMS of all, in the
        examples that were changed.
      change_elsewhere: the same in all others, as behind batch normalisation; 0 where there are none.
    """

    positions: int
    kept: int
    change: float
    change_elsewhere: float


def read_future(program: Program, arguments: list[Array], passed: Passed, targets: Array | None) -> Future | None:
    """Returns the reading of a model with one array of outputs, [examples, positions, …], in one more pass of the program.

    None where the targets are no next inputs.
    """
    if targets is None or len(passed.outputs) != 1:
        return None
    place = next((i for i in program.inputs if _is_next(arguments[i], targets)), None)
    (output,) = passed.outputs
    if place is None or output.shape[:2] != targets.shape[:2] or not jnp.issubdtype(output.dtype, jnp.floating):
        return None
    examples, positions = targets.shape[:2]
    kept, changed = positions // 2, max(examples // 8, 1)
    values = np.asarray(arguments[place])
    later = values.copy()
    later[:changed, kept:] = values[:changed, :1]  # not their own in another order: attention without positions sees a set
    given = [*arguments]
    given[place] = jnp.asarray(later)
    again = program.gradients(given, jnp.float32(1)).outputs[0]
    before, after = (np.asarray(found[:, :kept], np.float64) for found in jax.device_get((output, again)))
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return None
    return Future(positions, kept, _change(before, after, slice(changed)), _change(before, after, slice(changed, None)))


def _is_next(inputs: Array, targets: Array) -> bool:
    if inputs.shape != targets.shape or inputs.ndim < 2 or inputs.shape[1] < SHORTEST:
        return False
    given, wanted = np.asarray(inputs), np.asarray(targets)
    return bool(np.mean(given[:, 1:] == wanted[:, :-1]) >= AGREE and np.mean(given[:, 1:] != given[:, :-1]) >= MOVING)


def _change(before: np.ndarray, after: np.ndarray, examples: slice) -> float:
    size, difference = np.sqrt(np.mean(np.square(before))), after[examples] - before[examples]
    if not difference.size or size == 0:
        return 0.0
    of_position = np.square(difference).reshape(*difference.shape[:2], -1).mean(axis=(0, 2))
    return float(np.sqrt(of_position.max()) / size)
