"""What dropout makes more stable: predictions under another training set, another start, and disturbed inputs."""

import jax
import numpy as np
from jax import Array

from experiments.dropout.disturbances import DISTURBANCES, changed_by_disturbance, ratio
from experiments.dropout.network import classes
from experiments.dropout.settings import Dropout
from experiments.dropout.training import Arm, Pair, again
from experiments.study.measurement import Evidence
from experiments.study.seeds import side_by_side

TRAININGS = {  # by the one of a run's two keys that is replaced
    "start": "two networks of different starts and batches, trained on the same examples",
    "sample": "two networks of the same start, trained on different examples",
}


def stability(settings: Dropout, sequences: Pair, digits: Pair, key: Array) -> Evidence:
    """dropout.stability: how often the predicted class changes with the training set, the start, noise and occlusion.

    Args:
      settings: strength of the disturbances.
      sequences: networks for MNIST-1D, which are also trained again.
      digits: networks for digits.
      key: of the disturbances, the same for all networks.
    """
    pairs = {"sequences": sequences, "digits": digits}
    shares = {
        task: {arm: changed_by_disturbance(settings, networks, key) for arm, networks in pair.items()}
        for task, pair in pairs.items()
    }
    for arm, networks in sequences.items():
        shares["sequences"][arm] |= changed_by_training(networks)
    causes = {"sequences": TRAININGS | DISTURBANCES, "digits": DISTURBANCES}
    measurements = [
        measurement
        for task, named in causes.items()
        for name, cause in named.items()
        for measurement in ratio(f"{name}-{task}", cause, {arm: by[name] for arm, by in shares[task].items()})
    ]
    arms = {f"{arm}-{task}": networks for task, pair in pairs.items() for arm, networks in pair.items()}
    searches = {name: arm.tuned.search for name, arm in arms.items()}
    return Evidence(tuple(measurements), {}, searches, {name: arm.fit() for name, arm in arms.items()})


def changed_by_training(arm: Arm) -> dict[str, np.ndarray]:
    """Returns the share of test examples to which a network and one trained again give different classes, [seeds], by what
    the other training has of its own, a start or a training set.
    """
    x = arm.data.test[0]
    clean, found = classes(arm.tuned.runs.params, x), {}
    for replaced, name in enumerate(TRAININGS):
        pairs = [keys.at[replaced].set(jax.random.fold_in(keys[replaced], 1)) for keys in arm.keys]
        params = side_by_side(lambda keys: jax.tree.map(np.asarray, again(arm, arm.keep, keys).params), pairs)
        found[name] = np.mean(classes(jax.tree.map(lambda *leaves: np.stack(leaves), *params), x) != clean, 1)
    return found
