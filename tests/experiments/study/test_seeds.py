"""Repetition over seeds equals the loop, in one program and on two threads."""

import threading

import jax
import jax.numpy as jnp
import numpy as np

from experiments.study.seeds import best_of, over_seeds, paired, side_by_side


def test_over_seeds_is_the_loop(key):
    f = lambda key: {"a": jax.random.normal(key, (3,)), "b": jnp.float32(2)}  # noqa: E731
    found = over_seeds(f, key, 4)
    expected = np.stack([jax.random.normal(k, (3,)) for k in jax.random.split(key, 4)])
    np.testing.assert_allclose(found["a"], expected, rtol=1e-6)
    assert found["b"].tolist() == [2.0] * 4


def test_side_by_side_keeps_the_order_and_runs_the_first_alone():
    meeting, alone = threading.Barrier(2, timeout=10), threading.main_thread()

    def run(i):
        if i == 0:
            assert threading.current_thread() is alone
        else:
            meeting.wait()  # passes only where two are under way
        return 10 * i

    assert side_by_side(run, [0, 1, 2, 3, 4]) == [0, 10, 20, 30, 40]
    assert side_by_side(run, [0]) == [0]


def test_differences_are_paired_over_the_seeds_that_both_have(key):
    of_key = lambda k: float(jax.random.normal(k))  # noqa: E731
    few, many = ([of_key(k) for k in jax.random.split(key, n)] for n in (3, 5))
    assert list(paired(np.asarray(few), np.asarray(many))) == [0.0, 0.0, 0.0]


def test_the_best_is_the_first_of_the_highest_and_a_single_one_is_not_tried():
    assert best_of({1.0: 0.2, 2.0: 0.9, 3.0: 0.9}.get, (1.0, 2.0, 3.0)) == 2.0
    assert best_of(None, (5.0,)) == 5.0
