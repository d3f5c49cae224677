"""What the topic invariance builds on: the canvas, the shifts, the networks, the examples needed, and the exact cases."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.invariance import canvas, measurement, networks, sequences
from experiments.invariance.settings import Invariance
from experiments.study import digits, rules
from experiments.study.measurement import Evidence, Measurement, Search
from jaxnotes import datasets

pytestmark = pytest.mark.usefixtures("standard_promotion")
SEARCH = Search(0.1, (0.1,), ((0.5,),), False)


def test_digits_lie_in_the_centre_and_shifts_lose_nothing():
    placed, plain = canvas.load(), digits.load(flat=False)
    for (images, labels), (expected, expected_labels) in zip(placed, plain, strict=True):
        np.testing.assert_array_equal(images[:, 3:-3, 3:-3], expected - expected.min())
        np.testing.assert_array_equal(labels, expected_labels)
    x = placed.test[0][:20]
    moved = np.asarray(canvas.everywhere(x))
    assert x.shape == (20, 20, 20, 1) and moved.shape == (49, *x.shape)
    np.testing.assert_array_equal(moved[24], x)
    np.testing.assert_array_equal(moved[42][:, 6:, :14], x[:, 3:-3, 3:-3])  # three down, three to the left
    assert (moved[42][:, :6] == 0).all() and (moved[42][:, :, 14:] == 0).all()


def test_drop_worst_position_and_what_is_kept_of_a_known_map():
    right = np.zeros((2, 7, 7, 10), bool)
    right[..., :5] = True
    right[:, 3, 3, :9] = True
    right[:, 1, 5] = False
    shown = canvas.Shown(right, SEARCH, None)
    np.testing.assert_allclose(shown.centred, 0.9)
    np.testing.assert_allclose(shown.drop, 0.4)
    np.testing.assert_allclose(shown.worst, 0)
    np.testing.assert_allclose(canvas.kept(shown, shown), 5 / 9)
    fewer = right.copy()
    fewer[:, 3, 3, 3:] = False  # the other network knows three digits, all of which survive
    np.testing.assert_allclose(canvas.kept(shown, canvas.Shown(fewer, SEARCH, None)), 1)


def test_only_the_invariant_network_is_invariant(key):
    x = jax.random.normal(key, (3, 20, 20, 1))
    sizes = networks.Sizes((20, 20, 1), (4, 8), 8)
    for arm in networks.ARMS:
        init, apply = networks.network(arm, sizes)
        params = init(key)
        apply = jax.jit(apply)
        moved = np.stack([apply(params, jnp.roll(x, shift, (1, 2))) for shift in ((0, 0), (1, 2), (-3, 1), (4, 8))])
        change = np.abs(moved - moved[0]).max((1, 2))
        assert (change[1:3].max() < 1e-5) == (arm == "polyphase")
        if arm == "global":  # two strides of 2
            assert change[3] < 1e-5


def test_examples_needed_lie_on_the_line_between_sizes():
    accuracy = np.asarray([[0.2, 0.6, 0.8], [0.8, 0.9, 0.95], [0.1, 0.2, 0.3]])
    np.testing.assert_allclose(sequences.needed((256, 512, 1024), accuracy, 0.7), [9.5, 8, 10])


def test_a_network_sees_the_examples_it_was_given_and_arms_see_the_same(key, monkeypatch):
    monkeypatch.setattr(networks, "_run", lambda rate, key, indices, data, **options: np.asarray(indices))
    data = ((jnp.zeros((900, 8, 1)), jnp.zeros(900, jnp.int32)),) * 2
    few = networks.train("flatten", networks.Sizes((8, 1), (2,)), data, 0.1, key, steps=40, batch=32, examples=100)
    assert len(np.unique(few)) == 100 and few.max() > 100
    other = networks.train("polyphase", networks.Sizes((8, 1), (2,)), data, 0.1, key, steps=40, batch=32, examples=100)
    np.testing.assert_array_equal(few, other)


def test_mnist1d_is_the_package_s_and_leaves_the_global_generators_alone():
    before = np.random.get_state()[1].copy()
    data = datasets.mnist1d(shuffled=False)
    np.testing.assert_array_equal(np.random.get_state()[1], before)
    assert data.train_images.shape == (4000, 40) and data.test_images.shape == (1000, 40)
    both = np.concatenate([data.train_images, data.test_images])
    assert abs(both.mean()) < 1e-5 and abs(both.std() - 1) < 1e-5
    assert np.bincount(np.concatenate([data.train_labels, data.test_labels])).tolist() == [500] * 10
    shuffled = datasets.mnist1d(shuffled=True)
    np.testing.assert_array_equal(shuffled.train_labels, data.train_labels)
    np.testing.assert_allclose(np.sort(shuffled.train_images, 1), np.sort(data.train_images, 1), atol=1e-5)


def test_without_the_package_mnist1d_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mnist1d.data", None)
    with pytest.raises(ModuleNotFoundError, match="pip install mnist1d"):
        datasets.mnist1d(shuffled=False)


def test_mnist1d_at_one_place_differs_from_the_published_set_in_the_place_alone():
    fixed = datasets.mnist1d(translations=1)
    assert fixed.train_images.shape == (4000, 40)
    # The pattern starts at the first cell, and noise of a quarter's scale follows it.
    spread = lambda images: np.asarray(images[:, 1:8]).var() / np.asarray(images[:, -8:-1]).var()
    assert spread(fixed.train_images) > 1.5 * spread(datasets.mnist1d().train_images)


def test_exact_cases_are_exact(key):
    settings = Invariance.preset("quick", seeds=2, size=12)
    (evidence,) = measurement.definition(settings, key).values()
    assert evidence["change-exact"].high < 1e-14 and evidence["equivariance-exact"].high < 1e-14
    (evidence,) = measurement.equivariance(settings, key).values()
    for name in ("error-circular", "error-zeros-inside", "error-stride-even"):
        assert evidence[name].high < 1e-14
    assert evidence["error-zeros"].low > 0.1 and evidence["error-stride-odd"].low > 0.5


def _judged(claim: str, **values: tuple[float, float]) -> str:
    """Returns the verdict of a claim on measurements (value, half-width)."""
    found = (Measurement(name.replace("_", "-"), v, v - half, v + half, 8) for name, (v, half) in values.items())
    claim = rules.load_claims("invariance")[f"invariance.{claim}"]
    claim = claim._replace(published=())
    return rules.judge(claim, Evidence(tuple(found)), dataclasses.asdict(Invariance())).verdict


def test_the_rules_on_made_up_evidence():
    network = {"centred_polyphase": (0.94, 0.01), "drop_flatten": (0.8, 0.02), "drop_mlp": (0.9, 0.01)}
    assert _judged("generalises", **network, drop_polyphase=(0.0, 0.001)) == "holds"
    assert _judged("generalises", **network, drop_polyphase=(0.2, 0.02)) == "fails"
    assert _judged("generalises", **network, drop_polyphase=(0.008, 0.004)) == "undecided"
    assert _judged("max-pool", change_inside=(0.0, 0.0)) == "holds"
    assert _judged("max-pool", change_inside=(0.1, 0.01)) == "fails"
    assert _judged("max-pool", change_inside=(1e-7, 1e-8)) == "undecided"
    worst = {"worst_global": (0.8, 0.02), "worst_max_blur": (0.9, 0.01)}
    assert _judged("cnn", **worst, worst_flatten=(0.05, 0.02), worst_polyphase=(0.94, 0.01)) == "holds-if"
    assert _judged("cnn", **worst, worst_flatten=(0.05, 0.02), worst_polyphase=(0.2, 0.02)) == "fails"
    assert _judged("cnn", **worst, worst_flatten=(0.05, 0.02), worst_polyphase=(0.86, 0.02)) == "undecided"
    gains = {"doublings_saved": (2.0, 0.3), "gain_unseen": (0.6, 0.05)}
    assert _judged("generalisation", **gains, gain_fixed=(-0.05, 0.01)) == "holds-if"
    assert _judged("generalisation", **gains, gain_fixed=(0.05, 0.01)) == "holds"
    assert _judged("generalisation", **gains, gain_fixed=(0.01, 0.01)) == "undecided"
    assert _judged("generalisation", doublings_saved=(-1, 0.2), gain_unseen=(-0.1, 0.02), gain_fixed=(0, 0.1)) == "fails"
