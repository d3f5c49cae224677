"""What the question dropout builds on: masks and their counts, networks with units deleted, correlations of known units."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.dropout import ablation, disturbances, ensemble, measurement, stability
from experiments.dropout import training as dropout_training
from experiments.dropout.network import forward, initialise
from experiments.dropout.settings import Dropout
from experiments.study import tuning
from experiments.study.digits import Digits
from experiments.study.measurement import Evidence, Measurement
from experiments.study.rules import judge, load_claims, named_in, parse
from jaxnotes import training

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_every_mask_is_there_once():
    masks = measurement.every_mask(5)
    assert masks.shape == (32, 5) and {tuple(m) for m in masks.tolist()} == set(itertools.product((0, 1), repeat=5))


@pytest.mark.parametrize("keep", [0.5, 0.8])
def test_the_expected_number_of_masks_by_enumeration(keep):
    chances = [np.prod([keep if kept else 1 - keep for kept in mask]) for mask in itertools.product((0, 1), repeat=6)]
    expected = sum(1 - (1 - p) ** 40 for p in chances)
    assert measurement.expected_distinct(6, keep, 40) == pytest.approx(expected, rel=1e-10)


def test_a_masked_network_is_the_smaller_one(key):
    difference, gradient = measurement.deletion(Dropout.preset("quick"), key)
    assert difference.shape == (8,) and 0 < difference.max() < 1e-12
    np.testing.assert_array_equal(gradient, np.zeros(8))


def test_weight_scaling_is_the_geometric_mean_of_all_subnetworks_before_one_softmax_layer(key):
    settings = Dropout.preset("quick", small_units=6)
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: p.astype(jnp.float64), initialise(key, (5, 6, 4)))
        x = np.random.default_rng(0).normal(size=(30, 5))
        averages = jax.jit(lambda params, x: ensemble.averages(settings, 0.5, params, key, (x, jnp.zeros(30, jnp.int32))))
        found = jax.tree.map(np.asarray, averages(params, x))
    units = np.maximum(x @ np.asarray(params[0]["weight"]), 0)
    each = []
    for mask in itertools.product((0, 1), repeat=6):
        scores = np.exp(units * mask / 0.5 @ np.asarray(params[1]["weight"]))
        each.append(scores / scores.sum(1, keepdims=True))
    scores = np.exp(units @ np.asarray(params[1]["weight"]))
    scaled = scores / scores.sum(1, keepdims=True)
    assert found["geometric"] < 1e-14
    assert found["arithmetic"] == pytest.approx(np.abs(scaled - np.mean(each, 0)).sum(1).mean() / 2, rel=1e-9)


def digits_of(generator: np.random.Generator, n: int) -> tuple[jax.Array, jax.Array]:
    return jnp.asarray(generator.normal(size=(n, 7)), jnp.float32), jnp.asarray(generator.integers(0, 3, n), jnp.int32)


def test_training_is_optax_adam_with_a_falling_rate_on_the_first_examples_of_an_order(key):
    data = Digits(*(digits_of(np.random.default_rng(seed), n) for seed, n in ((0, 40), (1, 20), (2, 20))))
    plan, rate, examples = dropout_training.Plan((5,), (0,), steps=6, batch=4), 0.05, 3
    keys = jax.random.split(key)
    found = dropout_training.train(plan, jnp.float32(rate), keys, jnp.float32(1.0), jnp.int32(examples), data)

    key_params, key_batches, _ = jax.random.split(keys[0], 3)
    order = jax.random.permutation(keys[1], 40)
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, 6))
    params = initialise(key_params, (7, 5, 10))
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, x, labels):
        gradient = jax.grad(lambda params: training.cross_entropy(forward(params, x), labels))(params)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state

    for batch in order[jax.random.randint(key_batches, (6, 4), 0, examples)]:
        params, state = step(params, state, data.train[0][batch], data.train[1][batch])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found.params, params)
    logits = forward(params, data.train[0])[order[:examples]]
    assert found.train_accuracy == pytest.approx(training.accuracy(logits, data.train[1][order[:examples]]))
    own = training.cross_entropy(logits, data.train[1][order[:examples]])
    assert float(found.train_loss) == pytest.approx(float(own), rel=1e-5)
    test = forward(params, data.test[0])
    assert float(found.test_accuracy) == pytest.approx(float(training.accuracy(test, data.test[1])))
    assert float(found.test_loss) == pytest.approx(float(training.cross_entropy(test, data.test[1])), rel=1e-5)


def test_the_worst_unit_by_rank_one_changes_is_the_worst_by_deleting_each(key):
    params = initialise(key, (7, 6, 6, 4))
    x = jax.random.normal(key, (200, 7))
    labels = jnp.argmax(forward(params, x), 1).astype(jnp.int32)
    accuracies = []
    for layer, unit in itertools.product((0, 1), range(6)):
        gone = lambda at, h, layer=layer, unit=unit: h.at[:, unit].set(0.0) if at == layer else h
        accuracies.append(training.accuracy(forward(params, x, gone), labels))
    hidden = jnp.maximum(x @ params[0]["weight"], 0)
    found = ablation.worst_accuracy(params, hidden, hidden @ params[1]["weight"], labels)
    assert float(found) == float(min(accuracies)) < 1.0


def test_correlation_of_known_units(key):
    independent = jax.random.normal(key, (50_000, 4))
    assert ablation.correlation(independent) < 0.02
    copies = jnp.concatenate([independent[:, :1]] * 3 + [jnp.zeros((50_000, 1))], 1)  # a dead unit does not count
    assert float(ablation.correlation(copies)) == pytest.approx(1.0, abs=1e-3)


def test_a_patch_hides_one_square_that_lies_anywhere_inside(key):
    x = jnp.ones((2000, 6 * 6))
    hidden = np.asarray(disturbances.occluded(key, x, 6, 2)).reshape(2000, 6, 6) == 0
    assert (hidden.sum((1, 2)) == 4).all()
    assert (hidden.any(2).sum(1) == 2).all() and (hidden.any(1).sum(1) == 2).all()
    corner = hidden.reshape(2000, 36).argmax(1)
    assert set(corner.tolist()) == {6 * row + column for row in range(5) for column in range(5)}
    np.testing.assert_array_equal((np.asarray(disturbances.occluded(key, x, 1, 5)) == 0).sum(1), np.full(2000, 5))


def test_the_ratio_of_shares_is_paired(key):
    shares = {"plain": np.asarray([0.2, 0.4, 0.1]), "dropout": np.asarray([0.1, 0.2, 0.05])}
    change, plain, dropped = disturbances.ratio("noise", "noise", shares)
    assert change.name == "log-ratio-noise" and change.low == pytest.approx(np.log(0.5)) == change.high
    assert (plain.value, dropped.value) == (pytest.approx(0.7 / 3), pytest.approx(0.35 / 3))


def test_training_again_changes_the_start_or_the_examples_and_nothing_else(key, monkeypatch):
    data = Digits(*(digits_of(np.random.default_rng(seed), 20) for seed in range(3)))
    keys = jax.vmap(jax.random.split)(jax.random.split(key, 2))
    plan = dropout_training.Plan((5,), (0,), steps=2, batch=4)
    runs = dropout_training.Trained(*[None] * 7)._replace(params=[None])
    arm = dropout_training.Arm(plan, data, 10, 0.8, keys, tuning.Tuned(runs, tuning.Search(0.01, (0.01,), ((0.0,),), True)))
    seen = []
    monkeypatch.setattr(stability, "again", lambda arm, keep, keys: seen.append(keys) or runs)
    monkeypatch.setattr(stability, "classes", lambda params, x: np.zeros((2, 20)))
    found = stability.changed_by_training(arm)
    assert set(found) == {"start", "sample"}
    equal = lambda a, b: bool((jax.random.key_data(a) == jax.random.key_data(b)).all())
    same = [[equal(new[k], old[k]) for k in (0, 1)] for new, old in zip(seen, [*keys, *keys], strict=True)]
    assert same == [[False, True]] * 2 + [[True, False]] * 2


def evidence(**values: float) -> list[Measurement]:
    """Made-up measurements, decided far from 0."""
    return [Measurement(name.replace("_", "-"), value, value - 1e-4, value + 1e-4, 8) for name, value in values.items()]


def of_names(claim: str, value: float, **others: float) -> list[Measurement]:
    """Made-up measurements of all that the claim's rule and texts name."""
    rule = load_claims("dropout")[claim]
    texts = " ".join([*rule.condition.values(), *rule.counterexample.values()])
    listed = [parse(criterion)["name"] for criteria in rule.criteria.values() for criterion in criteria]
    listed += [report.measurement for report in rule.published]
    names = {*listed, *named_in(texts)}
    return evidence(**dict.fromkeys((name.replace("-", "_") for name in names), value) | others)


