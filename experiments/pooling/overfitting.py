"""Whether pooling lowers overfitting: classifiers of MNIST-1D that fit their training set, with two heads."""

import jax
import numpy as np
from jax import Array

from experiments.pooling.settings import Pooling
from experiments.pooling.training import Task, evidence, logits, over_runs, train_arm
from experiments.study.digits import Digits
from experiments.study.measurement import Evidence, fraction, interval
from experiments.study.tuning import Tuned, described
from jaxnotes import datasets, training

LENGTH, KERNEL = 40, 5
VALIDATION = 1000  # of the 4,000 training sequences, held out to choose learning rates
PAIRS = {  # pooled and plain arm of each change
    "flatten": ("max", "none"),
    "stride": ("stride", "none"),
    "global": ("max-global", "none-global"),
}
ARMS = tuple(dict.fromkeys(arm for pair in PAIRS.values() for arm in reversed(pair)))


def overfitting(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """pooling.overfitting: the gap between training and test, with a flattened head and behind a global average."""
    data = load()
    task = Task(
        (LENGTH, 1),
        settings.sequence_channels,
        KERNEL,
        settings.sequence_examples,
        settings.sequence_steps,
        settings.train_batch,
    )
    trained = {arm: train_arm(settings, task, arm, data, key) for arm in ARMS}
    tested = {arm: _tested(arm, found, data.test) for arm, found in trained.items()}
    budget = f"{settings.sequence_examples} sequences of MNIST-1D, {settings.sequence_steps} Adam steps, tuned rates"
    measurements = []
    for name, (pooled, plain) in PAIRS.items():
        accuracy, loss = (tested[pooled][i] - tested[plain][i] for i in (0, 1))
        gap = trained[pooled].runs.train_accuracy - trained[plain].runs.train_accuracy - accuracy
        pair = f"{pooled} minus {plain}; {budget}"
        measurements += [
            interval(f"gap-change-{name}", gap, source=f"training minus test accuracy: {pair}"),
            interval(f"test-change-{name}", accuracy, source=f"test accuracy: {pair}"),
            interval(f"loss-change-{name}", loss, unit="nats", source=f"test cross-entropy: {pair}"),
        ]
    for arm, found in trained.items():
        source = f"accuracy, {described(found.search)}"
        measurements += [
            fraction(f"train-{arm}", found.runs.train_accuracy, source=source),
            fraction(f"test-{arm}", tested[arm][0], source=source),
        ]
    return {"pooling.overfitting": evidence(measurements, {}, trained, *ARMS)}


def load() -> Digits:
    """Returns MNIST-1D as sequences [n, 40, 1]: 3,000 to train, 1,000 to validate, 1,000 to test."""
    whole = datasets.mnist1d(shuffled=False)
    x, labels, n = whole.train_images[..., None], whole.train_labels, len(whole.train_labels) - VALIDATION
    return Digits((x[:n], labels[:n]), (x[n:], labels[n:]), (whole.test_images[..., None], whole.test_labels))


def _tested(arm: str, trained: Tuned, test: tuple[Array, Array]) -> tuple[np.ndarray, np.ndarray]:
    """Returns test accuracy and cross-entropy, each [seeds]."""

    def of_seed(params: dict, test: tuple[Array, Array]) -> tuple[Array, Array]:
        found = logits(params, test[0], arm)
        return training.accuracy(found, test[1]), training.cross_entropy(found, test[1])

    return jax.tree.map(np.asarray, over_runs(of_seed)(trained.runs.params, test))
