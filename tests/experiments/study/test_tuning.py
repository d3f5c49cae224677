"""The method of the trainings: which rate is chosen, when the grid goes on, and that the seeds that count are others."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.study import tuning
from experiments.study.settings import SettingsError, TrainingSettings


def parabola(best: float, spread: float = 0.0):
    """A score that is highest at a rate, falls with the square of the decades from it, and differs by seed."""

    def score(rate, key):
        noise = float(jax.random.normal(jax.random.fold_in(key, int(1e6 * rate)), ()))
        return -(np.log10(rate / best) ** 2) + spread * noise

    return score


def test_the_best_rate_inside_the_grid_is_taken_and_nothing_more_is_tried(key):
    found = tuning.search(parabola(0.1), (0.01, 0.1, 1.0), list(jax.random.split(key, 3)))
    assert found.rate == 0.1 and found.rates == (0.01, 0.1, 1.0) and found.inside
    np.testing.assert_allclose(found.scores, [[-1] * 3, [0] * 3, [-1] * 3], atol=1e-12)


@pytest.mark.parametrize("best, tried", [(1e-4, 6), (30.0, 5)])
def test_the_grid_goes_on_at_its_end_by_its_own_step_until_the_best_is_inside(key, best, tried):
    found = tuning.search(parabola(best), (0.01, 0.1, 1.0), list(jax.random.split(key, 3)))
    assert found.inside and abs(np.log10(found.rate / best)) <= 0.53 and len(found.rates) == tried
    np.testing.assert_allclose(np.diff(np.log10(found.rates)), 1)


def test_a_network_that_learns_at_no_rate_ends_the_search(key):
    found = tuning.search(lambda rate, key: 0.1, (0.01, 0.1), list(jax.random.split(key, 3)))
    assert not found.inside and len(found.rates) == 2 + tuning.FLAT and found.rate == 0.01  # the smallest given
    assert "no best one inside them" in tuning.described(found)


def test_a_grid_whose_best_is_far_away_is_left_after_so_many_steps(key):
    found = tuning.search(parabola(1e-9), (0.01, 0.1, 1.0), list(jax.random.split(key, 3)))
    assert not found.inside and len(found.rates) == 3 + tuning.EXTENSIONS and found.rate == min(found.rates)


def test_of_rates_that_agree_within_their_standard_error_the_smallest_is_taken(key):
    keys = list(jax.random.split(key, 3))
    noise = dict(zip(map(str, keys), (0.0, 0.3, -0.3), strict=True))  # the difference: mean 0.1, standard error 0.17
    means = {0.01: -5.0, 0.1: 0.4, 1.0: 0.5, 10.0: 0.0}
    close = tuning.search(lambda rate, key: means[rate] + noise[str(key)] * (rate == 0.1), (0.1, 1.0, 10.0), keys)
    assert tuning.search(lambda rate, key: means[rate], (0.1, 1.0, 10.0), keys).rate == 1.0  # the same means without noise
    assert close.rate == 0.1 and close.inside  # the grid went on below it
    means[0.1] = 0.25  # a difference of 0.25: above the standard error, below the standard deviation of 0.3
    apart = tuning.search(lambda rate, key: means[rate] + noise[str(key)] * (rate == 0.1), (0.1, 1.0, 10.0), keys)
    assert apart.rate == 1.0


def test_agreement_is_paired_by_seed(key):
    """What a seed does to every rate alike does not make two rates agree."""
    keys = list(jax.random.split(key, 3))
    shared = dict(zip(map(str, keys), (0.0, 5.0, -5.0), strict=True))
    found = tuning.search(lambda rate, key: {0.1: 0.4, 1.0: 0.5, 10.0: 0.0}[rate] + shared[str(key)], (0.1, 1.0, 10.0), keys)
    assert found.rate == 1.0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_run_that_is_not_finite_scores_worst(key, bad):
    score = lambda rate, key: bad if rate > 0.5 else parabola(0.1)(rate, key)
    found = tuning.search(score, (0.01, 0.1, 1.0), list(jax.random.split(key, 3)))
    assert found.rate == 0.1 and found.scores[-1] == (-np.inf,) * 3


def test_one_seed_of_three_that_is_not_finite_rules_a_rate_out(key):
    keys = list(jax.random.split(key, 3))
    score = lambda rate, key: (
        np.nan if rate == 0.1 and str(key) == str(keys[1]) else {0.01: 0.2, 0.1: 0.9, 1.0: 0.1, 0.001: 0}[rate]
    )
    assert tuning.search(score, (0.01, 0.1, 1.0), keys).rate == 0.01


def test_rates_must_rise(key):
    with pytest.raises(ValueError, match=r"positive and rising, not \(0.1, 0.01\)"):
        tuning.search(parabola(0.1), (0.1, 0.01), [key])


@pytest.mark.parametrize("rates", [(0.1, 0.01), (0.0, 0.1), (0.1, 0.1)])
def test_settings_whose_rates_do_not_rise_are_refused(rates):
    with pytest.raises(SettingsError, match="must be positive and rising, for example"):
        TrainingSettings(learning_rates=rates)


def test_the_seeds_that_count_are_not_those_that_tuned(key):
    seen = []

    def run(rate, key):
        seen.append(str(key))
        assert rate.dtype == jnp.float32
        return {"score": -abs(rate - 0.1), "rate": rate}

    settings = TrainingSettings(tuning_seeds=3, train_seeds=4, learning_rates=(0.01, 0.1, 1.0))
    found = tuning.tuned(run, lambda run: run["score"], settings, key)
    tuning_keys, counted = seen[:9], seen[9:]
    assert len(set(tuning_keys)) == 3 and len(set(counted)) == 4 and not set(tuning_keys) & set(counted)
    np.testing.assert_array_equal(found.runs["rate"], np.full(4, np.float32(0.1)))
    assert found.rate == 0.1


def test_arms_of_the_same_key_are_paired_whatever_their_number_of_seeds(key):
    run = lambda rate, key: jax.random.normal(key)
    few, many = (tuning.tuned(run, lambda _: 0.0, TrainingSettings(), key, rates=(0.1,), seeds=n).runs for n in (2, 5))
    np.testing.assert_array_equal(few, many[:2])


def test_the_final_loss_is_the_mean_of_the_last_tenth_and_infinite_where_a_loss_is_not_finite():
    losses = np.stack([np.arange(40.0), np.r_[np.nan, np.zeros(39)], np.r_[np.zeros(39), np.inf]])
    np.testing.assert_array_equal(tuning.final_loss(losses), [37.5, np.inf, np.inf])
    assert tuning.loss_score(np.ones(5)) == -1.0  # of fewer than ten steps the last


def test_adam_takes_a_traced_rate_and_falls_as_a_cosine(standard_promotion):
    """The first step of Adam is the rate; later ones follow optax.adam at each step's own rate."""

    @jax.jit
    def steps(rate):
        optimizer = tuning.adam(rate, 10)
        state, sizes = optimizer.init(jnp.zeros(())), []
        for _ in range(10):
            update, state = optimizer.update(jnp.ones(()), state)
            sizes.append(-update)
        return jnp.stack(sizes)

    expected = 0.1 * 0.5 * (1 + np.cos(np.pi * np.arange(10) / 10))
    np.testing.assert_allclose(steps(jnp.float32(0.1)), expected, rtol=1e-4)
    assert isinstance(tuning.adam(0.1, 10), optax.GradientTransformation)


def test_a_whole_grid_that_was_run_anyway_is_searched_by_the_same_rule():
    scores = np.asarray([[0.1, 0.2], [0.8, 0.9], [0.3, np.inf * -1]])
    found = tuning.grid_search((0.1, 0.2, 0.4), scores)
    assert found.rate == 0.2 and found.inside


@pytest.mark.usefixtures("standard_promotion")
def test_the_rate_rises_from_nothing_over_the_first_tenth_and_falls_to_nothing():
    # Adam's step is its rate where all gradients are the same.
    optimizer = tuning.warmed_adam(jnp.float32(1), 40)
    state, sizes = optimizer.init(jnp.zeros(1)), []
    for _ in range(40):
        update, state = optimizer.update(jnp.ones(1), state)
        sizes.append(-update[0].item())
    np.testing.assert_allclose(sizes[:5], [0, 0.25, 0.5, 0.75, 1], atol=1e-3)
    assert sizes[22] == pytest.approx(0.5, abs=1e-3) and sizes[39] < 0.003
