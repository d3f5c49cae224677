"""Repetition over seeds equals the loop, in one program and in threads."""

import threading

import jax
import jax.numpy as jnp
import numpy as np

from experiments.study.seeds import over_seeds, paired, side_by_side


def test_over_seeds_is_the_loop(key):
    f = lambda key: {"a": jax.random.normal(key, (3,)), "b": jnp.float32(2)}
    found = over_seeds(f, key, 4)
    expected = np.stack([jax.random.normal(k, (3,)) for k in jax.random.split(key, 4)])
    np.testing.assert_allclose(found["a"], expected, rtol=1e-6)
    assert found["b"].tolist() == [2.0] * 4


def test_side_by_side_keeps_the_order_and_runs_the_first_alone(monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    meeting, alone = threading.Barrier(2, timeout=10), threading.main_thread()

    def run(i):
        if i == 0:
            assert threading.current_thread() is alone
        else:
            meeting.wait()  # passes only where two are under way
        return 10 * i

    assert side_by_side(run, [0, 1, 2, 3, 4]) == [0, 10, 20, 30, 40]
    assert side_by_side(run, [0]) == [0] and side_by_side(run, []) == []


def test_differences_are_paired_over_the_seeds_that_both_have(key):
    draw = lambda k: float(jax.random.normal(k))
    few, many = ([draw(k) for k in jax.random.split(key, n)] for n in (3, 5))
    assert list(paired(np.asarray(few), np.asarray(many))) == [0.0, 0.0, 0.0]
