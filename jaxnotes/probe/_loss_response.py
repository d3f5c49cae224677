"""How a loss answers to outputs that the probe makes up: what it takes, whether it is a mean, which way it pulls."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

ENTRIES = 2**20  # of made-up outputs: of a larger batch the first examples
LEVELS = (0.25, 0.6, 0.9)  # constant outputs that tell losses of two classes apart
CHANCE = {  # what the loss takes -> made-up outputs that know nothing of the example
    "logits": "level 0.0",
    "binary logits": "level 0.0",
    "margins": "level 0.0",
    "probabilities": "even",
    "log-probabilities": "log even",
    "binary probabilities": "level 0.5",
    "values": "mean",
}
FAR = (-1e4, -2e4, 1e4, 2e4)  # constant outputs, at which no loss with a bottom still falls as steadily as before
SAME = 2e-3  # relative difference of two losses that count as equal, in float32 over a batch


@dataclasses.dataclass(frozen=True)
class LossResponse:
    """Answers of a loss to made-up outputs z (standard normal) and p (softmax of z, or its sigmoid). NaN where none came.

    Attributes:
      takes: what the outputs mean to it: "logits" (L(z + c) = L(z) for one c per row), "log-probabilities" (linear, and
        L(z - 1) - L(z) is the weight of the labels), "probabilities" (L(p / e) - L(p) is), "binary logits", "binary
        probabilities", "margins" (closed forms of the binary cross-entropies and of the hinge loss at constant outputs),
        "values" (least where the outputs are the targets), "minus values" (least where they are minus the targets), "class
        numbers" (least where all outputs of a row are its label's number); "" where none of these fits.
      start: of the model's own outputs.
      chance: of outputs that know nothing of the example: equal logits or probabilities, or the targets' mean.
      doubled: loss of the batch beside a copy of itself over the loss of the batch: 1 for a mean, 2 for a sum.
      pull: which way the gradient moves the outputs at the targets, 1 towards and -1 away: over labels the mean sign, over
        values the cosine with outputs minus targets; NaN where the gradient does not follow the targets.
      pairs: relative change of the loss when targets and outputs are paired anew; 0 where it does not see which is whose.
      fall: of the loss per unit by which constant outputs go on from 10⁴ to 2 · 10⁴ in the direction in which it falls on as
        steadily as before, beside targets of as many entries; 0 where it has a bottom.
      flat: whether it is the same for all made-up outputs.
      labels_outside: share of the labels that are negative or beyond the classes.
      labels_outside_used: share of those at whose outputs the loss's gradient is not zero.
    """

    takes: str = ""
    start: float = math.nan
    chance: float = math.nan
    doubled: float = math.nan
    pull: float = math.nan
    pairs: float = math.nan
    fall: float = 0.0
    flat: bool = False
    labels_outside: float = 0.0
    labels_outside_used: float = 0.0


def answers(loss: Callable[[Any, Any], Array]) -> Callable[[Array, Any, Array, Array], dict[str, Array]]:
    """Returns a function (outputs, targets, z, signs) -> what the loss says of each made-up output, to be compiled.

    Args:
      loss: (one array of outputs, targets) -> number.
    """

    def answer(outputs: Array, targets: Any, z: Array, signs: Array) -> dict[str, Array]:
        made = _made_up(outputs, targets, z, signs)
        rolled = jax.tree.map(_rolled(outputs.shape[0]), targets)
        found = _all(loss, made, targets)
        double = jax.tree.map(_doubled(outputs.shape[0]), targets)
        p = made["p"]
        found |= _attempt("pairs", lambda: loss(p, rolled))
        found |= _attempt("doubled", lambda: loss(jnp.concatenate([p, p]), double))
        found |= _gradient(loss, outputs, targets, p)
        return found

    return answer


def _made_up(outputs: Array, targets: Any, z: Array, signs: Array) -> dict[str, Array]:
    """Returns outputs of the same shape, by name."""
    rows = z.ndim > 1 and z.shape[-1] > 1
    p = jax.nn.softmax(z, axis=-1) if rows else jax.nn.sigmoid(z)
    made = {"start": outputs.astype(z.dtype), "z": z, "shifted": z + 1 + 0.5 * signs[..., :1] if rows else z, "lower": z - 1}
    made |= {"twice": 2 * z, "p": p, "p/e": p / math.e, "p/e²": p / math.e**2}
    made |= {f"level {level}": jnp.full_like(z, level) for level in (0.0, 0.5, *LEVELS)}
    made |= {f"far {level:g}": jnp.full_like(z, level) for level in FAR}
    even = 1 / z.shape[-1] if rows else 0.5
    made |= {"even": jnp.full_like(z, even), "log even": jnp.full_like(z, math.log(even))}
    if (values := _as_values(targets, z)) is not None:
        made |= _around("targets", values, signs) | _around("minus targets", -values, signs)
        made |= {"mean": jnp.broadcast_to(values.mean(axis=0), z.shape)}
    elif len(leaves := jax.tree.leaves(targets)) == 1 and is_labels(leaves[0], z):
        numbers = leaves[0].reshape(*z.shape[:-1], 1).astype(z.dtype)
        made |= _around("numbers", jnp.broadcast_to(numbers, z.shape), signs)
    return made


def _around(name: str, values: Array, signs: Array) -> dict[str, Array]:
    """Returns values, and these moved to two sides, to see whether the loss is least there."""
    step = 0.05 * (jnp.std(values) + 1e-3) * signs
    return {name: values, f"{name} + s": values + step, f"{name} - s": values - step}


def _as_values(targets: Any, like: Array) -> Array | None:
    """Returns targets of as many entries as the outputs in the outputs' shape; None for others."""
    leaves = jax.tree.leaves(targets)
    if len(leaves) != 1 or leaves[0].size != like.size or leaves[0].shape[:1] != like.shape[:1]:
        return None
    return leaves[0].reshape(like.shape).astype(like.dtype)


