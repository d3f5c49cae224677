"""Batch and layer normalisation in networks that predict characters of text, and what a table of triples predicts of it."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.norms.settings import Norms
from experiments.study import convergence, language
from experiments.study.measurement import Fit, Measurement, Search, exact, interval
from experiments.study.seeds import paired
from experiments.study.tuning import Tuned, described, tuned

KINDS = ("rnn", "transformer")
NATS = "nats per character"
FUTURE = "largest change of the Transformer's early predictions, in training, where later characters are others"
PSEUDO_COUNT = 5.0  # of the table's next shorter context; 2 to 10 differ by 0.01 nats


def text(settings: Norms, key: Array) -> tuple[list[Measurement], dict[str, Search], dict[str, Fit]]:
    """Returns batch against layer normalisation in an RNN and a Transformer, where lengths vary and where they are equal.

    Losses are in generation mode. All else is the same: sequences per step, steps, and how rates are tuned.
    """
    news = language.news()
    measurements, searches, fits = [], {}, {}
    for name, size in sizes(settings).items():
        norms = language.NORMS if name == "rnn-varied" else ("batch", "layer")  # without any, to set it beside both
        found = {norm: train(settings, news, key, norm, size) for norm in norms}
        measurements += _gains(name, size, found)
        for norm, arm in found.items():
            words = f"Adam, {size.steps} steps; {described(arm.search)}"
            measurements.append(interval(f"loss-{name}-{norm}", arm.runs.generation, unit=NATS, source=words))
            searches[f"{name}-{norm}"] = arm.search
            # A loss on text goes on falling as a power of the steps: the rule asks for a level, that of the table.
            fits[f"{name}-{norm}"] = convergence.fit(arm.runs.losses, required=False)
    for kind, time in zip(KINDS, settings.text_times, strict=True):
        source = "a table of three characters, on the same positions of the test text"
        measurements.append(exact(f"loss-table-{kind}", table_loss(news, time), unit=NATS, source=source))
    for norm in ("layer", "batch"):
        measurements.append(exact(f"mismatch-{norm}", future_change(news, norm), source=FUTURE))
    return measurements, searches, fits


def sizes(settings: Norms) -> dict[str, language.Size]:
    """Returns the RNN and the Transformer, each where lengths vary and where they are equal."""
    found = {}
    for i, kind in enumerate(KINDS):
        time, rest = settings.text_times[i], (settings.text_batches[i], settings.text_steps[i])
        for name, shortest in (("varied", 1), ("equal", time)):
            shape = kind, settings.text_widths[i], settings.text_blocks, time, shortest
            found[f"{kind}-{name}"] = language.Size(*shape, *rest)
    return found


def train(settings: Norms, news: language.Text, key: Array, norm: str, size: language.Size) -> Tuned:
    """Returns the runs of a network on text at the rate of the best validation loss in generation mode."""
    one = partial(language.run, jnp.int32(language.NORMS.index(norm)), news, size=size)
    options = {"rates": settings.text_rates, "seeds": settings.text_seeds}
    return tuned(one, lambda reading: -reading.validation, settings, key, **options)


def _gains(name: str, size: language.Size, found: Mapping[str, Tuned]) -> list[Measurement]:
    lengths = f"lengths {size.shortest} to {size.time}" if size.shortest < size.time else f"length {size.time}"
    setting = f"in generation mode; {size.steps} steps of {size.batch} sequences, {lengths}"
    source = f"batch minus layer normalisation {setting}"
    gains = [_gain(f"gain-{name}", found, "batch", "generation", source)]
    if size.kind == "rnn":
        longer = f"{source}; read at {2 * size.time} characters"
        gains.append(_gain(f"gain-{name}-longer", found, "batch", "longer", longer))
    if "none" in found:
        gains.append(_gain(f"gain-{name}-none", found, "none", "generation", f"no normalisation minus layer {setting}"))
    return gains


def _gain(name: str, found: Mapping[str, Tuned], other: str, reading: str, source: str) -> Measurement:
    losses = [getattr(found[norm].runs, reading) for norm in (other, "layer")]
    return interval(name, paired(*losses), unit=NATS, source=f"{source}, seeds paired, tuned learning rates")


def table_loss(news: language.Text, time: int) -> float:
    """Returns the loss of a table of triples on the windows of the test text that networks are judged on.

    The table counts the training text. The probability of a character behind two others is smoothed by that behind one, and
    this by that of the character alone, with PSEUDO_COUNT examples of the shorter context.
    """
    train, n = np.asarray(news.train), language.SYMBOLS
    pieces = np.asarray(language.even(news.test, time))
    chances, losses = np.full(n, 1 / n), np.zeros((len(pieces), time))
    for length in range(3):  # of the context; chances: [*context, next]
        counts = np.zeros((n,) * (length + 1))
        np.add.at(counts, tuple(train[i : len(train) - length + i] for i in range(length + 1)), 1)
        chances = (counts + PSEUDO_COUNT * chances) / (counts.sum(-1, keepdims=True) + PSEUDO_COUNT)
        first = max(1 - length, 0)  # a window begins with a character that is not predicted
        ends = range(first, first + length + 1)
        seen = tuple(pieces[:, i : time + 1 - length - first + i] for i in ends)
        losses[:, max(length - 1, 0) :] = -np.log(chances[seen])
    return float(losses.mean())


def future_change(news: language.Text, norm: str) -> float:
    """Returns by how much the prediction of the first half changes in training where the second half is another text."""
    size = language.Size("transformer", 16, 1, 16, 16, 4, 1)
    params, state = language.NETWORKS["transformer"].init(jax.random.key(0), size)
    pieces = language.even(news.test, size.time)[: size.batch, :-1]
    other = pieces.at[:, 8:].set(pieces[::-1, 8:])
    index, counted = jnp.int32(language.NORMS.index(norm)), jnp.ones(pieces.shape, bool)
    logits = [language.transformer(index, params, state, x, counted, True)[0][:, :8] for x in (pieces, other)]
    return float(jnp.abs(logits[0] - logits[1]).max())
