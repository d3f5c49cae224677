"""A topic: its parts get keys of their own, and one without its data leaves the others alone."""

import zlib

import jax
import numpy as np
import pytest

from experiments.study.measurement import Evidence, exact
from experiments.study.settings import Settings
from experiments.study.topic import Topic
from jaxnotes.datasets import MissingPackageError


def test_parts_get_keys_of_their_own_and_are_reported(key):
    seen, keys = [], []

    def part(name):
        def function(settings, key_part):
            keys.append(str(key_part))
            return {f"topic.{name}": Evidence((exact(name, 1),))}

        return function

    topic = Topic("topic", Settings, (part("a"), part("b")))
    measured = topic.measure(Settings(), key, lambda: seen.append(1))
    assert list(measured) == ["topic.a", "topic.b"] and len(seen) == 2 and len(set(keys)) == 2


def test_a_part_whose_data_are_not_installed_is_left_out(key):
    def absent(settings, key_part):
        raise MissingPackageError("pip install it")

    def present(settings, key_part):
        return {"topic.b": Evidence((exact("b", 1),))}

    assert list(Topic("topic", Settings, (absent, present)).measure(Settings(), key)) == ["topic.b"]


@pytest.mark.parametrize("other", [("causes", 1), ("residual", 0)])
def test_seeds_and_topics_have_other_keys(other):
    draw = lambda name, seed: np.asarray(jax.random.normal(Topic(name, Settings, ()).key(seed), (4,)))
    assert np.all(draw("causes", 0) != draw(*other))


def test_a_topic_s_key_is_philox_and_the_same_in_every_process():
    found = Topic("causes", Settings, (), edition=2).key(3)
    assert jax.random.key_impl(found) == "philox4x32"
    expected = jax.random.fold_in(jax.random.key(3, impl="philox4x32"), zlib.crc32(b"causes 2"))  # the second edition
    np.testing.assert_array_equal(jax.random.key_data(found), jax.random.key_data(expected))
    keys = jax.random.split(found, 3)
    np.testing.assert_array_equal(jax.vmap(jax.random.normal)(keys), [jax.random.normal(key) for key in keys])