def _all(loss: Callable, made: dict[str, Array], targets: Any) -> dict[str, Array]:
    """Returns the loss of each, in one loop, so that the loss is compiled once."""
    answered = _attempt("all", lambda: jax.lax.map(lambda outputs: loss(outputs, targets), jnp.stack(list(made.values()))))
    return {name: answered["all"][i] for i, name in enumerate(made)} if answered else {}


def _attempt(name: str, run: Callable[[], Array]) -> dict[str, Array]:
    """Returns what a loss says to what it was not written for; nothing where it refuses, by whatever exception."""
    try:
        return {name: run()}
    except Exception:
        return {}


def _rolled(examples: int) -> Callable[[Array], Array]:
    return lambda leaf: jnp.roll(leaf, 1, axis=0) if leaf.ndim and leaf.shape[0] == examples else leaf


def _doubled(examples: int) -> Callable[[Array], Array]:
    return lambda leaf: jnp.concatenate([leaf, leaf]) if leaf.ndim and leaf.shape[0] == examples else leaf


def _gradient(loss: Callable, outputs: Array, targets: Any, p: Array) -> dict[str, Array]:
    """Returns which way the loss pulls at the targets, and whether labels beyond the classes act on it."""
    found = _attempt("gradient", lambda: jax.grad(lambda o: loss(o, targets))(p))
    if not found:
        return {}
    gradient = found["gradient"]
    leaves = jax.tree.leaves(targets)
    if len(leaves) == 1 and is_labels(leaves[0], outputs):
        return _pull_at_labels(gradient, leaves[0].reshape(p.shape[:-1]))
    values = _as_values(targets, p)
    if values is None:
        return {}
    away = p - values
    norms = jnp.linalg.norm(gradient) * jnp.linalg.norm(away)
    return {"pull": jnp.sum(gradient * away) / jnp.where(norms > 0, norms, 1)}


def is_labels(targets: Array, outputs: Array) -> bool:
    """Returns whether targets are one whole number per row of the outputs."""
    one_per_row = targets.shape in (outputs.shape[:-1], (*outputs.shape[:-1], 1)) and outputs.ndim > 1
    return one_per_row and outputs.shape[-1] > 1 and jnp.issubdtype(targets.dtype, jnp.integer)


def _pull_at_labels(gradient: Array, labels: Array) -> dict[str, Array]:
    classes = gradient.shape[-1]
    outside = (labels < 0) | (labels >= classes)
    at = jnp.take_along_axis(gradient, jnp.clip(labels, 0, classes - 1)[..., None], axis=-1)[..., 0]
    largest = jnp.max(jnp.abs(gradient), axis=-1)  # of two classes both
    follows = ~outside & (jnp.abs(at) >= 0.99 * largest) & (at != 0)
    total = jnp.sum(follows)
    mean_sign = -jnp.sum(jnp.where(follows, jnp.sign(at), 0)) / jnp.maximum(total, 1)
    used = outside & jnp.any(gradient != 0, axis=-1)
    return {
        "pull": jnp.where(total >= 0.9 * jnp.sum(~outside), mean_sign, jnp.nan),
        "outside": jnp.mean(outside, dtype=jnp.float32),
        "used": jnp.sum(used) / jnp.maximum(jnp.sum(outside), 1),
    }


