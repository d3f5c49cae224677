"""How every network of the study is trained: tune the learning rate, then run the seeds that count.

The rate is chosen on tuning seeds, which count for nothing else, by the mean over them of one score: validation accuracy
where there is accuracy, else the final training loss (negated); never anything of the test set. A run that is not finite
scores worst. Of the rates whose scores agree with the best within the standard error of the difference, paired by seed, the
smallest is taken. Where the rate so chosen is an end of the rates tried, the grid goes on at that end by its own step, until
it is not, at most EXTENSIONS times.

A network that learns at no rate has no best one. Where all rates still agree after FLAT such steps, the search ends and takes
the smallest of the rates that it began with.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.study.measurement import Search
from experiments.study.seeds import side_by_side
from experiments.study.settings import TrainingSettings

EXTENSIONS = 4
FLAT = 2
WARM_UP = 0.1  # of the steps


class Tuned(NamedTuple):
    """The runs of the seeds that count, leaves [seeds, …] of NumPy, and how their rate was chosen."""

    runs: Any
    search: Search

    @property
    def rate(self) -> float:
        """The learning rate of the runs."""
        return self.search.rate


def tuned(
    run: Callable[[Array, Array], Any],
    score: Callable[[Any], Any],
    settings: TrainingSettings,
    key: Array,
    *,
    rates: Sequence[float] | None = None,
    seeds: int | None = None,
) -> Tuned:
    """Chooses a learning rate and trains with it.

    Args:
      run: `run(rate, key)` trains one network; a tree of arrays. The rate is a float32 array. It runs in several threads.
      score: the score of a run, higher is better.
      settings: how many seeds to tune on and to count, and the learning rates to begin with.
      key: arms that are given the same key are paired seed by seed.
      rates: instead of `settings.learning_rates`, rising.
      seeds: instead of `settings.train_seeds`.

    Returns:
      The runs of the seeds that count and the search.
    """
    rates, seeds = rates or settings.learning_rates, seeds or settings.train_seeds
    keys = jax.random.split(key, settings.tuning_seeds + seeds)
    at = lambda rate, key: run(jnp.float32(rate), key)
    chosen = search(lambda rate, key: score(at(rate, key)), rates, keys[: settings.tuning_seeds])
    runs = side_by_side(lambda key: jax.tree.map(np.asarray, at(chosen.rate, key)), list(keys[settings.tuning_seeds :]))
    return Tuned(jax.tree.map(lambda *leaves: np.stack(leaves), *runs), chosen)


def search(score: Callable[[float, Array], Any], rates: Sequence[float], keys: Sequence[Array]) -> Search:
    """Chooses the rate by `score(rate, key)` on the tuning keys; see the module.

    Raises:
      ValueError: the rates are not positive and rising.
    """
    if not all(a < b for a, b in zip((0, *rates), rates, strict=False)):
        raise ValueError(f"learning rates must be positive and rising, not {tuple(rates)}")
    tried = dict(zip(rates, _scores(score, rates, keys), strict=True))
    for step in range(EXTENSIONS):
        if step == FLAT and _all_agree(tried):
            return dataclasses.replace(_search(tried), rate=float(rates[0]), inside=False)
        further = _further(sorted(tried), _best(tried))
        if further is None:
            break
        tried[further] = _scores(score, [further], keys)[0]
    return _search(tried)


def grid_search(rates: Sequence[float], scores: np.ndarray) -> Search:
    """Chooses among rates that were all run anyway, for a claim that is about the whole grid; scores: [rates, tuning seeds]."""
    return _search(dict(zip(rates, np.asarray(scores, np.float64), strict=True)))


def final_loss(losses: np.ndarray) -> np.ndarray:
    """Returns the mean of the last tenth of the steps, [...] of [..., steps]; infinite where any loss is not finite."""
    losses = np.asarray(losses, np.float64)
    last = losses[..., -max(losses.shape[-1] // 10, 1) :]
    finite = np.isfinite(losses).all(-1)
    return np.where(finite, np.where(finite[..., None], last, 0).mean(-1), np.inf)


def loss_score(losses: np.ndarray) -> np.ndarray:
    """Returns the score of a run that has no accuracy: minus its final loss."""
    return -final_loss(losses)


def adam(rate: float | Array, steps: int) -> optax.GradientTransformation:
    """Adam whose learning rate, which may be traced, falls to 0 as a cosine over the run."""
    return optax.adam(optax.cosine_decay_schedule(rate, steps))


def warmed_adam(rate: float | Array, steps: int) -> optax.GradientTransformation:
    """Adam whose rate rises over the first WARM_UP of the run, then falls as a cosine.

    Without the rise a rate that is good for most seeds stops others at once.
    """
    rise = int(WARM_UP * steps)
    fall = optax.cosine_decay_schedule(rate, steps - rise)
    return optax.adam(optax.join_schedules([lambda step: rate * step / rise, fall], [rise]))


def described(search: Search) -> str:
    """Returns how a rate was chosen in words, for the source of a measurement."""
    rates = f"learning rate {search.rate:.2g}, tuned on {len(search.scores[0])} seed(s) among {len(search.rates)}"
    return rates if search.inside else f"{rates} (no best one inside them)"


def _scores(score: Callable[[float, Array], Any], rates: Sequence[float], keys: Sequence[Array]) -> np.ndarray:
    """Returns [rates, keys] scores; -inf where one is not finite."""
    pairs = [(rate, key) for rate in rates for key in keys]
    found = np.asarray(side_by_side(lambda pair: float(score(*pair)), pairs)).reshape(len(rates), len(keys))
    return np.where(np.isfinite(found), found, -np.inf)


def _best(tried: dict[float, np.ndarray]) -> float:
    """Returns the smallest rate whose scores agree with the best mean within the standard error of their difference."""
    rates = sorted(tried)
    best = tried[max(rates, key=lambda rate: tried[rate].mean())]
    return next(rate for rate in rates if _agree(best, tried[rate]))


def _all_agree(tried: dict[float, np.ndarray]) -> bool:
    best = max(tried.values(), key=np.mean)
    return all(_agree(best, scores) for scores in tried.values())


def _agree(best: np.ndarray, scores: np.ndarray) -> bool:
    if not (np.isfinite(best).all() and np.isfinite(scores).all()):
        return bool(best.mean() == scores.mean())
    difference = best - scores
    error = difference.std(ddof=1) / len(difference) ** 0.5 if len(difference) > 1 else 0.0
    return bool(difference.mean() <= error)


def _further(rates: list[float], chosen: float) -> float | None:
    """Returns the next rate beyond the end at which the chosen one lies, None where it is inside."""
    if len(rates) < 2 or chosen not in (rates[0], rates[-1]):
        return None
    step = rates[1] / rates[0] if chosen == rates[0] else rates[-2] / rates[-1]
    return chosen / step


def _search(tried: dict[float, np.ndarray]) -> Search:
    rates, chosen = sorted(tried), _best(tried)
    scores = tuple(tuple(float(score) for score in tried[rate]) for rate in rates)
    return Search(float(chosen), tuple(map(float, rates)), scores, chosen not in (rates[0], rates[-1]))
