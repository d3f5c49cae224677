"""What classifiers of digits with and without pooling have learned: features, invariance, robustness, kernels."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.pooling import robustness
from experiments.pooling.readout import features, map_changes
from experiments.pooling.settings import CLASSES, Pooling
from experiments.pooling.training import Task, evidence, logits, over_runs, train_arm
from experiments.study import digits
from experiments.study.measurement import Evidence, Measurement, exact, fraction, interval
from experiments.study.tuning import Tuned, described
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.pooling import average_pool, max_pool
from jaxnotes.models.convolutional import convolutional_init

IMAGE, KERNEL = (14, 14, 1), 3
ARMS = ("none", "max", "average", "frozen")
POOLED = ("max", "average")


def learned(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """Every claim about trained classifiers of digits."""
    data = load(settings)
    key_arms, key_features, key_maps, key_kernels, key_noise = jax.random.split(key, 5)
    task = Task(IMAGE, settings.channels, KERNEL, settings.train_examples, settings.train_steps, settings.train_batch)
    trained = {arm: train_arm(settings, task, arm, data, key_arms) for arm in ARMS}
    tested = {arm: _tested(settings, arm, found, data.test, key_noise) for arm, found in trained.items()}
    filters = trained["none"].runs.params["blocks"][0]
    read, arrays = features(settings, filters, data, key_features)
    return {
        "pooling.features": evidence(read, arrays, trained, "none"),
        "pooling.invariance": _invariance(trained, tested, *map_changes(settings, data.test[0], key_maps)),
        "pooling.not-convolution": _not_convolution(settings, trained, tested, key_kernels),
        "pooling.robust": _robust(settings, trained, tested),
    }


def load(settings: Pooling) -> digits.Digits:
    """Returns the digits as images [n, 14, 14, 1]; to validate and to test, as many as are evaluated."""
    train, *others = digits.load(flat=False)
    few = slice(settings.evaluated)
    return digits.Digits(train, *((images[few], labels[few]) for images, labels in others))


def _tested(settings: Pooling, arm: str, trained: Tuned, test: tuple[Array, Array], key: Array) -> dict[str, np.ndarray]:
    """Returns what each network of an arm does with the test digits and with changed ones, [seeds] each."""

    def of_seed(params: dict, images: Array, labels: Array, changed: dict[str, Array]) -> dict[str, Array]:
        outputs = partial(logits, params, arm=arm)
        plain = outputs(images)
        moved = jax.lax.map(outputs, robustness.shifted(images, 1))
        right = plain.argmax(-1) == labels
        return {name: robustness.kept(outputs, images, labels, right) for name, images in changed.items()} | {
            "accuracy": right.mean(dtype=jnp.float32),
            "logit-change": jnp.mean((moved - plain[None]) ** 2) / (2 * plain.var()),
            "flips": jnp.mean(moved.argmax(-1) != plain.argmax(-1)[None], dtype=jnp.float32),
        }

    changed = robustness.changed(settings, test[0], key)
    return jax.tree.map(np.asarray, over_runs(of_seed)(trained.runs.params, *test, changed))


def _invariance(
    trained: dict[str, Tuned],
    tested: dict[str, dict[str, np.ndarray]],
    measurements: list[Measurement],
    arrays: dict[str, np.ndarray],
) -> Evidence:
    after = "shift by one pixel, 2×2 pooling minus no pooling"
    for arm in POOLED:
        change = {name: tested[arm][name] - tested["none"][name] for name in ("logit-change", "flips")}
        measurements += [
            interval(f"logit-change-{arm}", change["logit-change"], source=f"1 − correlation of the logits, {after}"),
            interval(f"flips-change-{arm}", change["flips"], unit="of the test set", source=f"predictions changed, {after}"),
        ]
    for arm in ("none", *POOLED):
        source = f"predictions changed by a shift by one pixel, {described(trained[arm].search)}"
        measurements.append(fraction(f"flips-{arm}", tested[arm]["flips"], unit="of the test set", source=source))
    return evidence(measurements, arrays, trained, "none", *POOLED)


def _robust(settings: Pooling, trained: dict[str, Tuned], tested: dict[str, dict[str, np.ndarray]]) -> Evidence:
    measurements = []
    kinds = robustness.described(settings)
    for kind, what in kinds.items():
        for arm in POOLED:
            change = tested[arm][kind] - tested["none"][kind]
            source = f"{what}, 2×2 pooling minus no pooling"
            measurements.append(interval(f"kept-change-{arm}-{kind}", change, unit="of the right answers", source=source))
    for kind, what in kinds.items():
        for arm in ("none", *POOLED):
            source = f"test digits recognised that still are: {what}"
            measurements.append(fraction(f"kept-{arm}-{kind}", tested[arm][kind], unit="of the right answers", source=source))
    for arm in ("none", *POOLED):
        source = f"accuracy, {described(trained[arm].search)}"
        measurements += [
            fraction(f"train-{arm}", trained[arm].runs.train_accuracy, source=source),
            fraction(f"test-{arm}", tested[arm]["accuracy"], source=source),
        ]
    return evidence(measurements, {}, trained, "none", *POOLED)


def _not_convolution(
    settings: Pooling, trained: dict[str, Tuned], tested: dict[str, dict[str, np.ndarray]], key: Array
) -> Evidence:
    n_in, n_out = settings.channels[0], settings.channels[-1]
    key_params, key_map = jax.random.split(key)
    params = convolution_init(key_params, n_in, n_out, (3, 3))
    x = jax.random.normal(key_map, (1, 8, 8, n_in))
    maps = {"pooling": partial(max_pool, window=2), "convolution": partial(convolution, params)}
    mixed = {name: channels_mixed(f, x) for name, f in maps.items()}
    size = {name: np.prod(jax.eval_shape(f, x).shape[1:3]) / 64 for name, f in maps.items()}
    classifier = partial(convolutional_init, key_params, IMAGE, settings.channels, CLASSES, head="average")
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    added = count(classifier(pool="max")) - count(classifier(pool="none"))
    fixed = {"weight": jnp.full((2, 2, 1, 1), 0.25), "bias": jnp.zeros(1)}
    as_convolution = convolution(fixed, x[..., :1], stride=2, padding="VALID")
    difference = jnp.abs(as_convolution - average_pool(x[..., :1], 2)).max()
    accuracy = {arm: tested[arm]["accuracy"] for arm in ("max", "frozen")}
    gain, law = accuracy["max"] - accuracy["frozen"], "9 n_in n_out + n_out"
    measurements = [
        interval("learned-gain", gain, source="test accuracy, learned minus frozen random kernels, 2×2 maxima behind either"),
        exact("parameters-pooling", added, source="added by pooling to the classifier"),
        exact("parameters-convolution", count(params), prediction=9 * n_in * n_out + n_out, source=law),
        *(
            exact(f"channels-mixed-{name}", value, unit="channels", source="other channels that move an output, mean")
            for name, value in mixed.items()
        ),
        *(exact(f"size-ratio-{name}", value, unit="of the cells", source="output over input") for name, value in size.items()),
        exact("average-as-convolution", difference, prediction=0, source="from a fixed 2×2 convolution of ¼, stride 2"),
    ]
    for arm, values in accuracy.items():
        source = f"test accuracy, {described(trained[arm].search)}"
        measurements.append(fraction(f"test-{arm}", values, source=source))
    filters = {name: trained[arm].runs.params["blocks"][0]["weight"] for name, arm in (("learned", "max"), ("fixed", "frozen"))}
    return evidence(measurements, {name: weight[0, :, :, 0] for name, weight in filters.items()}, trained, *accuracy)


def channels_mixed(f: Callable, x: Array) -> float:
    """Returns how many input channels other than its own move an output, the mean over output channels, from the Jacobian."""
    jacobian = jax.jit(jax.jacrev(lambda x: f(x).sum((0, 1, 2))))(x)  # [n_out, 1, height, width, n_in]
    touched = np.array(jnp.abs(jacobian).sum((1, 2, 3)) > 0)
    own = np.arange(len(touched)) % touched.shape[1]
    touched[np.arange(len(touched)), own] = False
    return touched.sum(1).mean()