def made_up_entries(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns standard normal entries and random signs, one per row, the same at every call."""
    random = np.random.default_rng(0)
    z = random.standard_normal(shape).astype(np.float32)
    return z, np.sign(random.standard_normal(shape)).astype(np.float32)


def examples_to_ask(shape: tuple[int, ...]) -> int:
    """Returns how many of the first examples are asked about, so that the answers cost little beside the model."""
    return min(shape[0], max(ENTRIES // max(math.prod(shape[1:]), 1), 2))


def respond(answered: dict[str, float], shape: tuple[int, ...], targets: Array | None) -> LossResponse:
    """Returns the reading from what a loss answered, as numbers on the host.

    Args:
      answered: name of the made-up outputs -> loss.
      shape: of the outputs asked about.
      targets: the targets, where they are one array.
    """
    of = lambda name: answered.get(name, math.nan)
    takes = _takes(of, shape, targets)
    before = of("p")
    return LossResponse(
        takes=takes,
        start=of("start"),
        chance=of(CHANCE.get(takes, "")),
        doubled=_over(of("doubled"), before),
        pull=of("pull"),
        pairs=abs(_over(of("pairs") - before, abs(before))),
        fall=_fall(of) if not takes and targets is not None and targets.size == math.prod(shape) else 0.0,
        flat=not takes and all(of(name) == of("z") for name in ("twice", "lower", "p", *(f"far {x:g}" for x in FAR))),
        labels_outside=answered.get("outside", 0.0),
        labels_outside_used=answered.get("used", 0.0),
    )


def _over(a: float, b: float) -> float:
    return a / b if b else math.nan


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= SAME * max(abs(a), abs(b))


def _takes(of: Callable[[str], float], shape: tuple[int, ...], targets: Array | None) -> str:
    rows = len(shape) > 1 and shape[-1] > 1
    if rows and _same(of("shifted"), of("z")) and not _same(of("twice"), of("z")):
        return "logits"
    if targets is None:
        return ""
    labelled = rows and (targets.shape[: len(shape) - 1] == shape[:-1]) and _are_whole(targets)
    if labelled and of("z") and _same(of("twice"), 2 * of("z")) and not _same(of("lower"), of("z")):
        return "log-probabilities"
    once, twice = of("p/e") - of("p"), of("p/e²") - of("p")
    if labelled and abs(once) > SAME * abs(of("p")) and abs(twice - 2 * once) < 0.02 * abs(once):
        return "probabilities"
    if targets.size == math.prod(shape):
        return _takes_two_classes(of, targets) or _takes_values(of)
    return "class numbers" if labelled and _is_least(of, "numbers") else ""


def _are_whole(targets: Array) -> bool:
    return jnp.issubdtype(targets.dtype, jnp.integer) or bool(np.isin(np.asarray(targets), (0, 1)).all())


def _takes_two_classes(of: Callable[[str], float], targets: Array) -> str:
    """Returns the loss whose closed form at constant outputs is a multiple of what was answered."""
    values = np.asarray(targets, np.float64)
    mean = float(values.mean())
    soft = lambda x: math.log1p(math.exp(x))
    # All are linear in the targets, so that their mean is enough and labels that a loss was not meant for fit too.
    forms = {
        "binary logits": lambda x: soft(x) - mean * x,
        "binary probabilities": lambda x: -mean * math.log(x) - (1 - mean) * math.log(1 - x),
    }
    if np.isin(values, (-1, 0, 1)).all():
        forms["margins"] = lambda x: 1 - mean * x
    for takes, form in forms.items() if not _same(of("twice"), of("z")) else ():
        shares = [of(f"level {level}") / form(level) for level in LEVELS]
        if all(_same(share, shares[0]) for share in shares) and shares[0]:
            return takes
    return ""


def _takes_values(of: Callable[[str], float]) -> str:
    """Returns where the loss is least: of the two places that are lower than their surroundings the lower one."""
    places = {"values": "targets", "minus values": "minus targets"}
    least = [takes for takes, name in places.items() if _is_least(of, name)]
    return min(least, key=lambda takes: of(places[takes]), default="")


def _is_least(of: Callable[[str], float], name: str) -> bool:
    """Returns whether the loss is least at these made-up outputs, of those around them."""
    at, around = of(name), (of(f"{name} + s"), of(f"{name} - s"))
    return all(map(math.isfinite, (at, *around))) and min(around) > at


def _fall(of: Callable[[str], float]) -> float:
    """Returns by how much the loss falls per unit where it falls on and on; 0 where it does not."""
    for once, twice in (FAR[:2], FAR[2:]):
        near, far = of("level 0.0") - of(f"far {once:g}"), of(f"far {once:g}") - of(f"far {twice:g}")
        if near > 0 and abs(far - near) < 0.05 * near:
            return far / abs(once)
    return 0.0