OVERFITS = {f"accuracy_change_{name}": 0.05 for name in ("tiny", "small", "medium", "large", "digits")}
OTHER_SIDES = {f"accuracy_change_{name}": -0.05 for name in ("narrow", "short", "untuned")} | {"loss_change_tiny": 5.0}


@pytest.mark.parametrize(
    ("claim", "value", "others", "verdict"),
    [
        ("overfitting", -0.5, OVERFITS | {f"accuracy_change_{name}": 0.05 for name in ("narrow", "short", "untuned")}, "holds"),
        ("overfitting", -0.5, OVERFITS | OTHER_SIDES, "holds-if"),
        ("overfitting", -0.5, OVERFITS | OTHER_SIDES | {"accuracy_change_narrow": 0.0}, "undecided"),
        ("overfitting", -0.5, OVERFITS | OTHER_SIDES | {"loss_change_tiny": -5.0}, "undecided"),
        ("overfitting", 0.5, {"accuracy_change_small": -0.1, "accuracy_change_medium": -0.1}, "fails"),
        ("redundancy", -0.1, {"ablation_change": 0.2}, "holds"),
        ("redundancy", -0.1, {"ablation_change": 0.2, "worst_unit_change": 0.0}, "undecided"),
        ("redundancy", 0.1, {"ablation_change": -0.2}, "fails"),
        ("stability", -0.2, {}, "holds"),
        ("stability", -0.2, {"log_ratio_noise_sequences": 0.1}, "holds-if"),
        ("stability", -0.2, {"log_ratio_start_sequences": 0.0}, "undecided"),
        ("stability", 0.2, {}, "fails"),
    ],
)
def test_the_rules_on_made_up_evidence(claim, value, others, verdict):
    settings = {"examples": (1, 2, 3, 4), "narrow": 8, "short_steps": 300}
    claim = f"dropout.{claim}"
    made = Evidence(tuple(of_names(claim, value, **others)))
    assert judge(load_claims("dropout")[claim], made, settings).verdict == verdict
