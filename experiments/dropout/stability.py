"""What dropout makes more stable: predictions under another training set, another start, and disturbed inputs."""

import jax
import numpy as np
from jax import Array

from experiments.dropout.disturbances import disturbed
from experiments.dropout.network import Params, classes
from experiments.dropout.settings import Dropout
from experiments.dropout.training import Arm, Pair, again
from experiments.study.measurement import Evidence, Measurement, fraction, interval
from experiments.study.seeds import side_by_side

CAUSES = {
    "sample": "two networks of the same start, trained on different examples",
    "start": "two networks of different starts and batches, trained on the same examples",
    "noise": "one network, test inputs with noise and without",
    "patch": "one network, test inputs with a patch hidden and without",
}


def stability(settings: Dropout, pairs: dict[str, Pair], key: Array) -> Evidence:
    """dropout.stability: how often the predicted class changes with the training set, the start, noise and occlusion.

    Args:
      settings: strength of the disturbances.
      pairs: networks without dropout and with, paired by seed, by task. Where they are trained on all examples that there are,
        there is no other training set, and only the inputs are disturbed.
      key: of the disturbances, the same for all networks.
    """
    measurements = []
    for task, pair in pairs.items():
        found = {arm: changed_classes(settings, networks, key) for arm, networks in pair.items()}
        for cause in found["plain"]:
            measurements += _measurements(f"{cause}-{task}", CAUSES[cause], {arm: by[cause] for arm, by in found.items()})
    arms = {f"{arm}-{task}": networks for task, pair in pairs.items() for arm, networks in pair.items()}
    searches = {name: arm.tuned.search for name, arm in arms.items()}
    return Evidence(tuple(measurements), {}, searches, {name: arm.fit() for name, arm in arms.items()})


def _measurements(name: str, cause: str, shares: dict[str, np.ndarray]) -> list[Measurement]:
    """Returns the shares with and without dropout and the logarithm of their ratio, paired by seed."""
    unit = "of the test examples"
    arms = [fraction(f"changed-{name}-{arm}", values, unit=unit, source=cause) for arm, values in shares.items()]
    ratio = np.log(shares["dropout"] / shares["plain"])
    source = f"ln of the share of predictions that differ, with dropout over without; {cause}"
    return [interval(f"log-ratio-{name}", ratio, unit="nats", source=source), *arms]


def changed_classes(settings: Dropout, arm: Arm, key: Array) -> dict[str, np.ndarray]:
    """Returns, by cause, the share of test examples whose predicted class differs, [seeds]."""
    x = arm.data.test[0]
    inputs = disturbed(settings, key, x)
    clean = classes(arm.tuned.runs.params, x)
    found = {name: classes(arm.tuned.runs.params, given) for name, given in inputs.items()}
    if arm.examples < len(arm.data.train[1]):
        found = {name: classes(_others(arm, changed), x) for changed, name in enumerate(("start", "sample"))} | found
    return {name: np.mean(found[name] != clean, 1) for name in CAUSES if name in found}


def _others(arm: Arm, changed: int) -> Params:
    """Returns networks of the arm trained again, each with another start (0) or other examples (1)."""
    pairs = [keys.at[changed].set(jax.random.fold_in(keys[changed], 1)) for keys in arm.keys]
    params = side_by_side(lambda keys: jax.tree.map(np.asarray, again(arm, arm.keep, keys).params), pairs)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *params)
