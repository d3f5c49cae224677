"""`monitor`: an Optax transformation that watches a model train, and changes nothing."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnotes.probe._look import Names, all_finite, by_layer, by_parameter, readings, sizes
from jaxnotes.probe._loss_sums import add_loss, no_losses
from jaxnotes.probe._watched import Watched, watched


class MonitorState(NamedTuple):
    """State of the transformation.

    Attributes:
      step: updates so far.
      mean: [layers] running mean over steps of log10 of the root mean square of a layer's gradient.
      spike: [3] largest rise above that mean since the last look: decades, place of the layer, steps since.
      first_nonfinite: step of the first gradient that was not finite, -1 before.
      losses: [8] `LossSums` of the losses since the last look.
      previous: the gradient one step before a look, where the gradient noise is measured; else ().
      inner: the state of the optimiser inside.
    """

    step: Array
    mean: Array
    spike: Array
    first_nonfinite: Array
    losses: Array
    previous: Any
    inner: Any


def monitor(
    callback: Callable[[Watched], Any],
    optimizer: optax.GradientTransformation | None = None,
    *,
    every: int = 50,
    spike_decades: float = 1.0,
    momentum: float = 0.98,
    examples: int | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Watches an optimiser at work: calls back once every so many steps, and at the first gradient that is not finite.

    The updates are the optimiser's own. At every step it only takes the size of each layer's gradient, which tells a spike
    and a first NaN by step and layer, and adds up the loss; all else is read at the steps it looks at. Without `optimizer` it
    is one link of `optax.chain`: in front it sees gradients, and update ratios are not known. The loss comes by Optax's own
    convention, `update(gradients, state, params, value=loss)`, which `nnx.Optimizer.update(model, gradients, value=loss)`
    passes on; where a loop cannot pass it, as Flax's `TrainState.apply_gradients`, give it to `History.add_loss`.
    Works under jit, in a scan and with sharded arrays. Around `optax.MultiSteps` it sees every small batch; inside of it the
    accumulated gradient, reported once: give it a `History` then, as any other callback gets the first small batch.

    Args:
      callback: a `History`, or any function of a `Watched`; runs on the host.
      optimizer: what makes updates of gradients.
      every: steps from one look to the next.
      spike_decades: rise of a layer's gradient above its running mean that counts as a spike, in decades.
      momentum: weight of the old value in that mean, step by step.
      examples: size of the batch; given, the gradient noise scale is measured from the gradients of two steps in a row, for
        which one copy of the gradient is kept.

    Raises:
      ValueError: `every` or `examples` is below 1, the momentum outside [0, 1), or a loss is not one number.

    >>> import jax, jax.numpy as jnp, optax
    >>> from jaxnotes import diagnosis, probe
    >>> history = probe.History()
    >>> optimizer = probe.monitor(history, optax.sgd(0.1), every=50)
    >>> @jax.jit
    ... def step(params, state):
    ...     loss, gradient = jax.value_and_grad(lambda p: jnp.sum((p["used"] - 1) ** 2))(params)
    ...     updates, state = optimizer.update(gradient, state, params, value=loss)
    ...     return optax.apply_updates(params, updates), state
    >>> params = {"used": jnp.zeros(3), "forgotten": jnp.ones(2)}
    >>> state = optimizer.init(params)
    >>> for _ in range(201):
    ...     params, state = step(params, state)
    >>> [record.step for record in history.records]
    [0, 50, 100, 150, 200]
    >>> [(found.kind, found.layers) for found in diagnosis.explain(history)]
    [('parameters-unchanged', ('forgotten',))]
    """
    _check(every, momentum, examples)
    inner = optax.with_extra_args_support(optax.identity() if optimizer is None else optimizer)
    zero, never = partial(jnp.zeros, (), jnp.int32), partial(jnp.full, (), -1, jnp.int32)

    def init(params: Any) -> MonitorState:
        mean = jnp.full(len(by_layer(params)), jnp.nan, jnp.float32)
        previous = jax.tree.map(jnp.zeros_like, params) if examples else ()
        return MonitorState(zero(), mean, _no_spike(), never(), no_losses(), previous, inner.init(params))

    def update(
        updates: Any, state: Any, params: Any = None, *, value: Any = None, activations: Any = None, **others: Any
    ) -> tuple[Any, MonitorState]:
        extra = others if value is None else {"value": value, **others}
        layers = by_layer(updates)
        size = sizes(layers)
        scheduled = state.step % every == 0
        # Squares overflow long before the gradient does: only then is each entry looked at.
        suspect = ~jnp.isfinite(size).all() & (state.first_nonfinite < 0)
        spike = _larger(state.spike, jnp.log10(size) - state.mean)
        losses = state.losses if value is None else add_loss(state.losses, value)

        def look(arguments: tuple) -> Array:
            updates, before, params, previous, activations = arguments
            bad = suspect & ~all_finite(layers)
            first = jnp.where(bad, state.step, state.first_nonfinite)

            def report() -> None:
                # Made once more here: handed in, the changes would have to be kept in memory at every step.
                changes = inner.update(updates, before, params, **extra)[0] if optimizer else None
                read = readings(updates, changes, params, previous, activations)
                tell = _teller(callback, names, spike_decades, examples)
                jax.debug.callback(tell, state.step, first, spike, losses, read)

            jax.lax.cond(scheduled | bad, report, lambda: None)
            return first

        names = Names(tuple(layers), tuple(by_parameter(updates)), tuple(by_parameter(activations)))
        previous = state.previous if examples else None
        before = (updates, state.inner, params, previous, activations)
        first = jax.lax.cond(scheduled | suspect, look, lambda arguments: state.first_nonfinite, before)
        updates = _after(first, updates)
        changes, inner_state = inner.update(updates, state.inner, params, **extra)
        if examples:
            keep = (state.step + 1) % every == 0
            previous = jax.lax.cond(keep, lambda new, old: new, lambda new, old: old, updates, state.previous)
        told = scheduled | (first != state.first_nonfinite)
        spike = jnp.where(told, _no_spike(), spike)
        losses = losses if value is None else jnp.where(told, no_losses(), losses)
        kept = MonitorState(state.step + 1, _moved(state.mean, size, momentum), spike, first, losses, previous, inner_state)
        return changes, kept if examples else kept._replace(previous=())

    return optax.GradientTransformationExtraArgs(init, update)


