"""What the topic pooling builds on: decorrelation of noise, ridge read-outs, channels mixed, training, disturbed digits."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.pooling import learned, measurement, overfitting, readout, robustness, training
from experiments.pooling.settings import Pooling
from experiments.study import digits
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.pooling import average_pool, max_pool
from jaxnotes.models.convolutional import convolutional_init

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_white_noise_decorrelates_as_its_filters_autocorrelation(key):
    noise = jax.random.normal(key, (64, 24, 24, 4))
    for name, expected in readout.WHITE.items():
        found = readout.decorrelation(readout.POOLS[name], noise)
        assert abs(float(found[0]) - expected) < 0.02


def test_the_ridge_read_out_finds_a_linear_truth(key):
    key_x, key_weights = jax.random.split(key)
    x = jax.random.normal(key_x, (800, 20))
    scores = x @ jax.random.normal(key_weights, (20, 12))
    targets = jnp.concatenate([jax.nn.one_hot(jnp.argmax(scores[:, :10], 1), 10), scores[:, 10:]], 1)
    accuracy, explained = readout.ridge(readout.products(x, 300), targets, 300, 200)
    assert explained > 0.99 and accuracy > 0.6
    assert np.allclose(readout.score(targets, targets), 1)


def test_pooling_mixes_no_channels_and_convolution_mixes_all(key):
    x = jax.random.normal(key, (1, 8, 8, 4))
    params = convolution_init(key, 4, 6, (3, 3))
    assert learned.channels_mixed(partial(max_pool, window=2), x) == 0
    assert learned.channels_mixed(partial(convolution, params), x) > 2.9


def test_definitions_agree_with_numpy(key):
    settings = Pooling.preset("quick", seeds=2, maps=4)
    found = measurement.definitions(settings, key)
    assert found["pooling.max"]["difference-two"].value == 0 and found["pooling.max"]["gradient-cells-three"].value == 1
    assert found["pooling.average"]["border-counted"].value == 1 and found["pooling.average"]["border-uncounted"].value == 2
    assert found["pooling.average"]["spike"].value == 0.25 and found["pooling.global"]["difference-max"].value == 0


def test_a_pool_by_one_axis_after_the_other_is_that_of_the_square(key):
    x = jax.random.normal(key, (2, 14, 14, 3))
    for pool in (max_pool, average_pool):
        for size in (1, 4, 7):
            np.testing.assert_allclose(
                readout.by_axis(pool, size)(x), pool(x, window=size, padding="SAME"), rtol=1e-5, atol=1e-6
            )


def digits_task(examples: int, steps: int = 10) -> training.Task:
    return training.Task(learned.IMAGE, (8, 16), learned.KERNEL, examples, steps, 32)


def test_pools_that_halve_a_map_share_their_parameters():
    for pool, head, _ in training.ARMS.values():
        shared = "none" if pool == "none" else "max"
        start = partial(convolutional_init, image_shape=learned.IMAGE, channels=(8, 16), n_out=10, head=head)
        own, taken = (jax.eval_shape(partial(start, pool=p), jax.random.key(0)) for p in (pool, shared))
        assert own == taken


@pytest.fixture(scope="module")
def few() -> digits.Digits:
    return learned.load(Pooling.preset("quick", evaluated=50))


def test_a_seed_trains_on_digits_of_its_own_each_once_an_epoch(key, few):
    (images, _), indices = training.draw(key, few.train, task=digits_task(100))
    assert len(np.unique(images, axis=0)) == 100 and np.unique(indices[:3]).size == 96


def test_more_digits_than_there_are_are_refused(key, few):
    with pytest.raises(ValueError, match="larger"):
        training.draw(key, few.train, task=digits_task(7000))


def test_frozen_kernels_stay_as_drawn_and_learned_ones_do_not(key, few):
    task = digits_task(100)
    start = training.start(jax.random.split(key)[0], task=task, pool="max", head="flatten")["blocks"][0]
    frozen, free = (training.train(task, arm, few, jnp.float32(1e-2), key) for arm in ("frozen", "max"))
    jax.tree.map(np.testing.assert_array_equal, frozen.params["blocks"][0], start)
    moved = np.abs(free.params["blocks"][0]["weight"] - start["weight"])
    assert 1e-3 < moved.max() < 0.1  # ten steps of Adam, each of at most 0.01
    assert frozen.losses[0] == free.losses[0] and frozen.losses[-1] < frozen.losses[0]


def test_sequences_are_held_out_of_training_and_known_by_their_package():
    data = overfitting.load()
    assert [len(labels) for _, labels in data] == [3000, 1000, 1000] and data.train[0].shape[1:] == (40, 1)
    whole = np.concatenate([data.train[0], data.validation[0]])
    assert len(np.unique(whole, axis=0)) == 4000


def test_a_hidden_patch_has_no_ink_and_the_rest_is_as_it_was(key):
    images = 1 + jnp.arange(6.0 * 8 * 8).reshape(6, 8, 8, 1)
    covered = np.asarray(robustness.hidden(images, 3, key))
    empty = covered == np.float32(robustness.EMPTY)
    assert (empty.sum((1, 2, 3)) == 9).all() and (covered[~empty] == np.asarray(images)[~empty]).all()
    for of_image in empty[..., 0]:
        assert np.ptp(np.nonzero(of_image)[0]) == 2 and np.ptp(np.nonzero(of_image)[1]) == 2


def test_digits_are_shifted_to_all_four_sides():
    image = jnp.zeros((1, 5, 5, 1)).at[0, 2, 2, 0].set(1)
    found = {tuple(np.argwhere(np.asarray(moved[0, ..., 0]))[0]) for moved in robustness.shifted(image, 2)}
    assert found == {(2, 4), (2, 0), (4, 2), (0, 2)}


def test_the_share_kept_counts_right_answers_only():
    labels = jnp.asarray([0, 1, 1, 0])
    right = jnp.asarray([True, True, False, True])
    answers = jnp.asarray([[0, 1, 1, 1], [0, 0, 1, 1]])  # of two changes; the third digit was never right
    outputs = lambda x: jax.nn.one_hot(x, 2)
    assert robustness.kept(outputs, answers, labels, right) == pytest.approx(3 / 6)