def _after(looked: Array, updates: Any) -> Any:
    """The same updates, made to wait for the look, whose number is never below -1.

    Without this, XLA may write the new parameters and the new state before the look, and for it copies the old at every step.
    """
    return jax.tree.map(lambda leaf: jnp.where(looked >= -1, leaf, jnp.zeros_like(leaf)), updates)


def _check(every: int, momentum: float, examples: int | None) -> None:
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every is {every!r}, expected a number of steps of at least 1")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}, expected a number in [0, 1): the weight of the old value")
    if examples is not None and examples < 1:
        raise ValueError(f"examples is {examples}, expected the size of a batch, of at least 1")


def _no_spike() -> Array:
    return jnp.asarray([-jnp.inf, 0, 0], jnp.float32)


def _larger(spike: Array, rises: Array) -> Array:
    """The larger of the spike so far, one step older, and this step's."""
    if not rises.size:
        return spike
    rises = jnp.where(jnp.isfinite(rises), rises, -jnp.inf)
    new = jnp.stack([rises.max(), rises.argmax().astype(jnp.float32), jnp.zeros((), jnp.float32)])
    older = spike + jnp.asarray([0, 0, 1], jnp.float32)
    return jnp.where(new[0] > spike[0], new, older)


def _moved(mean: Array, size: Array, momentum: float) -> Array:
    logs = jnp.log10(size)
    kept = jnp.where(jnp.isfinite(mean), momentum * mean + (1 - momentum) * logs, logs)
    return jnp.where(jnp.isfinite(logs), kept, mean)


def _teller(callback: Callable, names: Names, spike_decades: float, examples: int | None) -> Callable:
    """A function on the host that makes a `Watched` of readings. It holds names and no arrays."""
    last = -1

    def tell(*told: Any) -> None:
        nonlocal last
        # JAX hands over its own arrays. To index one is a computation, which waits for ever where a loop has already sent off
        # as many as the CPU client takes at a time, 32, and all of these wait for this callback.
        step, first, spike, losses, read = jax.tree.map(np.asarray, told)
        step = int(step)
        if step == last and not getattr(callback, "replaces", False):
            return  # MultiSteps calls its optimiser at each small batch, and keeps the last call
        last = step
        callback(watched(names, step, int(first), spike, losses, read, spike_decades, examples))

    return tell
